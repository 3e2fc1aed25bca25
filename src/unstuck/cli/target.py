"""From what was typed to a `Setup`: the file or module, the function in it, and what it returns."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Final

from unstuck.errors import TargetError, UnstuckError

if TYPE_CHECKING:
    from unstuck.setup import Setup

DEFAULT_FUNCTION: Final = "setup"
OUR_FOLDER: Final = Path(__file__).resolve().parents[1]


def split(target: str) -> tuple[str, str]:
    """Split a target into the place and the function.

    Args:
        target: "path/file.py", "path/file.py:function" or "package.module:function".

    Returns:
        The place as typed, and the function, `setup` where none was named.
    """
    place, colon, function = target.rpartition(":")
    if colon and place and function.isidentifier():
        return place, function
    return target.removesuffix(":"), DEFAULT_FUNCTION


def _is_file(place: str) -> bool:
    looks_so = place.endswith((".py", ".ipynb")) or "/" in place or os.sep in place
    return looks_so or Path(place).exists()


def _is_ours(file: str) -> bool:
    return file.startswith("<") or OUR_FOLDER in Path(file).resolve().parents


def _is_installed(file: str) -> bool:
    library = Path(importlib.__file__).resolve().parents[1]
    path = Path(file).resolve()
    return "site-packages" in path.parts or library in path.parents


def own_line(error: BaseException) -> str:
    """The innermost line of a traceback that is the user's own.

    Args:
        error: What was raised.

    Returns:
        "file.py:12", or "" where no line of theirs was involved.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{Path(error.filename).name}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_ours(frame.filename)]
    own = [frame for frame in frames if not _is_installed(frame.filename)]
    return f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""


def _said(error: BaseException) -> str:
    line = own_line(error)
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    what = " ".join(text.split())[:400].rstrip(".") or "no message"
    return f"{type(error).__name__}{f' at {line}' if line else ''}: {what}"


def _mend(error: BaseException) -> str:
    line = own_line(error)
    if isinstance(error, ImportError) and "relative import" in str(error):
        return "Name it as a module of its package, such as package.module, from the folder that holds the package."
    return f"Mend {line}." if line else "Run it by itself and mend it."


def _raise_ours(error: BaseException) -> None:
    """Raise again what `unstuck` itself has to say of the set-up, with the line that it is about."""
    if isinstance(error, UnstuckError):
        line = own_line(error)
        error.args = (f"{line}: {error}" if line else str(error),)
        raise error


def _put_on_path(folder: str) -> None:
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _module_name(path: Path) -> str:
    """The file's own name, by which worker processes import it, unless another module has that name."""
    name = path.stem
    if not name.isidentifier():
        return "unstuck_target_" + re.sub(r"\W", "_", name)
    loaded = sys.modules.get(name)
    if loaded is not None:
        origin = getattr(loaded, "__file__", None)
    else:
        spec = importlib.util.find_spec(name)
        origin = spec.origin if spec is not None else str(path)
    is_itself = origin is not None and Path(origin).resolve() == path
    return name if is_itself and name not in sys.stdlib_module_names else f"unstuck_target_{name}"


def _neighbours(path: Path) -> str:
    folder = path.parent
    names = [found.stem for found in folder.glob("*.py")] if folder.is_dir() else []
    close = difflib.get_close_matches(path.stem, names, n=2)
    return f"Did you mean {' or '.join(str(folder / name) + '.py' for name in close)}?" if close else "Give its path."


def _from_file(place: str) -> ModuleType:
    path = Path(place)
    if not path.exists():
        raise TargetError("TARGET must be a Python file or a module", f"no file {place!r}", _neighbours(path))
    if not path.is_file() or path.suffix != ".py":
        kind = "a folder" if path.is_dir() else f"a file that ends in {path.suffix!r}"
        do = "Write a .py file with a function `setup` that returns an `unstuck.Setup`."
        raise TargetError("TARGET must be a Python file or a module", f"{place!r}, {kind}", do)
    resolved = path.resolve()
    name = _module_name(resolved)
    _put_on_path(str(resolved.parent))
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise TargetError("TARGET must be a Python file", repr(place), "Give the path of a .py file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        sys.modules.pop(name, None)
        _raise_ours(error)
        raise TargetError(f"{place} must import without an error", _said(error), _mend(error)) from error
    return module


def _from_module(place: str) -> ModuleType:
    _put_on_path(os.getcwd())
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if place == missing or place.startswith(f"{missing}."):
            do = "Give the path of a file, such as path/file.py, or install the package."
            raise TargetError("TARGET must be a Python file or a module", f"no module {place!r}", do) from None
        raise TargetError(f"{place} must import without an error", _said(error), _mend(error)) from error
    except (Exception, SystemExit) as error:
        _raise_ours(error)
        raise TargetError(f"{place} must import without an error", _said(error), _mend(error)) from error


def _functions(module: ModuleType) -> list[str]:
    return [
        name
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    ]


def _function(module: ModuleType, place: str, function: str) -> Callable[..., object]:
    if not hasattr(module, function):
        there = _functions(module)
        do = "Write `def setup():` that returns an `unstuck.Setup`."
        if there:
            do = f"Name one of its functions as {place}:FUNCTION; it has {', '.join(there[:12])}."
            if len(there) > 12:
                do = f"Name one of its functions as {place}:FUNCTION; it has {', '.join(there[:12])} and others."
        raise TargetError(f"{place} must have a function `{function}`", "none", do)
    value = getattr(module, function)
    if not callable(value):
        do = f"Write `def {function}():` that returns an `unstuck.Setup`."
        raise TargetError(
            f"`{function}` of {place} must be a function", f"an object of type {type(value).__name__}", do
        )
    found: Callable[..., object] = value
    return found


def _call(module: ModuleType, place: str, function: str) -> object:
    value = _function(module, place, function)
    try:
        inspect.signature(value).bind()
    except TypeError:
        got = f"{function}{inspect.signature(value)}"
        do = "Give its parameters defaults, or name a function without any."
        raise TargetError(f"`{function}` of {place} must be callable without arguments", got, do) from None
    except ValueError:
        pass  # a callable written in C may have no signature
    try:
        return value()
    except (Exception, SystemExit) as error:
        _raise_ours(error)
        raise TargetError(f"`{function}` of {place} must return a set-up", _said(error), _mend(error)) from error


def load_function(target: str) -> Callable[..., object]:
    """The function that a target names, not called; its folder is put on `sys.path` as Python does for a script.

    Args:
        target: "path/file.py", "path/file.py:function" or "package.module:function".

    Returns:
        The function.

    Raises:
        TargetError: If there is no such file, module or function.
    """
    place, function = split(target)
    return _function(_from_file(place) if _is_file(place) else _from_module(place), place, function)


def load(target: str) -> Setup:
    """The set-up that a target stands for; its folder is put on `sys.path` as Python does for a script.

    Args:
        target: "path/file.py", "path/file.py:function" or "package.module:function".

    Returns:
        What the function returned.

    Raises:
        TargetError: If there is no such file, module or function, or if it fails or returns no set-up.
    """
    place, function = split(target)
    module = _from_file(place) if _is_file(place) else _from_module(place)
    value = _call(module, place, function)
    from unstuck.setup import Setup

    if not isinstance(value, Setup):
        got = "nothing (None)" if value is None else f"an object of type {type(value).__name__}"
        do = "End it with `return unstuck.Setup.of(...)`."
        raise TargetError(f"`{function}` of {place} must return an `unstuck.Setup`", got, do)
    return value
