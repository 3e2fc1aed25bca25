"""Finds the objects that belong together, and the names that the user gave them."""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import FrameType
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from unstuck.setup.model import unwrapped
from unstuck.setup.source import is_user_file


def _alive(kind: type) -> list[Any]:
    """All objects of a class that the garbage collector knows; no object is asked for anything."""
    return [each for each in gc.get_objects() if issubclass(type(each), kind)]


def scheduler_of(optimizer: Optimizer) -> Any:
    """The scheduler that sets the rate of an optimizer; the outermost, where one holds others; or None."""
    holders = gc.get_referrers(optimizer)  # far quicker than looking at all objects
    spaces = [each for each in holders if type(each) is dict and each.get("optimizer") is optimizer]
    holders += [each for space in spaces if "last_epoch" in space for each in gc.get_referrers(space)]
    found = [each for each in holders if issubclass(type(each), LRScheduler)]
    inner = {id(part) for each in found for part in getattr(each, "_schedulers", [])}
    return next((each for each in found if id(each) not in inner), None)


def model_of(optimizer: Optimizer, called: Sequence[nn.Module]) -> nn.Module | None:
    """The module that an optimizer trains: the smallest that holds all its parameters and all that was called.

    Args:
        optimizer: Has not stepped yet.
        called: The modules from which the loss came.

    Returns:
        One of those alive; where none holds all, the parts in a container; None where nothing was called.
    """
    if not called:
        return None
    trained = {id(each) for group in optimizer.param_groups for each in group["params"]}
    wanted = trained | {id(each) for module in called for each in module.parameters()}
    for bound in (wanted, {id(each) for module in called for each in module.parameters()}):
        for module in called:
            if bound <= {id(each) for each in module.parameters()}:
                return module
        holders = [each for each in _alive(nn.Module) if _is_sound(each) and unwrapped(each) is each]
        found = [each for each in holders if bound <= {id(part) for part in each.parameters()}]
        if found:
            return min(found, key=lambda each: sum(1 for _ in each.modules()))
    return Parts(list({id(module): module for module in called}.values()))


def _is_sound(module: nn.Module) -> bool:
    return "_parameters" in vars(module) and "_modules" in vars(module)


class Parts(nn.Module):
    """Modules that are trained together without belonging to one."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        """Hold them.

        Args:
            parts: The modules.
        """
        super().__init__()
        self.parts = nn.ModuleList(parts)


def user_frames() -> Iterator[FrameType]:
    """The frames of the user's own code, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if is_user_file(frame.f_code.co_filename):
            yield frame
        frame = frame.f_back


def place_of(value: object) -> tuple[str, str]:
    """Where the user keeps an object.

    Args:
        value: A model, an optimizer, a loader.

    Returns:
        The variable or attribute that holds it, and the line that assigns that one last, as "file.py:12"; "" for what
        is not known. A function's parameter, which nothing assigns, counts only where no caller's variable holds it.
    """
    found = [(name, assignment(filename, name)) for filename, name in _holders(value)]
    return next((each for each in found if each[1]), found[0] if found else ("", ""))


def _holders(value: object) -> Iterator[tuple[str, str]]:
    """File and name of the variables and attributes that hold an object, those of the innermost frame first."""
    for frame in user_frames():
        owner = getattr(frame.f_locals.get("self"), "__dict__", {})
        for space in (frame.f_locals, frame.f_globals, owner):
            for name, held in list(space.items()):
                if held is value:
                    yield frame.f_code.co_filename, name


def assignment(filename: str, name: str) -> str:
    """The last line of a file that assigns a variable or an attribute, as "file.py:12", or ""."""
    found = 0
    for node in ast.walk(_tree(filename)):
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                parts = target.elts if isinstance(target, ast.Tuple) else [target]
                if any(getattr(part, "id", getattr(part, "attr", None)) == name for part in parts):
                    found = max(found, node.lineno)
    return f"{Path(filename).name}:{found}" if found else ""


@lru_cache(maxsize=64)
def _tree(filename: str) -> ast.Module:
    try:
        return ast.parse(Path(filename).read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])
