"""The first training steps as they are really taken: what each is made of, and whom it reaches."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.edits.registration import unregistered
from unstuck.loop.clock import WorkClock
from unstuck.loop.layers import own_parameters, parametrised_layers
from unstuck.loop.stages import take_step
from unstuck.measure.ledger import STEP, Ledger, copies
from unstuck.measure.preparation import Prepared
from unstuck.setup import Batch, Setup
from unstuck.setup.randomness import isolated, one_thread, seeded

WANTED: Final = 5
"""Optimizer steps that are looked at; the first cannot hold anything old."""

MOST_CALLS: Final = 80
"""Training calls that are looked at most: steps may come after many of them."""

LONGEST_SECONDS: Final = 1.0
"""Work of this thread after which no further call is made."""


@final
@dataclass(frozen=True, slots=True)
class LayerConduct:
    """What the first steps did to the trainable numbers of a layer.

    Attributes:
        name: Of the module that owns them.
        trainable: How many there are.
        optimised: How many of them the optimizer holds.
        reached: How many of them a backward pass gave a gradient.
        alive: How many of them are in a parameter whose gradient was not zero throughout.
        moved: How many of them are in a parameter that changed.
    """

    name: str
    trainable: int
    optimised: int
    reached: int
    alive: int
    moved: int


@final
@dataclass(frozen=True, slots=True)
class FirstSteps:
    """The first training calls and the optimizer steps that they took.

    Attributes:
        calls: Batches that were read.
        steps: Optimizer steps that were taken on them.
        stale_shares: Per optimizer step, the share of its gradient (Euclidean norm) that was there before the
            first backward pass after the step before it, shape `[steps]`; the first is 0.
        gradient_norms: Norm of the gradient that each step used, shape `[steps]`.
        raw_norms: Norm of what the backward passes since the step before have given, shape `[steps]`.
        late_norm: Norm of the gradient at the end of a call over that which its optimizer step used, the median of
            calls that leave a gradient behind; NaN where none does. Below 1, it was clipped after the step.
        layers: What became of each layer with trainable parameters.
        foreign: Tensors in the optimizer that are no parameters of the model.
        unregistered: Names of layers that get a gradient and that the model keeps where `parameters()` does not find
            them.
        order: What the last call but one did, in order: "zero_grad", "backward", "step".
        step_line: Line of the user's source that steps the optimizer, "" where it is not in their own source.
        backward_line: Likewise, that runs the backward pass.
        clear_line: Likewise, that clears the gradients.
    """

    cost: ClassVar[float] = 0.0

    calls: int
    steps: int
    stale_shares: tuple[float, ...]
    gradient_norms: tuple[float, ...]
    raw_norms: tuple[float, ...]
    late_norm: float
    layers: tuple[LayerConduct, ...]
    foreign: int
    unregistered: tuple[str, ...]
    order: tuple[str, ...]
    step_line: str
    backward_line: str
    clear_line: str

    @classmethod
    def measure(cls, prepared: Prepared) -> FirstSteps:
        """Take a few steps of the set-up, and keep account of them."""
        setup = prepared.setup
        with isolated(setup.seed), one_thread():
            setup, model, optimizer = setup.fresh()
            if not model.training:
                model.train()  # as the loop does
            ledger = Ledger(model, optimizer)
            parameters = list(model.parameters())
            before = copies(parameters)
            observe(setup, ledger, WANTED)
            moved = {
                id(parameter)
                for parameter, old in zip(parameters, before, strict=True)
                if not torch.equal(parameter.detach(), old)
            }
            kept_apart = [name for name, (_, _, part) in unregistered(model).items() if _has_gradient(part)]
        known = {id(parameter) for parameter in parameters}
        return cls(
            calls=len(ledger.events),
            steps=len(ledger.shares),
            stale_shares=tuple(ledger.shares),
            gradient_norms=tuple(ledger.norms),
            raw_norms=tuple(ledger.raw_norms),
            late_norm=statistics.median(ledger.late) if ledger.late else math.nan,
            layers=_conduct(model, optimizer, ledger, moved),
            foreign=sum(id(each) not in known for each in held(optimizer)),
            unregistered=tuple(kept_apart),
            order=tuple(ledger.events[-2] if len(ledger.events) > 1 else ()),
            step_line=ledger.lines.get(STEP, ""),
            backward_line=ledger.lines.get("backward", ""),
            clear_line=ledger.lines.get("zero_grad", ""),
        )


def observe(setup: Setup, ledger: Ledger, wanted: int) -> None:
    """Take training calls of a set-up until its ledger holds so many optimizer steps, or time or calls are used up.

    Args:
        setup: With private copies of its functions.
        ledger: Hooked into the model and the optimizer that are trained.
        wanted: Optimizer steps.
    """
    clock = WorkClock()
    for batch in _batches(setup):
        with ledger.call():
            take_step(setup, ledger.model, ledger.optimizer, setup.placed(batch))
        if len(ledger.shares) >= wanted or len(ledger.events) >= MOST_CALLS or clock() > LONGEST_SECONDS:
            return


def _batches(setup: Setup) -> Iterator[Batch]:
    generator = seeded(setup.seed)
    for _ in range(setup.epochs):
        yield from setup.train.batches(generator)


def held(optimizer: Optimizer) -> Iterator[Tensor]:
    """All tensors that an optimizer trains."""
    for group in optimizer.param_groups:
        yield from group["params"]


def _has_gradient(part: nn.Module | nn.Parameter) -> bool:
    own = [part] if isinstance(part, nn.Parameter) else part.parameters()
    return any(parameter.grad is not None for parameter in own)


def _conduct(model: nn.Module, optimizer: Optimizer, ledger: Ledger, moved: set[int]) -> tuple[LayerConduct, ...]:
    optimised, seen = {id(each) for each in held(optimizer)}, set[int]()
    found = []
    for name, layer in parametrised_layers(model).items():
        own: list[Any] = [each for each in own_parameters(layer) if each.requires_grad and id(each) not in seen]
        seen.update(map(id, own))
        if own:
            sets = (optimised, ledger.reached, ledger.alive, moved)
            counts = [sum(each.numel() for each in own if id(each) in chosen) for chosen in sets]
            found.append(LayerConduct(name, sum(each.numel() for each in own), *counts))
    return tuple(found)
