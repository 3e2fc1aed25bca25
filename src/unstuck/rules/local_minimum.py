"""The training comes to rest at a minimum that is not a good one.

## What it checks
Whether the run ends where the gradient has all but vanished and the surface bends down in no direction, while the same
model, trained from another start, goes lower.

## Why it hurts
From a minimum no small step leads down, whatever the optimizer. Wide networks have few bad ones, but narrow ones,
periodic units and rectifiers that are all on, or all off, on every sample have: there the network is linear on the
data, and no gradient tells it that its kinks lie elsewhere.

## How it is measured
At the end of the run as given, where the training loss is large: the gradient against that at a sound start, and the
smallest eigenvalue of the Hessian with its error bound, by Lanczos' method on exact products. As directions without
curvature may lead down further out, the loss is also lowered by L-BFGS from the point itself and from a small random
push away from it; only a point that both come back to counts as a minimum. The suspicion is tested by drawing the
weights anew, by noise in the gradients, and by twice the width; it is confirmed if one of them ends lower on the
training data and on held-out data by at least a tenth of the span.

## Remedy
The first in that order that does nearly as well as the best. Where starts differ much, train from several and keep the
best.

## When to leave it
A model that is too small has only high minima; nothing but more capacity helps it. A minimum as low as other learners
get is where a run should end.

## References
F. He, B. Wang, D. Tao, "Piecewise linear activations substantially shape the loss surfaces of neural networks", 2020.
S. Liu, D. Papailiopoulos, D. Achlioptas, "Bad global minima exist and SGD can reach them", 2020.
A. Choromanska et al., "The loss surfaces of multilayer networks", 2015.
"""

from __future__ import annotations

import math
from typing import Any, Final

import torch
from torch import Tensor, nn

from unstuck import patients
from unstuck.edits.initialisation import draw_initialisation
from unstuck.edits.noise import add_gradient_noise
from unstuck.edits.passes import sample
from unstuck.edits.structure import read_structure
from unstuck.edits.widening import widened
from unstuck.errors import RemedyError
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.measure.curvature import Critical, Kind, Surface, measure_point
from unstuck.measure.curvature.at_end import EndPoint
from unstuck.measure.curvature.lines import lowered
from unstuck.measure.curvature.resting import SAMPLES, start_at_rest
from unstuck.measure.curvature.verdict import MATTERS, SMALL
from unstuck.measure.protocol import Unmeasured
from unstuck.quantity import Quantity
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Edit, Setup

WIDER: Final = 2.0

MARGIN: Final = 0.3
"""Of the range of a unit's input, by which the fault lifts it off zero."""

SETTLING: Final = 300


def judge(comparison: Comparison, end: EndPoint | Unmeasured) -> Verdict:
    """Suspect a vanished gradient without negative curvature, where the loss is large."""
    short = Evidence(Quantity("largest shortfall, as a share of the span", comparison.shortfall), LARGE)
    if not comparison.training_is_large:
        sentence = f"The training loss is not large ({max(0.0, comparison.shortfall):.0%} of the span is left)."
        return Verdict(Outcome.ABSENT, sentence, (short,))
    if isinstance(end, Unmeasured):
        return Verdict(Outcome.UNDECIDED, f"The curvature could not be measured: {end.reason}.", (short,))
    point = end.point
    steepness = Evidence(Quantity("gradient at the end / at a sound start", point.steepness), SMALL)
    smallest = Evidence(
        Quantity(
            "smallest eigenvalue of the Hessian at the end",
            point.smallest,
            "loss per squared weight",
            point.smallest - point.smallest_error,
            point.smallest + point.smallest_error,
        )
    )
    share = max(point.slope_fall, point.push_fall) / point.span if point.span > 0.0 else math.nan
    fall = Evidence(Quantity("fall of the loss from there, pushed or not / what could be gained", share), MATTERS)
    evidence = (steepness, smallest, fall)
    if point.steepness > SMALL.value:
        sentence = f"The run had not come to rest: its gradient is {point.steepness:.1%} of that at a sound start."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    if end.kind is Kind.UNDECIDED:
        return Verdict(Outcome.UNDECIDED, "It cannot be told what kind of point the run ended at.", evidence)
    if end.kind is not Kind.MINIMUM:
        sentence = f"The run ended at a point that is no minimum, but: {end.kind.value}."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    sentence = (
        f"The run ended at a minimum: the gradient is {point.steepness:.1%} of that at a sound start, the smallest "
        f"eigenvalue {point.smallest:.2g} ± {point.smallest_error:.1g}, {end.minimum_ratio:.0%} of all are not "
        f"negative, and the loss of {point.loss:.3g} goes no lower from a small push."
    )
    return Verdict(Outcome.PRESENT, sentence, evidence)


def start_at_minimum(setup: Setup) -> Setup:
    """Start at the best that the network can do while each of its rectifiers is on for every sample.

    It is then linear on the data; He et al. 2020 show that such points are local minima.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up, trained by plain gradient descent on all data at once.

    Raises:
        RemedyError: If it has no rectifiers behind layers with biases, or what was reached is no minimum.
    """
    names = [layer.name for layer in read_structure(setup).layers if layer.followed_by == "Relu"]
    if not names:
        raise RemedyError("it has no rectifiers, which could be on for every sample")
    batch = sample(setup, SAMPLES)

    def lift(module: Any, inputs: Any, output: Tensor) -> Tensor:
        features = output.dim() - 1 if isinstance(module, nn.Linear) else 1
        others = [dimension for dimension in range(output.dim()) if dimension != features]
        low, high = output.amin(dim=others), output.amax(dim=others)
        shift = (MARGIN * (high - low) - low).detach()
        if isinstance(module.bias, Tensor):
            with torch.no_grad():
                module.bias.add_(shift)
        return output + shift.view([-1 if dimension == features else 1 for dimension in range(output.dim())])

    def apply(model: Any) -> Any:
        handles = [model.get_submodule(name).register_forward_hook(lift, prepend=True) for name in names]
        with torch.no_grad():
            setup.outputs(model, batch)
        for handle in handles:
            handle.remove()
        return model

    return start_at_rest(
        setup.with_edit(Edit("initial biases", "as given", "every rectifier on", apply)), Kind.MINIMUM, _go
    )


def _go(surface: Surface) -> Critical:
    reference = surface.gradient().norm
    lowered(surface, SETTLING)
    return measure_point(surface, gradient_reference=reference)


def start_elsewhere(setup: Setup, end: EndPoint) -> tuple[Setup, ...]:
    """Draw the weights anew; noise in the gradients; twice the width.

    Args:
        setup: What is trained.
        end: Tells how large a usual gradient is.

    Returns:
        One set-up a change.

    Raises:
        RemedyError: If none of them applies.
    """
    found: list[Setup] = []
    reason = ""
    changes = (
        draw_initialisation,
        lambda s: add_gradient_noise(s, end.point.gradient_reference),
        lambda s: widened(s, WIDER),
    )
    for change in changes:
        try:
            found.append(change(setup))
        except RemedyError as error:
            reason = str(error)
    if not found:
        raise RemedyError(reason)
    return tuple(found)


RULE = Rule(
    code="OPT004",
    judge=judge,
    fault=start_at_minimum,
    remedy=Remedy(
        "Start from other weights, add noise to the gradients or widen the hidden layers.",
        start_elsewhere,
        Applies.OPT_IN,
    ),
    cases=(
        Case(
            "rectifiers that are on for every sample, at the best linear map",
            lambda: start_at_minimum(patients.regression()),
            Outcome.PRESENT,
        ),
        Case("rectifiers that start as they should", patients.regression, Outcome.ABSENT),
        Case(
            "a rate so low that the run is still on the slope",
            lambda: patients.shells(optimizer=patients.adam(3e-5)),
            Outcome.ABSENT,
        ),
    ),
    is_cure_all=True,
    # Where units pass no gradient on, none is left at all: drawing the weights anew mends these as well.
    explained_by=("DAT001", "OPT006", "OPT008", "OPT009", "OPT010", "OPT011", "OPT018"),
)
