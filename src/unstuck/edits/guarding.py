"""Operations kept away from where they, or their derivatives, are no longer finite.

Each operation at risk is answered by the same operation on a number that is clamped to where it is safe. Everywhere
else its value is the same, bit for bit. Margins are relative: the machine epsilon of the number's own type, times the
largest magnitude in the tensor where there is a scale to it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from unstuck.edits.interception import intercept
from unstuck.edits.passes import checked, with_checked_edit
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup
from unstuck.setup.batch import map_tensors
from unstuck.setup.private import Memo, private
from unstuck.setup.randomness import isolated

Clamp = Callable[[Tensor], Tensor]


def _floor(values: Tensor) -> Tensor:
    """The least magnitude that counts beside the largest one, shape `[]`."""
    information = torch.finfo(values.dtype)
    largest = values.detach().abs().nan_to_num(0.0, 0.0, 0.0).amax() if values.numel() else values.new_zeros(())
    return (information.eps * largest).clamp_min(information.smallest_normal**0.5)


def _above_zero(values: Tensor) -> Tensor:
    return values.clamp_min(_floor(values))


def _above_minus_one(values: Tensor) -> Tensor:
    return values.clamp_min(torch.finfo(values.dtype).eps - 1.0)


def _away_from_zero(values: Tensor) -> Tensor:
    floor = _floor(values)
    return torch.where(values.abs() < floor, torch.where(values < 0.0, -floor, floor), values)


def _within_one(values: Tensor) -> Tensor:
    one = 1.0 - torch.finfo(values.dtype).eps
    return values.clamp(-one, one)


def _exponent(values: Tensor) -> Tensor:
    """Small enough for the square of the exponential to be finite."""
    return values.clamp_max(0.5 * math.log(torch.finfo(values.dtype).max))


def _finite_scores(values: Tensor) -> Tensor:
    """A row of minus infinities has no softmax; one of equal large negative numbers has."""
    return values.clamp_min(-math.sqrt(torch.finfo(values.dtype).max))


FIRST: Final[dict[str, Clamp]] = {
    **dict.fromkeys(("log", "log2", "log10", "sqrt", "rsqrt"), _above_zero),
    "log1p": _above_minus_one,
    "reciprocal": _away_from_zero,
    **dict.fromkeys(("acos", "asin", "arccos", "arcsin", "atanh", "arctanh"), _within_one),
    **dict.fromkeys(("exp", "exp2", "expm1", "sinh", "cosh"), _exponent),
    **dict.fromkeys(("softmax", "log_softmax"), _finite_scores),
}
"""What the first argument of a function is clamped by."""

DIVISIONS: Final = frozenset(("div", "true_divide", "divide"))
SWAPPED: Final = frozenset(("__rdiv__", "__rtruediv__"))
POWERS: Final = frozenset(("pow", "__pow__"))

GUARDED: Final = frozenset(FIRST) | DIVISIONS | SWAPPED | POWERS
"""Names of the functions that can be kept in bounds."""


def spellings(operation: str) -> frozenset[str]:
    """The names under which a program calls an operation, as `torch` knows it; none where it cannot be kept in bounds.

    Args:
        operation: Such as "div".

    Returns:
        Such as "div", "__rdiv__".
    """
    for names in (DIVISIONS | SWAPPED | {"reciprocal"}, POWERS):
        if operation in names:
            return names
    return frozenset({operation}) & GUARDED


@final
@dataclass(frozen=True)
class Guard:
    """Which functions are kept in bounds.

    Attributes:
        names: Their names.
    """

    names: frozenset[str]

    def mode(self) -> TorchFunctionMode:
        """Answers them."""
        return _Guarding(self.names)


@final
class _Guarding(TorchFunctionMode):
    def __init__(self, names: frozenset[str]) -> None:
        super().__init__()
        self.names = names

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in self.names:
            args = _guarded(name, args)
        return func(*args, **(kwargs or {}))


def _guarded(name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a call, clamped."""
    if name in DIVISIONS:
        return (args[0], _clamped(args[1], _away_from_zero), *args[2:]) if len(args) > 1 else args
    if name in SWAPPED:
        return (_clamped(args[0], _away_from_zero), *args[1:])
    if name in POWERS:
        power = args[1] if len(args) > 1 else None
        if not isinstance(power, (int, float)):
            return args
        if float(power).is_integer():
            return (_clamped(args[0], _away_from_zero), *args[1:]) if power < 0 else args
        return (_clamped(args[0], _above_zero), *args[1:])
    return (_clamped(args[0], FIRST[name]), *args[1:]) if args else args


def _clamped(value: Any, clamp: Clamp) -> Any:
    return clamp(value) if isinstance(value, Tensor) and value.is_floating_point() else value


@final
@dataclass(frozen=True)
class _Around:
    """A user's function with a guard around it."""

    inner: Callable[..., Any]
    guard: Guard

    def __call__(self, *arguments: Any) -> Any:
        with self.guard.mode():
            return self.inner(*arguments)

    def __deepcopy__(self, memo: Memo) -> _Around:
        """A run's private copy has a private copy of the function."""
        return _Around(private(self.inner, memo), self.guard)


def guarded(setup: Setup, names: frozenset[str], *, in_loss: bool = True) -> Setup:
    """Keep functions in bounds, wherever the model, the loss or the user's own functions call them.

    Args:
        setup: What is trained.
        names: Of the functions, out of `GUARDED`.
        in_loss: Whether those that the loss calls are meant too.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If none of them can be kept in bounds.
    """
    known = names & GUARDED
    if not known:
        raise RemedyError("the operation has no bounds that it could be kept in")
    guard = Guard(known)
    listed = ", ".join(sorted(name for name in known if not name.startswith("_")))
    edit = Edit("numerics", "", f"{listed} kept within bounds", lambda model: intercept(model, guard))
    changed = replace(
        setup.with_edit(edit),
        loss=_Around(setup.loss, guard) if in_loss and setup.loss is not None else setup.loss,
        forward=None if setup.forward is None else _Around(setup.forward, guard),
        train_step=None if setup.train_step is None else _Around(setup.train_step, guard),
        described={**setup.described, "loss_units": "same"},
    )
    return checked(setup, changed, "the operations could not be kept within bounds")


def in_single_precision(setup: Setup) -> Setup:
    """Compute in float32 where the weights are in half precision.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If no weights are in half precision.
    """
    with isolated(setup.seed):
        model, _ = setup.build()
    halves = {parameter.dtype for parameter in model.parameters()} & {torch.float16, torch.bfloat16}
    if not halves:
        raise RemedyError("the weights are in full precision as they are")
    before = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in halves))
    edit = Edit("precision", before, "float32", _single)
    return with_checked_edit(setup, edit, "it does not run in float32")


def _single(model: nn.Module) -> nn.Module:
    model.float().register_forward_pre_hook(_cast_inputs, with_kwargs=True, prepend=True)
    return model


def _cast_inputs(module: nn.Module, args: Any, kwargs: Any) -> tuple[Any, Any]:
    return map_tensors(args, _cast), map_tensors(kwargs, _cast)


def _cast(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def with_sound_eps(setup: Setup) -> Setup:
    """Keep an optimizer that divides by the size of past gradients from dividing by zero.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If its optimizer has no such number, or a sound one.
    """
    with isolated(setup.seed):
        _, optimizer = setup.build()
    usual = inspect.signature(type(optimizer)).parameters.get("eps")
    given = [float(group["eps"]) for group in optimizer.param_groups if "eps" in group]
    if not given or usual is None or not isinstance(usual.default, float):
        raise RemedyError(f"{type(optimizer).__name__} has no `eps`")
    types = [parameter.dtype for group in optimizer.param_groups for parameter in group["params"]]
    sound = max(usual.default, *(torch.finfo(dtype).smallest_normal for dtype in types))
    if min(given) >= sound:
        raise RemedyError("the optimizer divides by nothing that could be zero")
    return replace(setup, optimizer=setup.optimizer.with_setting("eps", sound))
