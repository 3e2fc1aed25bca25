"""Runs a script as Python would: as `__main__`, with its own arguments, path and folder."""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import final

from unstuck.errors import TargetError

_OURS = str(Path(__file__).resolve().parents[1])


@final
@dataclass(frozen=True, slots=True)
class Script:
    """A program that can be run.

    Attributes:
        code: Compiled.
        argv: Becomes `sys.argv`.
        folder: Becomes `sys.path[0]`.
        module: The new `__main__`.
    """

    code: CodeType
    argv: tuple[str, ...]
    folder: str
    module: ModuleType


def script(path: str, arguments: Sequence[str]) -> Script:
    """A script by its path.

    Args:
        path: As typed.
        arguments: Its own.

    Returns:
        The script, not yet run.

    Raises:
        TargetError: If there is no such file, or it is no Python.
    """
    place = Path(path)
    if place.is_dir() and (place / "__main__.py").is_file():
        return _script(str(place / "__main__.py"), str(place), [path, *arguments])
    if not place.is_file():
        got = "a folder" if place.is_dir() else "no such file"
        raise TargetError("SCRIPT must be a Python file", f"{path!r}, {got}", "Give its path, or -m package.module.")
    return _script(path, str(place.resolve().parent), [path, *arguments])


def _script(path: str, folder: str, argv: Sequence[str]) -> Script:
    absolute = str(Path(path).absolute())
    module = _main(absolute)
    module.__loader__ = importlib.machinery.SourceFileLoader("__main__", absolute)
    return Script(_compiled(absolute), tuple(argv), folder, module)


def module(name: str, arguments: Sequence[str]) -> Script:
    """A module by its name, as `python -m` runs it.

    Args:
        name: Such as "package.module"; of a package its `__main__`.
        arguments: Its own.

    Returns:
        The script, not yet run.

    Raises:
        TargetError: If there is no such module.
    """
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{name}.__main__")
    except (ImportError, ValueError):
        spec = None
    finally:
        sys.path.remove(folder)
    if spec is None or spec.origin is None:
        raise TargetError("-m must name a module that can be run", f"{name!r}", "Run from the folder that holds it.")
    made = _main(spec.origin)
    made.__spec__, made.__loader__, made.__package__ = spec, spec.loader, spec.parent
    return Script(_compiled(spec.origin), (spec.origin, *arguments), folder, made)


def _main(path: str) -> ModuleType:
    made = types.ModuleType("__main__")
    vars(made).update(__file__=path, __builtins__=__builtins__, __package__=None, __cached__=None)
    return made


def _compiled(path: str) -> CodeType:
    try:
        return compile(Path(path).read_bytes(), path, "exec", dont_inherit=True)
    except OSError as error:
        raise TargetError("SCRIPT must be readable", f"{path!r}: {error.strerror}", "Give its path.") from None


@contextlib.contextmanager
def as_main(program: Script) -> Iterator[None]:
    """Let the process look to a script as if it had been started with it; afterwards as before, but for the folder."""
    argv, path, main = sys.argv, list(sys.path), sys.modules.get("__main__")
    sys.argv = list(program.argv)
    sys.path[0:1] = [program.folder]
    sys.modules["__main__"] = program.module
    try:
        yield
    finally:
        sys.argv, sys.path[:] = argv, path
        if main is not None:
            sys.modules["__main__"] = main


def without_ours(trace: TracebackType | None) -> TracebackType | None:
    """A traceback without the frames that `unstuck` adds."""
    kept: list[TracebackType] = []
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(_OURS):
            kept.append(trace)
        trace = trace.tb_next
    made: TracebackType | None = None
    for each in reversed(kept):
        made = TracebackType(made, each.tb_frame, each.tb_lasti, each.tb_lineno)
    return made
