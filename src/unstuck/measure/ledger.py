"""Watching some steps of a set-up closely: what each gradient is made of, and in which order things are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.loop.norms import norm
from unstuck.setup.source import calling_line

CLEAR: Final = "zero_grad"
BACKWARD: Final = "backward"
STEP: Final = "step"


@final
@dataclass
class Ledger:
    """Adds up what the backward passes since the last optimizer step have given.

    Attributes:
        model: What is trained; private to this observation.
        optimizer: Its optimizer, likewise.
        shares: Per optimizer step, the share of its gradient that is not from backward passes since the last one.
        norms: Norm of the gradient that each optimizer step used.
        raw_norms: Norm of what the backward passes since the step before have given.
        largest: Largest absolute number of the gradient that each step used.
        raw_largest: Likewise of what the backward passes have given.
        late: Norm of the gradient at the end of each call that ended with an optimizer step, over that which the step
            used.
        events: Of each training call, in order, a run of the same event counted once.
        lines: Event → line of the user's source where it was last seen, "" where it is not in the user's own source.
        reached: Ids of parameters that a backward pass reached.
        alive: Ids of those whose gradient was not zero at least once.
    """

    model: nn.Module
    optimizer: Optimizer
    shares: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    raw_norms: list[float] = field(default_factory=list)
    largest: list[float] = field(default_factory=list)
    raw_largest: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    events: list[list[str]] = field(default_factory=list)
    lines: dict[str, str] = field(default_factory=dict)
    reached: set[int] = field(default_factory=set)
    alive: set[int] = field(default_factory=set)
    _fresh: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hook into model and optimizer."""
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                parameter.register_hook(self._add(parameter))
        self.optimizer.register_step_pre_hook(self._enter)
        for owner in (self.optimizer, self.model):
            object.__setattr__(owner, "zero_grad", self._noting(owner.zero_grad))

    @contextmanager
    def call(self) -> Iterator[None]:
        """Surround one training call."""
        self.events.append([])
        yield
        if self.events[-1][-1:] == [STEP] and self.norms[-1] > 0.0:
            left = norm([each.grad for each in self.model.parameters() if each.grad is not None])
            if left > 0.0:
                self.late.append(left / self.norms[-1])

    def _note(self, event: str) -> None:
        if self.events and (not self.events[-1] or self.events[-1][-1] != event):
            self.events[-1].append(event)
            self.lines[event] = calling_line()

    def _noting(self, clear: Callable[..., None]) -> Callable[..., None]:
        def zero_grad(*arguments: Any, **named: Any) -> None:
            self._note(CLEAR)
            clear(*arguments, **named)

        return zero_grad

    def _add(self, parameter: Tensor) -> Any:
        def hook(gradient: Tensor) -> None:
            self._note(BACKWARD)
            part, known = gradient.detach(), self._fresh.get(id(parameter))
            self._fresh[id(parameter)] = part.clone() if known is None else known + part
            self.reached.add(id(parameter))
            if id(parameter) not in self.alive and not part.is_sparse and bool(part.any()):
                self.alive.add(id(parameter))
            elif part.is_sparse:
                self.alive.add(id(parameter))

        return hook

    def _enter(self, *_: Any) -> None:
        self._note(STEP)
        pairs = [
            (parameter.grad, self._fresh[id(parameter)])
            for parameter in self.model.parameters()
            if parameter.grad is not None and id(parameter) in self._fresh and not parameter.grad.is_sparse
        ]
        whole = sum(float(gradient.square().sum()) for gradient, _ in pairs)
        fresh = sum(float(part.square().sum()) for _, part in pairs)
        given = [part for part in self._fresh.values() if not part.is_sparse and part.numel()]
        self._fresh = {}
        self.norms.append(whole**0.5)
        self.raw_norms.append(norm(given))
        self.largest.append(
            max((float(gradient.abs().max()) for gradient, _ in pairs if gradient.numel()), default=0.0)
        )
        self.raw_largest.append(max((float(part.abs().max()) for part in given), default=0.0))
        if whole <= 0.0 or fresh <= 0.0:
            self.shares.append(0.0)
            return
        # Clipping and loss scaling multiply the fresh gradient; only what is no multiple of it is old.
        factor = sum(float((gradient * part).sum()) for gradient, part in pairs) / fresh
        residual = sum(float((gradient - factor * part).square().sum()) for gradient, part in pairs)
        self.shares.append((residual / whole) ** 0.5)


def copies(parameters: list[nn.Parameter]) -> list[Tensor]:
    """The values of parameters, for later comparison."""
    with torch.no_grad():
        return [parameter.detach().clone() for parameter in parameters]
