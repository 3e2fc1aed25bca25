"""Private copies of the user's functions, together with whatever those hold on to.

A loss, a forward function or a train step may count, collect, or hold a gradient scaler, a second network and its
optimizer. A run must not move any of it, nor hand it on to the next run: so each set-up, and each run, has its own
copies. One `memo` makes copies that belong together: what two functions share, their copies share.
"""

from __future__ import annotations

import copy
import dis
import functools
from collections.abc import Iterator
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final, TypeVar

import torch
from torch import nn

from unstuck.setup.source import is_user_file

Memo = dict[int, Any]
T = TypeVar("T")

_KEPT: Final = (type, ModuleType, BuiltinFunctionType, str, bytes, int, float, complex, torch.dtype, torch.device)

_HOOKS: Final = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
)


def private(value: T, memo: Memo) -> T:
    """A copy of a callable, or of what one holds, that shares no state with the original.

    Args:
        value: Anything. Functions of libraries, classes and modules are kept as they are, and so is what cannot be
            copied, such as an open file.
        memo: Copies made so far, as `copy.deepcopy` keeps them; extended.

    Returns:
        The copy, or `value` itself where it holds nothing that could change.
    """
    known: T | None = memo.get(id(value))
    if known is not None:
        return known
    made: Any
    if value is None or isinstance(value, _KEPT):
        return value
    if isinstance(value, FunctionType):
        made = _function(value, memo)
    elif isinstance(value, MethodType):
        owner = private(value.__self__, memo)
        made = value if owner is value.__self__ else MethodType(value.__func__, owner)
    elif isinstance(value, functools.partial):
        made = functools.partial(
            private(value.func, memo),
            *(private(part, memo) for part in value.args),
            **{name: private(part, memo) for name, part in value.keywords.items()},
        )
    else:
        try:
            made = copy.deepcopy(value, memo)
        except Exception:  # whatever a foreign object raises, it is then one that cannot be copied
            made = value
    memo[id(value)] = made
    memo.setdefault(id(memo), []).append(value)  # as deepcopy does: an id must stay its owner's
    return made  # type: ignore[no-any-return]


def _function(function: FunctionType, memo: Memo) -> FunctionType:
    code = function.__code__
    if not (is_user_file(code.co_filename) or _is_typed_in(code)):
        return function
    cells = tuple(CellType() for _ in function.__closure__ or ())
    # Functions of one module go on sharing one dictionary of globals.
    space: dict[str, Any] = memo.setdefault(id(function.__globals__), dict(function.__globals__))
    made = FunctionType(code, space, function.__name__, None, cells or None)
    memo[id(function)] = made  # before its contents: a function may refer to itself
    changed = any(instruction.opname == "STORE_GLOBAL" for instruction in _instructions(code))
    for cell, original in zip(cells, function.__closure__ or (), strict=True):
        try:
            content = original.cell_contents
        except ValueError:  # a name that is not bound yet
            continue
        cell.cell_contents = private(content, memo)
        changed |= cell.cell_contents is not content and cell.cell_contents is not made
    for name in global_names(function):
        space[name] = private(function.__globals__[name], memo)
        changed |= space[name] is not function.__globals__[name] and space[name] is not made
    made.__defaults__ = _each(function.__defaults__, memo)
    keywords = function.__kwdefaults__
    made.__kwdefaults__ = None if keywords is None else {name: private(part, memo) for name, part in keywords.items()}
    changed |= any(
        new is not old for new, old in zip(made.__defaults__ or (), function.__defaults__ or (), strict=True)
    )
    changed |= any(part is not (keywords or {})[name] for name, part in (made.__kwdefaults__ or {}).items())
    if not changed:
        return function
    for name in functools.WRAPPER_ASSIGNMENTS:
        if hasattr(function, name):
            setattr(made, name, getattr(function, name))
    vars(made).update(vars(function))
    return made


def _is_typed_in(code: CodeType) -> bool:
    """Whether code was typed at a prompt or given to `python -c`."""
    return code.co_filename.startswith("<") and not code.co_filename.startswith(("<frozen", "<__array_function__"))


def _each(values: tuple[Any, ...] | None, memo: Memo) -> tuple[Any, ...] | None:
    return None if values is None else tuple(private(value, memo) for value in values)


def _instructions(code: CodeType) -> Iterator[dis.Instruction]:
    yield from dis.get_instructions(code)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _instructions(constant)


@functools.lru_cache(maxsize=1024)
def _loaded_names(code: CodeType) -> tuple[str, ...]:
    read = ("LOAD_GLOBAL", "LOAD_NAME")
    return tuple({str(each.argval): None for each in _instructions(code) if each.opname in read})


def global_names(function: FunctionType) -> list[str]:
    """The names of the module that a function's code reads and that exist."""
    return [name for name in _loaded_names(function.__code__) if name in function.__globals__]


def captured(value: object, seen: set[int] | None = None) -> Iterator[object]:
    """What a callable names directly: by closure, by global name, as owner of a method, also in its own helpers.

    Args:
        value: A callable.
        seen: Functions that were looked into.

    Yields:
        Each such object.
    """
    seen = set() if seen is None else seen
    if isinstance(value, MethodType):
        yield value.__self__
        value = value.__func__
    if isinstance(value, functools.partial):
        yield from (*value.args, *value.keywords.values())
        yield from captured(value.func, seen)
    if not isinstance(value, FunctionType) or id(value) in seen:
        return
    seen.add(id(value))
    if not (is_user_file(value.__code__.co_filename) or _is_typed_in(value.__code__)):
        return
    held = [value.__globals__[name] for name in global_names(value)]
    for cell in value.__closure__ or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:
            continue
    for each in held:
        yield each
        yield from captured(each, seen)


def privatise_hooks(owner: nn.Module | torch.optim.Optimizer, memo: Memo) -> None:
    """Give a copied module or optimizer its own copies of the functions that hook into it."""
    for name in _HOOKS:
        hooks: dict[int, Any] = vars(owner).get(name) or {}
        for key, hook in hooks.items():
            hooks[key] = private(hook, memo)
