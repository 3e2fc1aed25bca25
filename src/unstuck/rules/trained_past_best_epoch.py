"""The network was trained past the epoch at which it was best on new samples.

## What it checks
Whether the loss on held-out samples has its minimum before the end of the run, and rises from there by more than noise
and by a part of the span that matters, while the training loss itself is small.

## Why it hurts
A network learns first what many samples have in common, and later what single ones are like. Up to some epoch both
losses fall; from there on only the training loss does, and what is still learnt is what does not come back in new
samples. The network that was there halfway was better than the one that is kept.

## How it is measured
The held-out loss after every epoch of the run as given: the distance from its minimum to the median of its last
epochs, as a share of the span from the best constant prediction down to the lowest loss known. Single epochs stray
from the course of the curve; the rise must exceed twice what that makes of a difference. The epoch to stop at is then
chosen on a fifth of the *training* samples, which that run does not train on, and the network is trained on all of
them for as many epochs, and for twice and four times as many; it is confirmed if the held-out loss is lower by at
least a tenth of the span from several seeds. Where another regularisation at the full length goes lower by another
tenth, the length is not the cause, and overfitting is named first.

## Remedy
Stop at that epoch, with the schedule as it is or shortened to end there. In practice: keep the weights of the epoch
with the lowest loss on a validation split, and stop once that has not improved for a few epochs.

## When to leave it
A held-out loss that rises while the held-out error still falls is a matter of overconfidence: where only the answer
counts, not its probability, longer training may be better. Very large networks may pass a second descent after the
rise. A run whose weights are taken from its best epoch already has nothing to gain.

## References
L. Prechelt, "Early stopping – but when?", 1998.
I. Goodfellow, Y. Bengio, A. Courville, "Deep learning", 2016, section 7.8 and algorithm 7.2.
R. Caruana, S. Lawrence, L. Giles, "Overfitting in neural nets: backpropagation, conjugate gradient, and early
stopping", 2000.
P. Nakkiran et al., "Deep double descent", 2020.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from unstuck import patients
from unstuck.edits.regularisation import without_dropout, without_weight_decay
from unstuck.edits.samples import fewer_samples, with_wrong_targets
from unstuck.edits.schedule import paced, with_epochs_times
from unstuck.edits.widening import widened
from unstuck.errors import RemedyError
from unstuck.measure.best_epoch import BestEpoch
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.measure.epoch_curve import EpochCurve
from unstuck.quantity import Quantity
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Setup

LONGER: Final = 16
"""How many times as long the fault trains: the bases have turned up by then, or never do."""

NOISE: Final = 1.0
WIDER: Final = 4
KEPT: Final = 0.25
FEWEST: Final = 60

FACTORS: Final = (4, 2, 1)
"""Times the chosen epoch that are tried."""

MOST: Final = 0.8
"""Share of the epochs above which stopping is hardly stopping."""


def judge(comparison: Comparison, curve: EpochCurve) -> Verdict:
    """Suspect a held-out loss that has risen from its minimum by as much as matters."""
    name = "rise of the held-out loss from its minimum / span from the best constant"
    lowest = min(comparison.lowest("held_out"), comparison.given.training.loss, curve.lowest)
    span = comparison.constant_held_out - lowest
    if not (math.isfinite(span) and span > 0.0):
        sentence = "No loss is known below that of the best constant prediction, so a rise has no measure."
        return Verdict(Outcome.UNDECIDED, sentence, (Evidence(Quantity(name, math.nan), LARGE),))
    share, doubt = curve.rise / span, curve.doubt / span
    evidence = (
        Evidence(Quantity(name, share, "1", share - doubt, share + doubt), LARGE),
        Evidence(Quantity("epoch of the lowest held-out loss", float(curve.critical), "epochs")),
    )
    pair = f"{curve.lowest:.3g} after epoch {curve.critical} and {curve.end:.3g} at the end"
    if not share >= LARGE.value:
        return Verdict(Outcome.ABSENT, f"The held-out loss is lowest with {pair}: a rise of {share:.0%}.", evidence)
    if comparison.training_is_large:
        sentence = f"The held-out loss is {pair}, but the training loss is large itself, which comes first."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    if not share > doubt:
        sentence = f"The held-out loss is {pair}, but single epochs stray as far."
        return Verdict(Outcome.UNDECIDED, sentence, evidence)
    return Verdict(Outcome.PRESENT, f"The held-out loss is {pair}: a rise of {share:.0%} of the span.", evidence)


def train_on_and_on(setup: Setup) -> Setup:
    """Train a wider network sixteen times as long on a quarter of the samples, unregularised; numbers get noise.

    Without something to learn by heart, and room for it, most networks train on and on and come to no harm.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the best epoch would be kept all the same, or the targets cannot be changed.
    """
    if setup.early_stopping:
        raise RemedyError("the weights of the best epoch are kept, however long the run")
    for change in (without_dropout, without_weight_decay, _wider, _quarter):
        try:
            setup = change(setup)
        except RemedyError:
            continue  # nothing to take away, or nothing to widen
    return with_epochs_times(with_wrong_targets(setup, 0.0, NOISE), LONGER)


def _wider(setup: Setup) -> Setup:
    return widened(setup, WIDER)


def _quarter(setup: Setup) -> Setup:
    return fewer_samples(setup, KEPT, FEWEST)


def stop_early(setup: Setup, best: BestEpoch) -> tuple[Setup, ...]:
    """Train for the epochs that are best on samples set aside, or twice or four times as many.

    Few samples are set aside, and they choose the epoch to within a factor only.

    Args:
        setup: What is trained.
        best: The epoch to stop at.

    Returns:
        One set-up a number of epochs, the most epochs first; where there is a schedule, one more that ends with it.

    Raises:
        RemedyError: If no epoch before the last is better.
    """
    if not 0 < best.epoch < setup.epochs:
        raise RemedyError("on samples set aside from the training split, no epoch is better than the last")
    found = [
        replace(setup, epochs=factor * best.epoch) for factor in FACTORS if factor * best.epoch < MOST * setup.epochs
    ] or [replace(setup, epochs=best.epoch)]
    if setup.scheduler is None or setup.schedule_every == "plateau":
        return tuple(found)
    pace = paced(setup, best.epoch / setup.epochs)
    described = {**setup.described, "scheduler": f"gone through in {best.epoch} epochs"}
    return *found, replace(setup, epochs=best.epoch, scheduler=pace, described=described)


RULE = Rule(
    code="GEN002",
    judge=judge,
    fault=train_on_and_on,
    remedy=Remedy("Stop at the epoch that is best on held-out samples.", stop_early, Applies.SAFE),
    cases=(
        Case(
            "labels of which a quarter are wrong, and a network that goes on until it knows them all",
            lambda: patients.classification(noise=0.25, epochs=120),
            Outcome.PRESENT,
        ),
        Case("the same network on right labels", patients.shells, Outcome.ABSENT),
        Case(
            "a held-out loss that wavers about its level from epoch to epoch",
            lambda: patients.regression(noise=0.3, batch_size=4, optimizer=patients.adam(3e-3), epochs=12),
            Outcome.ABSENT,
        ),
        Case(
            "a loss that still falls slowly at the end of a long run",
            lambda: patients.regression(optimizer=patients.adam(1e-3), epochs=60),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.HELD_OUT,
    explained_by=("SET014", "DAT006"),
)
