"""The model has learnt its training samples by heart.

## What it checks
Whether the loss on held-out samples of the training distribution is larger than the loss on the training samples by
more than noise and by a part of the span that matters, while the training loss itself is small.

## Why it hurts
Beyond a point, the training loss can only fall by fitting what is peculiar to single samples: their noise, their wrong
labels, the accidents of a small sample. None of it is there in new samples, and a network that is sure of it is sure
of the wrong thing. The training curve looks better and better while the network gets worse at what it is for.

## How it is measured
The difference of the two losses at the end of the run, as a share of the span from the best constant prediction down
to the lowest loss known, with an interval from the spread over batches. A gap alone proves nothing: most sound
networks have one. It is confirmed if one of the usual remedies lowers the held-out loss by at least a tenth of the
span from several seeds. The epoch to stop at is chosen on a fifth of the training samples, which that run does not
train on; the network is then trained on all of them for as many epochs, so that the held-out samples that give the
score have chosen nothing.

## Remedy
The first in this order that does nearly as well as the best: fewer epochs; the mean of the weights over the second
half of the run; weight decay, L2, L1, both (elastic net), biases and norms exempt; smoothed labels; dropout,
DropConnect; augmentation that fits the data: noise, for images and sequences shifts, flips and jitter where the nearest
other sample shows that they keep the label, mixtures of two samples; batch-norm; narrower layers; fewer features; four
networks that answer together, at four times the cost. Where runs are long, one strength of each, or only the first of
them. The report lists what each gained. More samples help as well: see too-few-samples. Look at the labels too: a
network rarely learns clean ones by heart to its harm.

## When to leave it
Regularisation before there is any overfitting only costs fit (see over-regularised): first let the training loss
become small. Add one remedy, examine again, and do not stack them unseen: dropout in front of batch-norm, for one, does
harm (see dropout-with-batch-norm). A gap that none of these closes is the price of a finite sample: the network is as
good on new samples as this data lets it be. Where ranking or accuracy is all that counts, a held-out loss that rises
from overconfidence may do no harm.

## References
L. Prechelt, "Early stopping – but when?", 1998.
I. Goodfellow, Y. Bengio, A. Courville, "Deep learning", 2016, section 7.8 and algorithm 7.2.
N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.
I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", 2019.
L. Wan et al., "Regularization of neural networks using DropConnect", 2013.
R. Tibshirani, "Regression shrinkage and selection via the lasso", 1996; H. Zou, T. Hastie, elastic net, 2005.
P. Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.
H. Zhang et al., "mixup: beyond empirical risk minimization", 2018.
C. Zhang et al., "Understanding deep learning requires rethinking generalization", 2017.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

from unstuck import patients
from unstuck.edits.averaging import CHANCES, MEAN
from unstuck.edits.regularisation import without_dropout, without_weight_decay
from unstuck.edits.regularisers import regularisers
from unstuck.edits.samples import every_split, fewer_samples, in_memory
from unstuck.edits.schedule import with_epochs_times
from unstuck.edits.widening import widened
from unstuck.errors import RemedyError, UnstuckError
from unstuck.measure.best_epoch import BestEpoch
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.measure.gap import gap
from unstuck.measure.history import History
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.preparation import Allowance
from unstuck.measure.task import Kind, Task
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Setup
from unstuck.setup.batch import replace_inputs

FEWEST_TRIED: Final = 2

BLUR: Final = 1.0
"""Noise on the inputs, over their deviation."""

KEPT: Final = 0.1
FEWEST: Final = 40
LONGER: Final = 10
WIDER: Final = 4


def judge(comparison: Comparison) -> Verdict:
    """Suspect a gap that matters where the training loss is small."""
    found = gap(comparison, "held_out", "training")
    evidence = Evidence(found, LARGE)
    high, low = comparison.given.held_out.loss, comparison.given.training.loss
    pair = f"{high:.3g} on held-out samples against {low:.3g} on the training samples"
    if not math.isfinite(found.value):
        sentence = "The run did not end in a finite loss, so its gap to held-out samples cannot be told."
        return Verdict(Outcome.UNDECIDED, sentence, (evidence,))
    if not found.value >= LARGE.value:
        return Verdict(Outcome.ABSENT, f"The loss is {pair}: {found.value:.0%} of the span.", (evidence,))
    if comparison.training_is_large:
        sentence = f"The loss is {pair}, but the training loss is large itself, which comes first."
        return Verdict(Outcome.ABSENT, sentence, (evidence,))
    if found.low is not None and found.low <= 0.0:
        return Verdict(Outcome.UNDECIDED, f"The loss is {pair}, which chance could explain.", (evidence,))
    return Verdict(Outcome.PRESENT, f"The loss is {pair}: a gap of {found.value:.0%} of the span.", (evidence,))


def learn_by_heart(setup: Setup) -> Setup:
    """Train a wider network ten times as long, unregularised, on a tenth of the samples, their inputs blurred.

    Blurred alike in every split, inputs tell less of their targets, which stay right: without that, what a network
    learns by heart of few samples does hardly any harm.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the best epoch would be kept all the same.
    """
    for change in (without_dropout, without_weight_decay, _wider, _few, _blurred):
        try:
            setup = change(setup)
        except RemedyError:
            continue  # nothing to take away, or nothing to widen
    if setup.early_stopping:
        raise RemedyError("the weights of the best epoch are kept, however long the run")
    return with_epochs_times(setup, LONGER)


def _blurred(setup: Setup) -> Setup:
    draws = torch.Generator().manual_seed(0)

    def noisy(values: Tensor) -> Tensor:
        spread = values.std(0, keepdim=True) if len(values) > 1 else values.new_ones(())
        changed: Tensor = values + BLUR * spread * torch.randn(values.shape, generator=draws).to(values)
        return changed

    return every_split(setup, lambda data: in_memory(data).mapped(lambda batch: replace_inputs(batch, noisy)))


def _wider(setup: Setup) -> Setup:
    return widened(setup, WIDER)


def _few(setup: Setup) -> Setup:
    return fewer_samples(setup, KEPT, FEWEST)


def regularise(setup: Setup, history: History, best: BestEpoch, task: Task, allowance: Allowance) -> tuple[Setup, ...]:
    """Each remedy by itself, the smallest change first; as many as fit into the time for one run.

    Where not all fit, one of each kind comes before a second strength of any.

    Args:
        setup: What is trained.
        history: Tells the rates of the run, its gradients and its time.
        best: The epoch to stop at.
        task: Tells how the answers of several networks are joined.
        allowance: How long a run may take.

    Returns:
        One set-up a remedy.

    Raises:
        RemedyError: If none applies.
    """
    run = history.record
    of_numbers = MEAN if task.kind is Kind.VALUES else ""
    how = CHANCES if task.output_form is OutputForm.CLASS_LOGITS else of_numbers
    changes = regularisers(setup, best.epoch, run.rates, run.gradient_norms, how)
    affordable = max(FEWEST_TRIED, int(allowance.run_seconds / max(run.seconds, 1e-3)))
    found: list[tuple[int, Setup]] = []
    spent = 0
    for place, change in sorted(enumerate(changes), key=lambda pair: (pair[1].again, pair[0])):
        if spent + change.cost > affordable and len(found) >= FEWEST_TRIED:
            continue
        try:
            found.append((place, change.apply(setup)))
        except UnstuckError:
            continue  # no weight decay in this optimizer, no hidden layer: another remedy may apply
        spent += change.cost
    if not found:
        raise RemedyError("neither fewer epochs nor any regularisation applies")
    return tuple(changed for _, changed in sorted(found, key=lambda pair: pair[0]))


RULE = Rule(
    code="GEN001",
    judge=judge,
    fault=learn_by_heart,
    remedy=Remedy(
        "Regularise: the smallest of the changes that does nearly as well as the best.", regularise, Applies.OPT_IN
    ),
    cases=(
        Case(
            "a network that has learnt eighty samples by heart, a third of them wrong",
            lambda: patients.shells(wrong=0.35, rows=80, epochs=80),
            Outcome.PRESENT,
        ),
        Case("the same network on enough samples with right labels", patients.shells, Outcome.ABSENT),
        Case(
            "a held-out loss several times the training loss, both next to nothing",
            lambda: patients.shells(epochs=40),
            Outcome.ABSENT,
        ),
        Case(
            "labels of which a third are wrong, and a training that stops in time",
            lambda: patients.shells(wrong=0.3, epochs=5),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.HELD_OUT,
    explained_by=("SET014", "DAT006", "GEN002", "MIS005"),
)
