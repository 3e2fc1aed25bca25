"""Calls of chosen functions of torch in one forward pass: numbered, so that some of them can be answered otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from unstuck.edits.interception import Interception, unchanged, with_interception
from unstuck.edits.passes import checked, forward, sample
from unstuck.setup import Edit, Setup
from unstuck.setup.randomness import isolated, one_thread

SOFTMAXES: Final = frozenset({"softmax", "log_softmax"})


@final
@dataclass(frozen=True, slots=True)
class NumberedCall:
    """One call of a function of torch.

    Attributes:
        name: Of the function.
        number: Of the call among all counted ones in the pass.
        inside: Of the call among those in the model's own forward; None where it is outside.
        shape: Of its first argument.
        made: Shape of its result.
        axis: The dimension that it works along, from 0, where it has one; None else.
    """

    name: str
    number: int
    inside: int | None
    shape: tuple[int, ...]
    made: tuple[int, ...]
    axis: int | None


@final
class _Counting(TorchFunctionMode):
    """Numbers the calls of some functions."""

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__()
        self.names, self.running, self.seen, self.seen_inside = names, 0, 0, 0
        self.calls: list[NumberedCall] = []

    def enter(self, *_: Any) -> None:
        """The model's forward begins."""
        self.running += 1

    def leave(self, *_: Any) -> None:
        """It ends."""
        self.running -= 1

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result, name = func(*args, **(kwargs or {})), getattr(func, "__name__", "")
        if name in self.names:
            inside = self.seen_inside if self.running > 0 else None
            given = args[0] if args else (kwargs or {}).get("input")
            if isinstance(given, Tensor) and isinstance(result, Tensor):
                shapes = tuple(given.shape), tuple(result.shape)
                axis = _axis(given, args, kwargs or {}) if name in SOFTMAXES else None
                self.calls.append(NumberedCall(name, self.seen, inside, *shapes, axis))
            self.seen += 1
            self.seen_inside += inside is not None
        return result


def _axis(given: Tensor, args: Any, kwargs: Any) -> int:
    """The axis of a softmax, as torch chooses it where none is given."""
    axis = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if axis is None:
        axis = 0 if given.dim() in (0, 1, 3) else 1
    return int(axis) % max(1, given.dim())


def numbered_calls(setup: Setup, names: frozenset[str], samples: int) -> list[NumberedCall]:
    """Run the set-up's model once on some training samples, in evaluation mode, and number calls.

    Args:
        setup: What is trained.
        names: Of the functions.
        samples: Number of samples at most.

    Returns:
        The calls in order.
    """
    batch, counting = sample(setup, samples), _Counting(names)
    with isolated(setup.seed), one_thread(), torch.no_grad():
        model, optimizer = setup.build()
        model.eval()
        model.register_forward_pre_hook(counting.enter)
        model.register_forward_hook(counting.leave)
        with counting:
            forward(setup, model, optimizer, batch)
    return counting.calls


def with_calls_answered(
    setup: Setup,
    names: frozenset[str],
    chosen: Sequence[NumberedCall],
    replacement: Callable[[Tensor], Tensor],
    changes: tuple[str, str],
) -> Setup:
    """The set-up with some calls answered otherwise.

    Args:
        setup: What is trained.
        names: Of the functions that were numbered.
        chosen: Which of their calls.
        replacement: Takes their first argument.
        changes: The call before and after, in words.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the calls cannot be reached, or the model does not run with other answers.
    """
    in_model = all(call.inside is not None for call in chosen)
    numbers = frozenset(call.inside if in_model and call.inside is not None else call.number for call in chosen)
    plan = Interception(names, only=numbers, replacement=replacement)
    edit = Edit(f"model: call of {chosen[0].name}", *changes, unchanged)
    refusal = f"the call of {chosen[0].name} could not be changed"
    return checked(setup, with_interception(setup, edit, plan, in_model=in_model), refusal)
