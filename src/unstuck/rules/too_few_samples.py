"""There are too few training samples for what the network has to learn.

## What it checks
Whether the loss on held-out samples is larger than that on the training samples by a part that matters, still falls
steeply with the number of training samples, and is brought down by none of the usual regularisations.

## Why it hurts
A sample shows what all samples have in common, and what only it has. With few of them, the two cannot be told apart,
and whatever network is chosen, it learns accidents. Regularisation keeps it from learning them, but does not teach it
what the samples do not show.

## How it is measured
The same set-up is trained on all and on half of the training samples, five runs each, and twice on a quarter and on an
eighth, for as many steps as the run as given; of each run the lowest held-out loss over its epochs counts, so that too
long a run is not taken for too few samples. What decides is measured, not extrapolated: by how much the last doubling
of the samples, from half of them to all, brought the held-out loss down, with an interval over the runs. A power law,
L(n) = a + b · n^−c, is drawn through all runs and followed to two, four and ten times the samples, with an interval
from how far the runs stray from it. Beside it stands the bias–complexity curve: what hidden layers an eighth to four
times as wide reach on the same samples. It is asked last, where nothing else was proven: where regularisation closes
the gap, that is overfitting.

## Remedy
Collect more samples; the report says how many for how much. Where that cannot be done: augmentation that keeps the
label, a network that was trained on other data of the kind and is trained on, features that are known to matter.

## When to leave it
A curve that has levelled off says that more of the same will not help, however few they are: the rest is noise, or lies
in what was not measured. Extrapolating to ten times the samples is a guess, as its interval tells.

## References
C. Cortes et al., "Learning curves: asymptotic values and rate of convergence", 1993.
J. Hestness et al., "Deep learning scaling is predictable, empirically", 2017.
S. Geman, E. Bienenstock, R. Doursat, "Neural networks and the bias/variance dilemma", 1992.
T. Viering, M. Loog, "The shape of learning curves: a review", 2021.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from unstuck import patients
from unstuck.edits.samples import fewer_samples
from unstuck.edits.schedule import paced
from unstuck.measure.capacity_curve import CapacityCurve
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.measure.gap import gap
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.sample_curve import SampleCurve
from unstuck.quantity import Quantity, Threshold, roughly
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Setup

STEEP: Final = Threshold(
    0.1,
    "share of the span",
    "what counts as a large shortfall: the last doubling of the samples did as much as a cure, and on a power law no "
    "steeper than the parametric rate, 1/n, the next does at least half as much",
)

KEPT: Final = 0.08
FEWEST: Final = 24


def judge(comparison: Comparison, curve: SampleCurve | Unmeasured, capacity: CapacityCurve | Unmeasured) -> Verdict:
    """Conclude where the gap is large and the last doubling of the samples closed a part of it that matters."""
    found = gap(comparison, "held_out", "training")
    distance = Evidence(found, LARGE)
    if comparison.training_is_large or not found.value >= LARGE.value:
        sentence = "There is no gap to held-out samples that more training samples would close."
        return Verdict(Outcome.ABSENT, sentence, (distance,))
    if isinstance(curve, Unmeasured):
        return Verdict(Outcome.UNDECIDED, f"The curve over samples was not taken: {curve.reason}.", (distance,))
    lowest = min(comparison.lowest("held_out"), comparison.given.training.loss, *curve.losses, math.inf)
    span = comparison.constant_held_out - lowest
    if not span > 0.0:
        return Verdict(Outcome.UNDECIDED, "No loss lies below that of the best constant prediction.", (distance,))
    fall, low, high = (value / span for value in curve.last_doubling)
    present = max(curve.sizes)
    name = "fall of the held-out loss from half of the samples to all"
    ends = (low, high) if math.isfinite(low) else (None, None)
    steep = Evidence(Quantity(name, fall, STEEP.unit, *ends), STEEP)
    further = tuple(
        Evidence(Quantity(f"held-out loss expected of {each.samples} samples", each.loss, "", each.low, each.high))
        for each in curve.extrapolations
    )
    evidence = (steep, distance, *further, *_widths(capacity))
    told = f"{present} samples lower the held-out loss by {fall:.0%} of the span against half of them"
    if not fall >= STEEP.value:
        return Verdict(Outcome.ABSENT, f"The curve levels off: {told}.", evidence)
    if not low > 0.0:
        return Verdict(Outcome.UNDECIDED, f"The curve may still fall: {told}, which chance could explain.", evidence)
    return Verdict(Outcome.PRESENT, f"The curve still falls steeply: {told}{_wanted(curve)}.", evidence)


def _widths(capacity: CapacityCurve | Unmeasured) -> tuple[Evidence, ...]:
    """The bias–complexity curve: what other widths of the hidden layers reach on held-out samples."""
    points = () if isinstance(capacity, Unmeasured) else capacity.points
    return tuple(
        Evidence(
            Quantity(
                f"held-out loss of hidden layers {point.factor:g} times as wide (training loss {point.training:.3g})",
                point.held_out,
                "",
                point.held_out - 2.0 * point.standard_error,
                point.held_out + 2.0 * point.standard_error,
            )
        )
        for point in points
    )


def _wanted(curve: SampleCurve) -> str:
    """How many samples would close half of what more samples can close, where that is within reach."""
    half = curve.law.samples_for(0.5 * (curve.expected + curve.law.floor))
    most = max((each.samples for each in curve.extrapolations), default=0)
    if not half <= most:
        return ""
    return f", and about {roughly(half)} would close half of what samples can close"


def take_samples_away(setup: Setup) -> Setup:
    """Train on a twelfth of the samples for as many steps, and keep the best epoch: only samples are lacking.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.
    """
    changed = fewer_samples(setup, KEPT, FEWEST)
    before, after = setup.train.batches_per_epoch or 1, changed.train.batches_per_epoch or 1
    epochs = max(1, round(setup.epochs * before / after))
    pace = setup.scheduler if setup.schedule_every == "step" else paced(setup, epochs / setup.epochs)
    return replace(changed, epochs=epochs, scheduler=pace, early_stopping=setup.validation is not None)


RULE = Rule(
    code="GEN007",
    judge=judge,
    fault=take_samples_away,
    remedy=Remedy("Collect more samples, as many as the curve over samples says.", None, Applies.ADVICE),
    cases=(
        Case(
            "a curved surface over three features, of which twenty-six samples are known",
            lambda: take_samples_away(patients.regression()),
            Outcome.PRESENT,
        ),
        Case("the same with enough samples", patients.shells, Outcome.ABSENT),
        Case(
            "few samples of an easy kind",
            lambda: patients.regression(linear=True, noise=0.05, epochs=30),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.HELD_OUT,
    explained_by=("GEN001", "GEN002", "SET014", "DAT006"),
    evidence_suffices=True,
)
