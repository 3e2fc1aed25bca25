"""Corrections of a training step that last as long as the step: its order, its graph, its schedule."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.overrides import TorchFunctionMode

from unstuck.setup import Setup
from unstuck.setup.corrections import Corrections

SLOPE_ZERO: Final = frozenset({"sign", "sgn", "round", "floor", "ceil", "trunc", "heaviside"})
"""Functions whose gradient is zero wherever it exists."""


@contextmanager
def corrected(setup: Setup, model: nn.Module, optimizer: Optimizer) -> Iterator[None]:
    """Surround one training step with the corrections of its set-up.

    Args:
        setup: Names them.
        model: What is trained.
        optimizer: Its optimizer, private to the run.
    """
    wanted = setup.corrections
    with ExitStack() as around:
        if wanted.clear_gradients or wanted.in_order:
            optimizer.zero_grad()
        if wanted.schedule_by_epoch:
            around.enter_context(scheduler_calls(_last_of(setup.train.batches_per_epoch or 1)))
        if wanted.in_order:
            around.enter_context(_stepping_last(model, optimizer))
        if wanted.keep_graph:
            kept = around.enter_context(_KeptGraph())
            around.callback(optimizer.register_step_pre_hook(kept.leave).remove)
        yield


@contextmanager
def corrected_evaluation(corrections: Corrections) -> Iterator[None]:
    """Surround an evaluation: functional dropout, which knows no mode, is switched off where modes are corrected."""
    with ExitStack() as around:
        if corrections.modes:
            around.enter_context(_NoDropout())
        yield


@contextmanager
def _stepping_last(model: nn.Module, optimizer: Optimizer) -> Iterator[None]:
    """Hold back `optimizer.step` and the clearing of gradients inside; step once at the end."""
    asked: list[tuple[Any, Any]] = []

    def step(*arguments: Any, **named: Any) -> None:
        asked.append((arguments, named))

    def clear(*_: Any, **named: Any) -> None:
        return None

    with _replaced(optimizer, "step", step), _replaced(optimizer, "zero_grad", clear):
        with _replaced(model, "zero_grad", clear):
            yield
    arguments, named = asked[0] if asked else ((), {})
    optimizer.step(*arguments, **named)


@contextmanager
def _replaced(owner: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Give one object another method; before, it may have had one of its own, as a scheduler gives an optimizer."""
    own = vars(owner).get(name)
    object.__setattr__(owner, name, function)
    try:
        yield
    finally:
        if own is None:
            object.__delattr__(owner, name)
        else:
            object.__setattr__(owner, name, own)


@contextmanager
def scheduler_calls(pass_on: Callable[[LRScheduler], bool]) -> Iterator[None]:
    """Ask about every call of a scheduler's `step` inside; those of the parts of a composed one go with it.

    The classes are changed, since which scheduler a user's step holds, or makes, is its own affair; they are put back
    on leaving.

    Args:
        pass_on: Says whether a call is carried out.
    """
    open_calls: list[LRScheduler] = []

    def asking(original: Callable[..., Any]) -> Callable[..., Any]:
        def step(scheduler: LRScheduler, *arguments: Any, **named: Any) -> Any:
            begun = getattr(scheduler, "_step_count", 1) > 0  # the constructor's own first call is none
            if begun and not open_calls and not pass_on(scheduler):
                return None
            open_calls.append(scheduler)
            try:
                return original(scheduler, *arguments, **named)
            finally:
                open_calls.pop()

        return step

    originals = {kind: vars(kind)["step"] for kind in _scheduler_kinds()}
    for kind, original in originals.items():
        kind.step = asking(original)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for kind, original in originals.items():
            kind.step = original  # type: ignore[method-assign]


def _scheduler_kinds() -> Iterator[type[LRScheduler]]:
    """The classes of schedulers that have a `step` of their own."""
    stack, seen = [LRScheduler], {LRScheduler}
    while stack:
        kind = stack.pop()
        if "step" in vars(kind):
            yield kind
        new = [each for each in kind.__subclasses__() if each not in seen]
        seen.update(new)
        stack.extend(new)


def _last_of(batches_per_epoch: int) -> Callable[[LRScheduler], bool]:
    """Whether a call of `scheduler.step` is the last of an epoch; the scheduler, private to the run, keeps count."""

    def is_last(scheduler: LRScheduler) -> bool:
        calls = vars(scheduler).get("_calls_this_epoch", 0) + 1
        vars(scheduler)["_calls_this_epoch"] = calls % batches_per_epoch
        return bool(calls == batches_per_epoch)

    return is_last


def way_out(func: Any, args: tuple[Any, ...]) -> str:
    """How a call takes what it is given out of the graph, of the ways that can be undone.

    Args:
        func: As a `TorchFunctionMode` sees it.
        args: Its positional arguments.

    Returns:
        "detach", ".data", "no_grad" or the name of a function of slope zero; "" where it stays in the graph.
    """
    name = getattr(func, "__name__", "")
    if name == "_set_grad_enabled":
        return "no_grad" if args == (False,) and _is_asked_by_program() else ""
    if not args or not isinstance(args[0], Tensor) or not args[0].requires_grad:
        return ""
    if func == _DATA:  # a new wrapper at each access
        return ".data"
    return name if name == "detach" or name in SLOPE_ZERO else ""


_DATA: Final = torch.Tensor.data.__get__  # type: ignore[attr-defined]


def _is_asked_by_program() -> bool:
    """Whether gradients are switched off by the program itself, not by a function of torch for its own purposes."""
    frame = sys._getframe(3)  # behind this function, `way_out` and the mode that asks it
    while frame.f_back is not None and frame.f_code.co_filename.endswith(_OF_NO_GRAD):
        frame = frame.f_back
    return "torch" not in Path(frame.f_code.co_filename).parts


_OF_NO_GRAD: Final = ("grad_mode.py", "_contextlib.py")
"""Files of torch between a `no_grad`, as a block or as a decorator, and the call that a mode sees."""


@final
class _KeptGraph(TorchFunctionMode):
    """From the beginning of a step until its backward pass, nothing leaves the graph that can be kept in it."""

    def __init__(self) -> None:
        super().__init__()
        self._forward = True

    def leave(self, *_: Any) -> None:
        """Let everything through from here on: the optimizer works outside the graph."""
        self._forward = False

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named: dict[str, Any] = kwargs or {}
        self._forward &= getattr(func, "__name__", "") != "backward"
        way = way_out(func, args) if self._forward else ""
        if way == "no_grad":
            return func(True)
        if way in ("detach", ".data"):
            return args[0]
        if way:
            with torch.no_grad():
                jump = func(*args, **named) - args[0]
            return args[0] + jump
        return func(*args, **named)


@final
class _NoDropout(TorchFunctionMode):
    """Dropout of whatever kind gives back its input."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named: dict[str, Any] = kwargs or {}
        name = getattr(func, "__name__", "")
        if name == "scaled_dot_product_attention" and "dropout_p" in named:
            named = {**named, "dropout_p": 0.0}
        elif "dropout" in name:
            given = args[0] if args else named.get("input")
            if isinstance(given, Tensor):
                return given
        return func(*args, **named)
