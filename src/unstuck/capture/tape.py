"""A tape of what a script computes outside its modules, on the few steps that are looked at closely.

The tape is a `TorchFunctionMode`: each function of torch is called as it was, and noted. Inside modules the mode is
taken off the stack, so that fused kernels, compiled graphs and whatever else asks for it run as without `unstuck`.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import FunctionType, SimpleNamespace
from typing import Any, Final, final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from unstuck.setup.source import calling_line, is_user_file

MOST_CALLS: Final = 4000
"""Calls that are kept at most."""

MOST_BYTES: Final = 2**28
"""Memory that kept results may hold at most."""

_IN_PLACE: Final = ("__setitem__", "__iadd__", "__isub__", "__imul__", "__itruediv__", "__iand__", "__ior__")

_HOLDERS: Final = (torch.distributions.Distribution, SimpleNamespace)
"""What holds tensors as plain attributes."""

Autocast = tuple[str, torch.dtype] | None


@final
@dataclass(eq=False, slots=True)
class Call:
    """One call that gave tensors, or changed one in place.

    Attributes:
        function: What was called: a function of torch or a module.
        arguments: Its positional arguments.
        keywords: Its named arguments.
        result: What it returned.
        autocast: Device type and dtype of the mixed precision that it ran in, or None.
        line: Line of the user's source, as "file.py:12".
        attribute: Name of the attribute that was read, where it was no call but a property such as `.T`.
        random: State of torch's generator before, for calls of modules.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    result: Any
    autocast: Autocast
    line: str
    attribute: str = ""
    random: Tensor | None = None

    @property
    def name(self) -> str:
        """What it is called, without underscores around it."""
        return self.attribute or str(getattr(self.function, "__name__", type(self.function).__name__))

    @property
    def changes(self) -> Tensor | None:
        """The tensor that it changes in place, or None."""
        name = self.name
        in_place = (name.endswith("_") and not name.endswith("__")) or name in _IN_PLACE
        first = self.arguments[0] if self.arguments else None
        return first if in_place and not self.attribute and isinstance(first, Tensor) else None


def autocast_now() -> Autocast:
    """The mixed precision that is on, CPU or CUDA."""
    for device in ("cpu", "cuda"):
        if torch.is_autocast_enabled(device):
            return device, torch.get_autocast_dtype(device)
    return None


def leaves(value: Any, path: tuple[Any, ...] = (), depth: int = 0) -> Iterator[tuple[tuple[Any, ...], Tensor]]:
    """Every tensor inside a result or a batch, with the way to it.

    Args:
        value: Tensors, and tuples, lists, mappings, data classes and distributions of them.
        path: The way to `value` itself: keys, indices, and ".name" for attributes.
        depth: How deep `value` lies; nothing is looked for below eight levels.

    Yields:
        Path and tensor.
    """
    if isinstance(value, Tensor):
        yield path, value
    elif depth >= 8:
        return
    elif isinstance(value, Mapping):
        for key in value:
            yield from leaves(value[key], (*path, key), depth + 1)
    elif isinstance(value, (tuple, list)):
        for index, part in enumerate(value):
            yield from leaves(part, (*path, index), depth + 1)
    elif isinstance(value, _HOLDERS):
        for name, part in vars(value).items():
            yield from leaves(part, (*path, f".{name}"), depth + 1)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from leaves(getattr(value, field.name, None), (*path, f".{field.name}"), depth + 1)


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """The part of a result or a batch that a path leads to."""
    for key in path:
        value = getattr(value, key[1:]) if isinstance(key, str) and key.startswith(".") else value[key]
    return value


@final
class Tape(TorchFunctionMode):
    """Notes calls while it is on the stack and awake.

    Attributes:
        calls: What was noted, the oldest first.
        awake: Whether calls are noted.
        inside: How many modules deep the script is.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: deque[Call] = deque()
        self.awake = False
        self.inside = 0
        self._bytes = 0
        self._is_on = False
        known = [each for space in (torch.functional, torch.nn.functional) for each in vars(space).values()]
        self._originals = {each.__code__: each for each in known if isinstance(each, FunctionType)}

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call as asked, and note it."""
        if isinstance(function, FunctionType) and is_user_file(function.__code__.co_filename):
            # The script has put its own in place of a function of torch, which calls the mode by its own old name.
            function = self._originals.get(sys._getframe(2).f_code, function)
        result = function(*args, **(kwargs or {}))
        if self.awake and not self.inside:
            attribute = function.__self__.__name__ if getattr(function, "__name__", "") == "__get__" else ""
            self.note(Call(function, args, kwargs or {}, result, autocast_now(), "", attribute))
        return result

    def note(self, call: Call) -> None:
        """Keep a call that gives a new tensor or changes one."""
        changed = call.changes
        if changed is None:
            first = call.arguments[0] if call.arguments else None
            if call.result is first or call.attribute == "grad" or not any(True for _ in leaves(call.result)):
                return
        call.line = calling_line()
        self.calls.append(call)
        self._bytes += _bytes(call)
        while len(self.calls) > MOST_CALLS or self._bytes > MOST_BYTES:
            self._bytes -= _bytes(self.calls.popleft())

    def clear(self) -> None:
        """Forget all calls."""
        self.calls.clear()
        self._bytes = 0

    def begin(self) -> None:
        """Go on the stack, outermost, before the script starts."""
        self.awake = self._is_on = True
        self.__enter__()  # type: ignore[no-untyped-call]

    def end(self) -> None:
        """Fall asleep, and leave the stack where nothing of the script's lies above."""
        self.awake = False
        self.clear()
        self.step_off()

    def step_off(self) -> bool:
        """Leave the stack where it is on top of it; whether it did."""
        if not self._is_on or not _is_on_top(self):
            return False
        self.__exit__(None, None, None)  # type: ignore[no-untyped-call]
        self._is_on = False
        return True

    def step_on(self) -> None:
        """Come back where `step_off` left."""
        self._is_on = True
        self.__enter__()  # type: ignore[no-untyped-call]


def _is_on_top(mode: TorchFunctionMode) -> bool:
    depth = torch._C._len_torch_function_stack()
    return depth > 0 and torch._C._get_function_stack_at(depth - 1) is mode


def _bytes(call: Call) -> int:
    return sum(tensor.numel() * tensor.element_size() for _, tensor in leaves(call.result))
