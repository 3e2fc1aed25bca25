"""Batch-norm is evaluated with statistics that are not those of its inputs.

## What it checks
Whether the running means and variances of batch-norm layers are far from those that the trained weights produce, so
that the network does well in training mode and badly in evaluation mode.

## Why it hurts
In training a batch-norm layer normalises by the batch, in evaluation by a running average. With a small momentum that
average lags behind weights that still move, or has never left its start at mean 0 and variance 1; a few odd batches at
the end, or inputs of another kind, lead it astray. What each layer then passes on is shifted and scaled, the next ones
multiply the error, and the function that is evaluated is not the one that was trained.

## How it is measured
On a copy of the trained model the statistics are taken anew, as the plain average over training batches at the final
weights. The suspicion is raised if the held-out loss falls thereby by at least a tenth of the span from the best
constant: the weights are the same, only the statistics have changed, so no training is needed for that. It is tested by
training again from several seeds and taking the statistics anew whenever the model is evaluated; a run that was merely
too short for them to settle is not cured so.

## Remedy
Take the statistics anew once training has ended: a pass over some training batches with the layers' `momentum=None`,
as `torch.optim.swa_utils.update_bn` does. Or set the momentum back to 0.1, or use group norm or layer norm, which have
no running statistics.

## When to leave it
Statistics of a pre-trained network that are frozen on purpose may be right where training goes with them as well. Where
batches are so small that their statistics scatter, see batch-norm-small-batch. Statistics taken from test inputs can
adapt a network to them; that uses the test inputs, all at once, and is cheating where each is to be answered by itself.

## References
S. Ioffe, C. Szegedy, "Batch normalization", 2015.
P. Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.
Y. Wu, J. Johnson, "Rethinking 'batch' in batch-norm", 2021.
Y. Li et al., "Revisiting batch normalization for practical domain adaptation", 2016.
"""

from __future__ import annotations

import math
from typing import Final

from torch import nn

from unstuck import patients
from unstuck.edits.batch_norms import batch_norms
from unstuck.edits.normalisation import insert_normalisation
from unstuck.edits.passes import with_checked_edit
from unstuck.edits.reweighting import with_statistics_of
from unstuck.errors import RemedyError
from unstuck.measure.comparison import LARGE
from unstuck.measure.shift.normalisation import SAMPLES, NormStatistics
from unstuck.quantity import Quantity
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Edit, Setup
from unstuck.setup.randomness import isolated

SLOW: Final = 0.0005
USUAL: Final = 0.1
"""Momentum of torch's batch-norm where nothing is said."""


def judge(statistics: NormStatistics) -> Verdict:
    """Suspect running statistics without which the held-out loss is lower by as much as matters."""
    name = "what statistics taken anew gain on held-out samples, as a share of the span"
    evidence = (
        Evidence(Quantity(name, statistics.gain), LARGE),
        Evidence(Quantity(f"distance of a running mean from the mean, layer {statistics.layer}", statistics.distance)),
        Evidence(Quantity("smallest momentum of a batch-norm layer", statistics.momentum)),
    )
    if math.isnan(statistics.gain) or not math.isfinite(statistics.anew):
        return Verdict(Outcome.UNDECIDED, "The loss of the trained model is not finite, or has no span.", evidence[:1])
    pair = f"the held-out loss is {statistics.running:.3g}, and {statistics.anew:.3g} with statistics taken anew"
    if statistics.gain >= LARGE.value:
        sentence = f"With the running statistics {pair}."
        return Verdict(Outcome.PRESENT, sentence, evidence, (f"layer {statistics.layer}",))
    return Verdict(Outcome.ABSENT, f"With the running statistics of batch-norm {pair}.", evidence)


def lag_behind(setup: Setup) -> Setup:
    """Let the running statistics follow so slowly that they never get there; batch-norm is put in where there is none.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no place for a norm, or only for one that does not use the statistics of the batch.
    """
    with isolated(setup.seed):
        model, _ = setup.build()
    model.train()
    return _with_momentum(setup if batch_norms(model) else insert_normalisation(setup), SLOW)


def _with_momentum(setup: Setup, momentum: float) -> Setup:
    with isolated(setup.seed):
        model, _ = setup.build()
    model.train()
    names = list(batch_norms(model))
    if not names:
        raise RemedyError("the model has no batch-norm layer that uses the statistics of the batch")

    def apply(model: nn.Module) -> nn.Module:
        for name in names:
            norm = model.get_submodule(name)
            assert isinstance(norm, nn.modules.batchnorm._BatchNorm)  # found by that name above
            norm.momentum = momentum
        return model

    edit = Edit("model: momentum of batch-norm", "as given", f"{momentum:g}", apply)
    return with_checked_edit(setup, edit, "the momentum of batch-norm could not be changed")


def take_anew(setup: Setup) -> tuple[Setup, ...]:
    """Take the statistics anew at every evaluation; or let them follow at the usual pace."""
    anew = with_statistics_of(setup, setup.train, "averages over training batches at the final weights", SAMPLES)
    return anew, _with_momentum(setup, USUAL)


def _batch_normed() -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Linear(32, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Linear(32, 3),
    )


RULE = Rule(
    code="MIS005",
    judge=judge,
    fault=lag_behind,
    remedy=Remedy("Take the statistics of batch-norm anew after training.", take_anew, Applies.SAFE),
    cases=(
        Case(
            "running statistics that follow two hundred times too slowly",
            lambda: lag_behind(patients.shells(_batch_normed)),
            Outcome.PRESENT,
        ),
        Case("running statistics that keep up", lambda: patients.shells(_batch_normed), Outcome.ABSENT),
        Case(
            "near miss: a momentum of a hundredth, and steps enough",
            lambda: _with_momentum(patients.shells(_batch_normed, epochs=60), 0.01),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.HELD_OUT,
)
