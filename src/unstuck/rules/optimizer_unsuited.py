"""The optimizer does not suit the problem at any rate.

## What it checks
Whether the optimizer as given, at the rate that suits it best, still ends far above what another one reaches in as
many steps from the same starts, each at its own best rate; or whether its own steps died out in the run as given.

## Why it hurts
Optimizers make assumptions. Adagrad divides by all gradients since the start, so that its steps die out, and sooner
with a decay of the rate on top. Rprop changes its steps by the signs of successive gradients, which on batches are the
signs of their noise. Plain SGD takes one rate for all directions: where gradients differ by orders of magnitude, or
are sparse, the rate that the steepest bears leaves the others where they were.

## How it is measured
Only where the training loss is large, and the optimizer is not Adam or a relative: a range test of the optimizer as
given, of SGD with a momentum of 0.9 and of Adam. Each has runs of equal length from three seeds over decades of rates,
and is taken at its best. What the one as given falls short of the best rival has an interval over the seeds. Besides,
from the run as given: what was left in its second half of the pace of the first steps, at the same rate and for the
same gradient; a higher rate makes up for steps that die out, but is not what was wrong. The suspicion is tested by
training the same set-up from the same seeds with the rivals at those rates. It is confirmed if one of them ends lower
on the training data and on held-out data by at least a tenth of the span.

## Remedy
Use the other optimizer at the rate that was found for it.

## When to leave it
Where another rate is all that it takes, see learning-rate-too-high and learning-rate-too-low: the range test of the
optimizer as given tells these apart. Full-batch problems suit Rprop and L-BFGS; convex problems with sparse features
suit Adagrad.

## References
G. Hinton, "Neural networks for machine learning", lecture 6e, 2012 (why Rprop does not work with mini-batches).
J. Duchi, E. Hazan, Y. Singer, "Adaptive subgradient methods", 2011.
D. Kingma, J. Ba, "Adam: a method for stochastic optimization", 2015.
D. Choi et al., "On empirical comparisons of optimizers for deep learning", 2019 (each is to be tuned for itself).
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Final

import torch

from unstuck import patients
from unstuck.errors import RemedyError
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.measure.course import DIED_OUT, Course
from unstuck.measure.optimizer_race import OptimizerRace, with_rival
from unstuck.measure.protocol import Unmeasured
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import OptimizerRecipe, Setup
from unstuck.setup.randomness import isolated

SHORT: Final = Threshold(
    0.1, "share of the fall of the best rival", "the share of a span from which a shortfall counts as large"
)


FAULT_DECAY: Final = 1.0


def judge(comparison: Comparison, race: OptimizerRace | Unmeasured, course: Course) -> Verdict:
    """Suspect an optimizer that falls short of another one at its own best rate, or whose steps died out."""
    shortfall = Evidence(Quantity("largest shortfall of the run as given", comparison.shortfall, LARGE.unit), LARGE)
    if not comparison.training_is_large:
        sentence = f"Nothing goes lower by as much as matters (shortfall {max(0.0, comparison.shortfall):.0%})."
        return Verdict(Outcome.ABSENT, sentence, (shortfall,))
    if isinstance(race, Unmeasured):
        return Verdict(Outcome.ABSENT, f"It was not raced: {race.reason.rstrip('.')}.", (shortfall,))
    name = "shortfall of the optimizer as given, at its best rate, against the best rival at its own"
    excess = Evidence(Quantity(name, race.excess, SHORT.unit, race.excess_low, race.excess_high), SHORT)
    rival = race.best_rival
    if rival is None or math.isnan(race.excess):
        return Verdict(Outcome.ABSENT, "No rival got below the start within as many steps.", (excess, shortfall))
    kept = Evidence(
        Quantity("pace of the optimizer in the second half / in the first steps", course.pace_kept), DIED_OUT
    )
    if course.died_out and race.given.rate > 1.0 and not race.excess >= SHORT.value:
        sentence = (
            f"Its steps died out: of the pace of the first ones, {course.pace_kept:.2%} was left in the second half at "
            f"the same rate. A rate {race.given.rate:.3g} times as high makes up for that; none keeps them from dying "
            "out."
        )
        return Verdict(Outcome.PRESENT, sentence, (kept, excess, shortfall))
    if race.excess >= SHORT.value and not race.excess_low > 0.0:
        sentence = f"At its best rate it falls short of {rival.name} by {race.excess:.0%}, which is within the noise."
        return Verdict(Outcome.UNDECIDED, sentence, (excess, shortfall))
    if not race.excess >= SHORT.value:
        sentence = (
            f"At its best rate, {race.given.rate:.3g} times the given, it falls short of {rival.name} by no more than "
            f"{max(0.0, race.excess):.0%}."
        )
        return Verdict(Outcome.ABSENT, sentence, (excess, shortfall))
    sentence = (
        f"Even at its best rate, {race.given.rate:.3g} times the given, it falls short of {rival.name} at "
        f"{rival.rate:.2g} by {race.excess:.0%} in as many steps."
    )
    return Verdict(Outcome.PRESENT, sentence, (excess, shortfall))


def use_adagrad(setup: Setup) -> Setup:
    """Train with Adagrad whose rate decays as 1 / t on top: its steps have died out before any rate gets far.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the step is made for L-BFGS.
    """
    with isolated(setup.seed):
        _, optimizer = setup.build()
    if isinstance(optimizer, torch.optim.LBFGS):
        raise RemedyError("the step is made for L-BFGS")
    rate = float(optimizer.param_groups[0]["lr"]) * setup.optimizer.rate_factor
    return replace(setup, optimizer=OptimizerRecipe(partial(torch.optim.Adagrad, lr=rate, lr_decay=FAULT_DECAY)))


def use_rival(setup: Setup, race: OptimizerRace) -> tuple[Setup, ...]:
    """Train with the rivals, each at its own best rate.

    Args:
        setup: What is trained.
        race: Tells those rates.

    Returns:
        One set-up a rival.
    """
    return tuple(with_rival(setup, rival.name, rival.rate) for rival in race.rivals)


RULE = Rule(
    code="OPT015",
    judge=judge,
    fault=use_adagrad,
    remedy=Remedy("Use another optimizer, at the rate that suits it.", use_rival, Applies.SAFE),
    cases=(
        Case(
            "Adagrad with a decay of its own, whose steps die out",
            lambda: patients.regression(optimizer=partial(torch.optim.Adagrad, lr=0.01, lr_decay=1.0)),
            Outcome.PRESENT,
        ),
        Case("Adam at a rate that suits it", patients.shells, Outcome.ABSENT),
        Case(
            "SGD at a rate that is far too low, and no worse than others at its best",
            lambda: patients.shells(optimizer=patients.sgd(1e-4, 0.9)),
            Outcome.ABSENT,
        ),
    ),
    explained_by=(
        "DAT001",
        "DAT002",
        "DAT006",
        "SET002",
        "SET006",
        "OPT001",
        "OPT002",
        "OPT012",
        "OPT013",
        "OPT014",
        "OPT016",
        "OPT021",
        "MIS005",
    ),  # fmt: skip
)
