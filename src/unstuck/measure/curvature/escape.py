"""Out of a saddle: the training that goes on from beyond it, and a start that is moved off one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, final

import torch
from torch import Tensor, nn

from unstuck.loop import fit
from unstuck.measure.curvature.lanczos import extreme_eigenpairs
from unstuck.measure.curvature.lines import escape
from unstuck.measure.curvature.surface import Surface
from unstuck.measure.curvature.training import surface_of
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Edit, Setup
from unstuck.setup.randomness import isolated, one_thread

SHARE: Final = 0.25
"""Of the steps of the run as given, that training goes on for."""

MOST_STEPS: Final = 400
SECONDS: Final = 1.0
"""Wall time of each of the two runs that go on."""

SAMPLES: Final = 256
"""Training samples on which the direction out of a start is sought."""

START_PRODUCTS: Final = 40
"""Hessian products for that direction at most."""


@final
@dataclass(frozen=True, slots=True)
class Continuation:
    """The run as given, trained on: from where it ended, and from beyond the saddle.

    Attributes:
        steps: Of each.
        stayed: Training loss where it just went on.
        escaped: Training loss where it first took the escape step.
        step: Length of the escape step.
    """

    steps: int
    stayed: float
    escaped: float
    step: float


def go_on(setup: Setup, model: nn.Module, surface: Surface, step: Tensor, steps: int) -> Continuation:
    """Train on from where a run ended, with and without the escape step.

    Args:
        setup: The run as given.
        model: Its end.
        surface: The loss there; it is scored on.
        step: The escape step, shape `[P]`, as `surface.parameters`.
        steps: Steps of the run as given.

    Returns:
        Both losses.
    """
    count = max(1, min(MOST_STEPS, round(SHARE * steps)))
    start = surface.point()
    names = _names(model, surface)
    losses = []
    for point in (start, start + step):
        with surface.at(point):
            values = {name: p.detach().clone() for name, p in zip(names, surface.parameters, strict=True)}
        begun = setup.with_edit(beginning(model, values))
        run = fit(replace(begun, epochs=max(1, setup.epochs)), steps=count, seconds=SECONDS, validate=False)
        ended = dict(run.model.named_parameters())
        point = torch.cat([ended[name].detach().to(surface.like).reshape(-1) for name in names])
        losses.append(surface.loss_at(point) if bool(torch.isfinite(point).all()) else math.inf)
    return Continuation(count, losses[0], losses[1], float(step.norm()))


def _names(model: nn.Module, surface: Surface) -> list[str]:
    """Names of a surface's parameters, in its order, in a model of the same structure."""
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert len(names) == len(surface.parameters)  # the surface is over a copy of this very model
    return names


def beginning(model: nn.Module, values: Mapping[str, Tensor]) -> Edit:
    """Begin every run with the weights and buffers of a model, some of them replaced by `values`."""
    state = {**{name: value.detach().clone() for name, value in model.state_dict().items()}, **values}

    def apply(fresh: nn.Module) -> nn.Module:
        fresh.load_state_dict(state)
        return fresh

    return Edit("initial weights", "as given", "those that a run ended with", apply)


def escaping_start(setup: Setup) -> Setup:
    """Move the start of every run along the direction in which the loss bends down most, to where it is lowest.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up; a start without negative curvature stays where it is.
    """
    batches = setup.train.head(SAMPLES)

    def apply(model: nn.Module) -> nn.Module:
        try:
            with isolated(setup.seed), one_thread():
                _leave(surface_of(setup, model, batches), setup.seed)
        except NotMeasurable:
            pass  # trained as it is, it will say itself what is wrong
        return model

    return setup.with_edit(Edit("initial weights", "as given", "moved off the saddle that they lie at", apply))


def _leave(surface: Surface, seed: int) -> None:
    start = surface.likely_start(seed)
    ends = extreme_eigenpairs(surface.product, start, ends=(True, False), tolerance=0.1, most=START_PRODUCTS)
    found = escape(surface, ends.smallest, surface.gradient().vector, abs(surface.loss()))
    if found.descent.fall > 0.0:
        surface.move(surface.point() + found.descent.step * ends.smallest.vector)
