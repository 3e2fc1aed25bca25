"""The run ends in a sharp minimum: the loss rises steeply around its weights.

## What it checks
Whether the loss on held-out samples is larger than on the training samples by a part that matters, the training loss
rises steeply with small changes of the weights, and steps that look for flatter places lead to a lower held-out loss.

## Why it hurts
The loss on new samples is that on the training samples, a little shifted. In a narrow valley a little shift costs much,
on a plain it costs nothing. Valleys are narrow where single samples, wrong ones above all, were fitted each by itself.

## How it is measured
From the weights that the run ends with, five random directions are walked, each filter's part as long as the filter's
weights are, so that rescaling a layer changes nothing. The suspicion is raised if a fifth of that length raises the
training loss by a tenth of the span from the best constant or more. It is asked only where no other cause was proven:
sharp minima that generalise well are common, and only the trial tells. It trains with the gradient taken at the worst
point nearby (sharpness-aware minimisation), and with the mean of the weights over the second half of the run; it is
confirmed if the held-out loss falls by at least a tenth of the span.

## Remedy
Sharpness-aware steps, whose reach is given as a share of the norm of the weights; each costs two. Or the mean of the
weights along the run, which costs nothing. Smaller batches are often named as well; in a few small runs that were
compared, they made minima flatter and the held-out loss no lower, or higher.

## When to leave it
Where the held-out loss does not fall with flatter minima, sharpness does no harm. Where labels are wrong, mend the
labels (see label-noise); where the run is too long, stop it (see trained-past-best-epoch): flat minima treat what these
cause.

## References
S. Hochreiter, J. Schmidhuber, "Flat minima", Neural Computation 9, 1997.
N. Keskar et al., "On large-batch training for deep learning: generalization gap and sharp minima", ICLR 2017.
L. Dinh et al., "Sharp minima can generalize for deep nets", ICML 2017.
H. Li et al., "Visualizing the loss landscape of neural nets", NeurIPS 2018.
P. Foret et al., "Sharpness-aware minimization for efficiently improving generalization", ICLR 2021.
P. Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Final

from unstuck import patients
from unstuck.edits.alternatives import applicable
from unstuck.edits.averaging import with_averaged_weights
from unstuck.edits.flat_minima import with_sharpness_aware_steps
from unstuck.measure.comparison import LARGE
from unstuck.measure.curvature.rising import Rising
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Setup

STEEP: Final = Threshold(
    0.1,
    "share of the span, at a fifth of the filters' norms",
    "what counts as a large loss: so small a change of the weights then costs as much as a fault",
)

RADII: Final = (0.03, 0.1)
LATE: Final = 0.5


def judge(rising: Rising) -> Verdict:
    """Suspect a steep rise around the weights where the gap to held-out samples is large."""
    name = "(held-out − training loss) / span from the best constant"
    distance = Evidence(Quantity(name, rising.gap, "1", rising.gap_low, rising.gap_high), LARGE)
    if not rising.gap >= LARGE.value or not rising.gap_low > 0.0:
        return Verdict(
            Outcome.ABSENT, "There is no gap to held-out samples that a sharp minimum would open.", (distance,)
        )
    if not math.isfinite(rising.rise):
        return Verdict(Outcome.ABSENT, "The training loss is large itself, which comes first.", (distance,))
    low, high = rising.rise - rising.deviation, rising.rise + rising.deviation
    rise = Evidence(Quantity("rise of the training loss nearby / span", rising.rise, STEEP.unit, low, high), STEEP)
    told = f"A fifth of the filters' norms away, the training loss is {rising.rise:.0%} of the span higher"
    if not rising.rise >= STEEP.value:
        return Verdict(Outcome.ABSENT, f"{told}: the minimum is flat.", (rise, distance))
    return Verdict(Outcome.PRESENT, f"{told}: the minimum is sharp.", (rise, distance))


def flatten(setup: Setup) -> tuple[Setup, ...]:
    """The mean of the weights over the second half of the run; sharpness-aware steps of two radii."""
    return applicable(
        setup,
        partial(with_averaged_weights, share=LATE),
        *(partial(with_sharpness_aware_steps, radius=radius) for radius in RADII),
    )


RULE = Rule(
    code="GEN005",
    judge=judge,
    fault=None,
    remedy=Remedy(
        "Look for a flatter minimum: average the weights, or take sharpness-aware steps.", flatten, Applies.OPT_IN
    ),
    cases=(
        Case(
            "eighty samples fitted each by itself, a third of them wrong",
            lambda: patients.shells(wrong=0.35, rows=80, epochs=60),
            Outcome.PRESENT,
        ),
        Case("a network that does as well on new samples", patients.shells, Outcome.ABSENT),
        Case(
            "a gap that is the noise of the targets, and no flatter minimum closes",
            lambda: patients.regression(lambda: patients.perceptron(3, 64, 1), noise=0.7, epochs=60),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.HELD_OUT,
    explained_by=("GEN001", "GEN002", "DAT005", "SET014", "DAT006", "MIS005"),
)
