"""Dropout feeds batch-norm a variance that is gone in evaluation.

## What it checks
Whether batch-norm layers lie behind dropout whose noise raises the variance that they see while training by a part
that matters, and whether the loss in evaluation is higher for it.

## Why it hurts
Dropout leaves out units and scales up the rest: the mean of what goes on stays, its variance grows. A batch-norm behind
it learns that larger variance. In evaluation nothing is left out, the variance is smaller, and batch-norm still divides
by the larger one: every layer behind is fed inputs of a scale that it has never seen. The network that is evaluated is
not the one that was trained, on training data and new data alike, and each further pair makes it worse.

## How it is measured
On the trained network, the variance of what each batch-norm is fed is taken with dropout and without; their ratio is 1
where no dropout acts. Training batches are evaluated as they are, and once more with dropout off and each normalised by
its own statistics, which is what evaluation would be without the shift: the difference of the two losses, as a share of
the span from the best constant prediction. Where most of the variance is dropout's and the training loss is large, the
shift is suspected too, though evaluation itself does not show it: the layers behind never learnt from a signal that
stood out of the noise. The suspicion is tested by training with group norm in place of batch-norm and all of the
dropout kept, from the same seeds: if that does well, it was neither of the two alone. Where evaluation shows the shift,
training without the dropout is proof as well. Confirmed if the held-out loss falls by at least a tenth of the span.

## Remedy
Leave dropout out in front of batch-norm, which regularises by itself; where dropout is wanted, put it behind the last
batch-norm, or normalise each sample by itself (group norm, layer norm).

## When to leave it
Dropout at a low rate in front of wide layers hardly shifts the variance, and behind the last batch-norm it does not
at all. Where the running statistics are off for another reason, the loss by each batch's own statistics differs too,
but the variances do not.

## References
X. Li, S. Chen, X. Hu, J. Yang, "Understanding the disharmony between dropout and batch normalization by variance
shift", 2019.
S. Ioffe, C. Szegedy, "Batch normalization", 2015, section 4.2.1 (dropout is left out).
N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.
"""

from __future__ import annotations

import math
from typing import Final

from torch import nn

from unstuck import patients
from unstuck.edits.alternatives import applicable
from unstuck.edits.batch_norms import batch_norms, without_batch_norm
from unstuck.edits.insertion import insert_before
from unstuck.edits.normalisation import insert_normalisation
from unstuck.edits.passes import with_checked_edit
from unstuck.edits.regularisation import without_dropout
from unstuck.errors import RemedyError
from unstuck.measure.best_constant import BestConstant
from unstuck.measure.comparison import Comparison
from unstuck.measure.variance_shift import VarianceShift
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Edit, Setup
from unstuck.setup.randomness import isolated

SHIFTED: Final = Threshold(
    1.15,
    "variance with dropout / without",
    "what dropout of about 0.13 does to units of mean 0, 1 / (1 − p): below the rates that are in use (Li et al. 2019)",
)

HURTS: Final = Threshold(
    0.05,
    "share of the span from the best constant",
    "half of what counts as a large shortfall: held-out samples may suffer more than those of training",
)

DROWNED: Final = Threshold(
    2.0, "variance with dropout / without", "majority: more of what batch-norm scales to 1 is then noise than signal"
)

DROPPED: Final = 0.7


def judge(shift: VarianceShift, constant: BestConstant, comparison: Comparison) -> Verdict:
    """Suspect a variance that dropout has raised, and a loss that is higher for it."""
    name = "variance with dropout / without, the batch-norm where it is furthest from 1"
    ratio = Evidence(Quantity(name, shift.shift, SHIFTED.unit), SHIFTED)
    excess = _excess(shift, constant)
    worse = Evidence(Quantity("loss in evaluation above that by each batch's own statistics", excess, "1"), HURTS)
    if shift.layers == 0:
        return Verdict(Outcome.ABSENT, "No layer uses the statistics of the batch.", (ratio,))
    if not shift.shift >= SHIFTED.value:
        sentence = f"Dropout changes the variance that batch-norm is fed by a factor of {shift.shift:.2f} at most."
        return Verdict(Outcome.ABSENT, sentence, (ratio,))
    raised = f"Dropout raises the variance that batch-norm is fed by a factor of {shift.shift:.2f}"
    if not excess >= HURTS.value and shift.shift >= DROWNED.value and comparison.training_is_large:
        ratio = Evidence(Quantity(name, shift.shift, DROWNED.unit), DROWNED)
        sentence = f"{raised}: more of it is noise than signal, and the training loss is large."
        return Verdict(Outcome.PRESENT, sentence, (ratio, worse), (shift.worst,) if shift.worst else ())
    if math.isnan(excess):
        return Verdict(Outcome.UNDECIDED, f"{raised}; what that costs could not be told.", (ratio, worse))
    pair = f"{shift.evaluation_loss:.3g} against {shift.own_loss:.3g} by each batch's own statistics"
    if excess < HURTS.value:
        sentence = f"{raised}, which does the loss in evaluation no harm: {pair}."
        return Verdict(Outcome.ABSENT, sentence, (worse, ratio))
    sentence = f"{raised}, and the loss in evaluation is {pair}."
    return Verdict(Outcome.PRESENT, sentence, (ratio, worse), (shift.worst,) if shift.worst else ())


def _excess(shift: VarianceShift, constant: BestConstant) -> float:
    """The loss in evaluation above that by each batch's own statistics, as a share of the span; NaN without one."""
    span = constant.training_loss - min(shift.own_loss, shift.evaluation_loss)
    return (shift.evaluation_loss - shift.own_loss) / span if span > 0.0 else math.nan


def drop_before_batch_norm(setup: Setup) -> Setup:
    """Drop seven units of ten in front of every batch-norm, which is put in where there is none.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no place for a norm.
    """
    if not _norms(setup):
        setup = insert_normalisation(setup)
    names = _norms(setup)
    if not names:
        raise RemedyError("its norms do not use the statistics of the batch")

    def apply(model: nn.Module) -> nn.Module:
        for name in names:
            insert_before(model.get_submodule(name), "dropout", nn.Dropout(DROPPED))
        return model

    edit = Edit("dropout", "none", f"{DROPPED:g} in front of {', '.join(names)}", apply)
    return with_checked_edit(setup, edit, "dropout could not be put in")


def _norms(setup: Setup) -> tuple[str, ...]:
    with isolated(setup.seed):
        model, _ = setup.build()
    model.train()
    return tuple(batch_norms(model))


def part_them(setup: Setup, shift: VarianceShift, constant: BestConstant) -> tuple[Setup, ...]:
    """Leave dropout out; or put a group norm in place of every batch-norm.

    Args:
        setup: What is trained.
        shift: Of the variance.
        constant: Gives the span.

    Returns:
        Both, or, where evaluation does not show the shift, the second alone: that training without dropout goes lower
        would then prove no more than that there was too much of it.

    Raises:
        RemedyError: If neither applies.
    """
    if _excess(shift, constant) >= HURTS.value:
        return applicable(setup, without_dropout, without_batch_norm)
    return applicable(setup, without_batch_norm)


def _stacked(rate: float, *, behind: bool = False) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs in (4, 32, 32):
        layers += [nn.Linear(inputs, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.0 if behind else rate)]
    return nn.Sequential(*layers, nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(rate), nn.Linear(32, 3))


RULE = Rule(
    code="GEN006",
    judge=judge,
    fault=drop_before_batch_norm,
    remedy=Remedy("Take dropout out of the way of batch-norm.", part_them, Applies.OPT_IN),
    cases=(
        Case(
            "dropout of 0.7 in front of three batch-norms",
            lambda: drop_before_batch_norm(patients.shells(lambda: _stacked(0.0), epochs=30)),
            Outcome.PRESENT,
        ),
        Case("batch-norm without dropout", lambda: patients.shells(lambda: _stacked(0.0)), Outcome.ABSENT),
        Case(
            "dropout behind the last batch-norm",
            lambda: patients.shells(lambda: _stacked(0.4, behind=True), epochs=30),
            Outcome.ABSENT,
        ),
        Case(
            "a little dropout between batch-norms",
            lambda: patients.shells(lambda: _stacked(0.1), epochs=30),
            Outcome.ABSENT,
        ),
        Case(
            "dropout without batch-norm",
            lambda: patients.shells(
                lambda: nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Dropout(0.3), nn.Linear(32, 3)), epochs=30
            ),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.HELD_OUT,
    explained_by=("SET010", "SET019", "OPT021"),
)
