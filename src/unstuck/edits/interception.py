"""Changing function calls inside a model's forward, where there is no module to replace.

People call `torch.softmax` or `F.relu` in their forward. A `TorchFunctionMode`, active while that forward
runs, sees each call and answers some of them itself: which ones is told by counting the calls of those names
from the start of the forward.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, final

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from unstuck.errors import RemedyError
from unstuck.setup import Batch, Edit, Setup
from unstuck.setup.batch import split_batch
from unstuck.setup.record import Forward


class Plan(Protocol):
    """Which calls are answered, and how."""

    def mode(self) -> TorchFunctionMode:
        """What answers them while it is active, from its start on."""


@final
@dataclass(frozen=True)
class Interception:
    """Which calls are answered, and how.

    Attributes:
        names: Of the functions that are counted, such as "softmax".
        only: Numbers of the calls that are answered, from 0; None for all but `spared`.
        spared: Numbers of the calls that are left alone.
        replacement: Takes the first argument; None gives it back unchanged.
    """

    names: frozenset[str]
    only: frozenset[int] | None = None
    spared: frozenset[int] = frozenset()
    replacement: Callable[[Tensor], Tensor] | None = None

    def mode(self) -> TorchFunctionMode:
        """Counts from the first call on."""
        return _Intercepting(self)


@final
class _Intercepting(TorchFunctionMode):
    def __init__(self, plan: Interception) -> None:
        super().__init__()
        self.plan = plan
        self.seen = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named: dict[str, Any] = kwargs or {}
        if getattr(func, "__name__", "") in self.plan.names:
            number, self.seen = self.seen, self.seen + 1
            chosen = number not in self.plan.spared if self.plan.only is None else number in self.plan.only
            given = args[0] if args else named.get("input")
            if chosen and isinstance(given, Tensor):
                return given if self.plan.replacement is None else self.plan.replacement(given)
        return func(*args, **named)


@final
@dataclass
class _Around:
    """Two hooks that put a mode around a module's forward, also where that forward raises."""

    plan: Plan
    open: list[TorchFunctionMode] = field(default_factory=list)

    def enter(self, module: nn.Module, inputs: Any) -> None:
        mode = self.plan.mode()
        mode.__enter__()
        self.open.append(mode)

    def leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self.open.pop().__exit__(None, None, None)


@final
@dataclass(frozen=True)
class _Forward:
    """A user's `forward` with a mode around it and an activation behind it."""

    inner: Forward | None
    plan: Plan | None = None
    behind: Callable[[Any], Any] | None = None

    def __call__(self, model: nn.Module, batch: Batch) -> Any:
        with nullcontext() if self.plan is None else self.plan.mode():
            if self.inner is not None:
                outputs = self.inner(model, batch)
            else:
                inputs, named, _ = split_batch(batch)
                outputs = model(*inputs, **named)
        return outputs if self.behind is None else self.behind(outputs)


def intercept(model: nn.Module, plan: Plan) -> nn.Module:
    """Answer calls inside a model's forward.

    A mode that comes later is entered first and left last, so that it sees what the earlier ones let through,
    just as the trace did that its numbers were counted on.

    Args:
        model: Changed in place.
        plan: Which calls are answered, and how.

    Returns:
        The model.
    """
    around = _Around(plan)
    model.register_forward_pre_hook(around.enter, prepend=True)
    model.register_forward_hook(around.leave, always_call=True)
    return model


def with_interception(setup: Setup, edit: Edit, plan: Interception, *, in_model: bool) -> Setup:
    """The set-up with some function calls answered.

    Args:
        setup: What is trained.
        edit: What else is changed, and how the whole is described.
        plan: Which calls are answered, and how.
        in_model: Whether they are in the model's own forward, not in the user's `forward` function.

    Returns:
        The new set-up.

    Raises:
        RemedyError: If the calls are in a place that cannot be reached.
    """
    if in_model:
        return setup.with_edit(replace(edit, apply=lambda model: intercept(edit.apply(model), plan)))
    if setup.train_step is not None:
        raise RemedyError("the function is called inside `train_step`, which is the user's own code")
    return replace(setup.with_edit(edit), forward=_Forward(setup.forward, plan=plan))


def with_behind(setup: Setup, edit: Edit, function: Callable[[Any], Any]) -> Setup:
    """The set-up with a function applied to its outputs.

    Args:
        setup: What is trained.
        edit: Describes the change.
        function: Takes the outputs; has no parameters.

    Returns:
        The new set-up.

    Raises:
        RemedyError: If the set-up takes its own step.
    """
    if setup.train_step is not None:
        raise RemedyError("the outputs are made inside `train_step`, which is the user's own code")
    return replace(setup.with_edit(edit), forward=_Forward(setup.forward, behind=function))


def unchanged(model: nn.Module) -> nn.Module:
    """An edit's `apply` where the model itself stays as it is."""
    return model
