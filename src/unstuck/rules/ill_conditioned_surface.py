"""The loss surface is steep in a few directions and nearly flat in the others.

## What it checks
Whether one learning rate must serve directions whose curvatures differ by orders of magnitude: it is as high as the
steepest of them bears, and far too low for the typical one.

## Why it hurts
Gradient descent diverges along a direction as soon as rate × curvature exceeds 2, so that the steepest one sets the
rate for all. Along a direction of a thousandth of that curvature, a step then closes less than a five-hundredth of the
way: the loss falls at once where the surface is steep, and then creeps along the floor of a valley.

## How it is measured
Where the training loss is large: the largest curvature at the start or the end of the run as given, as the rate has to
bear both, over the typical one at its end (the median of those eigenvalues that are not zero, from the spectral
density by stochastic Lanczos quadrature); the rate × that largest curvature against what the optimizer bears; and,
from the end, the fall of the loss in a few steps of L-BFGS, which turns the valley round. The suspicion is tested by
Adam, which scales each direction by itself, at several rates, and by normalisation layers; it is confirmed if one of
them ends lower on the training data and on held-out data by at least a tenth of the span.

## Remedy
The first in that order that does nearly as well as the best.

## When to leave it
Every network's surface is ill-conditioned to some degree; if the loss is low, it does not matter. Where the inputs'
scales are the reason, standardise them: the surface is then as good as it gets. Where a higher rate is borne, raise it.

## References
Y. LeCun et al., "Efficient backprop", 1998, section 5.
L. Sagun et al., "Empirical analysis of the Hessian of over-parametrized neural networks", 2017.
B. Ghorbani, S. Krishnan, Y. Xiao, "An investigation into neural net optimization via Hessian eigenvalue density",
2019.
D. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2015.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck import patients
from unstuck.edits.insertion import insert_behind
from unstuck.edits.normalisation import insert_normalisation
from unstuck.edits.passes import with_checked_edit
from unstuck.edits.structure import read_structure
from unstuck.errors import RemedyError
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.measure.curvature import extreme_eigenpairs, surface_of
from unstuck.measure.curvature.at_end import EndPoint
from unstuck.measure.curvature.verdict import STILL
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.quantity import Quantity, Threshold, roughly
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Edit, OptimizerRecipe, Setup
from unstuck.setup.randomness import isolated, one_thread

HUGE: Final = Threshold(
    100.0,
    "typical curvature",
    "gradient descent at the limit of the steepest direction then needs a hundred steps for one e-fold of the typical "
    "one (LeCun et al. 1998, section 5)",
)

AT_THE_LIMIT: Final = Threshold(
    0.1,
    "what the optimizer bears",
    "a tenth: a rate below it can be raised by a decade, which is another diagnosis",
)

FALLS: Final = Threshold(
    0.25, "share of what could be gained", "a quarter in twenty steps of L-BFGS, where the whole run gained none of it"
)

RATES: Final = (3e-3, 1e-2, 1e-3)
DECADES: Final = 3.0
"""Over which the fault spreads the scales of the units of a layer."""

STEEP: Final = 1.0
"""Rate × curvature at the start that the fault trains with: half of what gradient descent bears."""

SAMPLES: Final = 512


def judge(comparison: Comparison, end: EndPoint | Unmeasured) -> Verdict:
    """Suspect curvatures far apart, under a rate at the limit of the largest, where a second-order method goes down."""
    short = Evidence(Quantity("largest shortfall, as a share of the span", comparison.shortfall), LARGE)
    if not comparison.training_is_large:
        sentence = f"The training loss is not large ({max(0.0, comparison.shortfall):.0%} of the span is left)."
        return Verdict(Outcome.ABSENT, sentence, (short,))
    if isinstance(end, Unmeasured):
        return Verdict(Outcome.UNDECIDED, f"The curvature could not be measured: {end.reason}.", (short,))
    share = end.valley_fall / end.point.span if end.point.span > 0.0 else math.nan
    condition = Evidence(Quantity("largest curvature on the way / typical curvature at the end", end.condition), HUGE)
    limit = Evidence(Quantity("rate × largest curvature / what the optimizer bears", end.stability), AT_THE_LIMIT)
    fall = Evidence(Quantity("fall in a few steps of L-BFGS / what could be gained", share), FALLS)
    evidence = (condition, limit, fall)
    if math.isnan(end.stability):
        return Verdict(Outcome.ABSENT, "The optimizer scales each direction by itself.", evidence)
    if end.stability < AT_THE_LIMIT.value:
        sentence = f"The rate is {end.stability:.1%} of what the steepest direction bears: it can be raised."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    if not end.point.steepness > STILL.value:
        sentence = f"The run had come to rest: its gradient is {end.point.steepness:.1%} of that at a sound start."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    if not end.condition >= HUGE.value:
        sentence = f"The largest curvature is {roughly(end.condition)} times the typical one."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    if not share >= FALLS.value:
        sentence = f"A second-order method gains no more than {max(0.0, share):.0%} of what there is to gain."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    sentence = (
        f"The largest curvature is {roughly(end.condition)} times the typical one, the rate is {end.stability:.0%} of "
        f"what it bears, and twenty steps of L-BFGS lower the loss from {end.point.loss:.3g} to "
        f"{end.point.loss - end.valley_fall:.3g}."
    )
    return Verdict(Outcome.PRESENT, sentence, evidence)


@final
class UnitScales(nn.Module):
    """Multiplies each unit (dimension 1) by a fixed factor."""

    factors: Tensor

    def __init__(self, count: int, seed: int) -> None:
        super().__init__()
        draws = torch.rand(count, generator=torch.Generator().manual_seed(seed))
        self.register_buffer("factors", 10.0 ** (DECADES * (draws - 0.5)))

    def forward(self, values: Tensor) -> Tensor:
        """The scaled values, same shape."""
        return values * self.factors.view([-1 if dimension == 1 else 1 for dimension in range(values.dim())])


def spread_unit_scales(setup: Setup) -> Setup:
    """Scale the hidden units by factors over three decades, and train by gradient descent at half the rate it bears.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If it has no hidden layer behind which units can be scaled.
    """
    layers = {
        layer.name: layer.output_shape[1]
        for layer in read_structure(setup).layers
        if layer.followed_by is not None and not layer.normalised and len(layer.output_shape) in (2, 4)
    }
    if not layers:
        raise RemedyError("it has no hidden layer whose units could be scaled, or a norm behind it undoes the scales")

    def apply(model: nn.Module) -> nn.Module:
        for number, (name, count) in enumerate(layers.items()):
            insert_behind(model.get_submodule(name), "scales", UnitScales(count, number))
        return model

    edit = Edit("hidden units", "alike in scale", f"scaled by factors over {DECADES:g} decades", apply)
    changed = with_checked_edit(setup, edit, "the units could not be scaled")
    try:
        with isolated(setup.seed), one_thread():
            model, _ = changed.build()
            model.train()
            surface = surface_of(changed, model, changed.train.head(SAMPLES))
            ends = extreme_eigenpairs(surface.product, surface.likely_start(setup.seed), ends=(False, True))
    except NotMeasurable as reason:
        raise RemedyError(str(reason)) from reason
    return replace(changed, optimizer=OptimizerRecipe(_sgd(STEEP / ends.scale)), scheduler=None)


def _sgd(rate: float) -> Callable[[Iterable[Any]], Optimizer]:
    return lambda parameters: torch.optim.SGD(list(parameters), rate)


def _adam(rate: float) -> Callable[[Iterable[Any]], Optimizer]:
    return lambda parameters: torch.optim.Adam(list(parameters), rate)


def scale_each_direction(setup: Setup) -> tuple[Setup, ...]:
    """Adam at each of `RATES`; normalisation layers; both.

    Args:
        setup: What is trained.

    Returns:
        One set-up a change.
    """
    found = [replace(setup, optimizer=OptimizerRecipe(_adam(rate))) for rate in RATES]
    try:
        normalised = insert_normalisation(setup)
    except RemedyError:
        return tuple(found)
    return (*found, normalised, replace(normalised, optimizer=OptimizerRecipe(_adam(RATES[0]))))


RULE = Rule(
    code="OPT005",
    judge=judge,
    fault=spread_unit_scales,
    remedy=Remedy(
        "Use an optimizer that scales each direction by itself, such as Adam, or normalisation layers.",
        scale_each_direction,
        Applies.SAFE,
    ),
    cases=(
        Case(
            "hidden units whose scales differ by three decades, gradient descent",
            lambda: spread_unit_scales(patients.regression()),
            Outcome.PRESENT,
        ),
        Case("units alike in scale, Adam", patients.regression, Outcome.ABSENT),
        Case(
            "gradient descent at a rate that suits a surface like any other",
            lambda: patients.shells(optimizer=patients.sgd(0.1, 0.9)),
            Outcome.ABSENT,
        ),
        Case(
            "gradient descent at a rate a hundred times too low",
            lambda: patients.shells(optimizer=patients.sgd(0.001)),
            Outcome.ABSENT,
        ),
    ),
    explained_by=("DAT001", "DAT002", "OPT010", "OPT018"),
)
