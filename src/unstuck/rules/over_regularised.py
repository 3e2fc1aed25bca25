"""Regularisation keeps the network from fitting even its training samples.

## What it checks
Whether dropout, weight decay or smoothed labels hold the network back so hard that its loss stays high on the training
data and on held-out data alike: dropout whose noise makes up a good part of the outputs' variance, or weight decay that
moves the weights about as much as the loss does.

## Why it hurts
Regularisation trades fit for simplicity, which pays only where the fit was too good. Where it is stronger than what
the data call for, the network cannot even learn what is there: dropout leaves too few units to carry the signal through
many layers, and decay pulls weights back to zero as fast as the gradient pulls them away.

## How it is measured
On the trained network, dropout is drawn eight times for the same samples: the share of the outputs' variance that the
draws make. From the watched steps, the share that weight decay has in what moves the weights. The suspicion is raised
only if the loss is large, if one of these is large too, and if a copy of the model that is trained without any
regularisation goes lower. It is tested by weaker regularisation, with everything else as given, and confirmed if the
training loss and the held-out loss both fall.

## Remedy
The smallest change that does nearly as well as the largest: dropout halved, dropout taken out, a tenth of the weight
decay, none, all of it off.

## When to leave it
Dropout raises the loss that is printed while training, since units are missing then: a training loss above the
validation loss is usual and no sign of harm. Regularisation that lowers the held-out loss earns its price in training
loss.

## References
N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014, section 7.3.
A. Krogh, J. Hertz, "A simple weight decay can improve generalization", 1992.
I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", 2019.
R. Müller, S. Kornblith, G. Hinton, "When does label smoothing help?", 2019.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch
from torch import nn

from unstuck import patients
from unstuck.edits.alternatives import applicable
from unstuck.edits.regularisation import (
    weaker_dropout,
    weaker_weight_decay,
    with_dropout,
    with_weight_decay,
    without_dropout,
    without_weight_decay,
)
from unstuck.errors import RemedyError
from unstuck.measure.comparison import LARGE, SAME_MODEL, Comparison
from unstuck.measure.regularisers import Regularisers
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

NOISY: Final = Threshold(
    0.5,
    "share of the outputs' variance",
    "half: chance then decides more of an output than the input does; the dropout of 0.4 of bench/healthy is at 0.2",
)

PULLED: Final = Threshold(
    0.5,
    "share of what moves the weights",
    "half: decay then pulls as hard as the loss; bases of the benchmark with decay are at 0.04 to 0.42",
)

SMOOTH: Final = Threshold(0.5, "share of a label", "half: the label then says as much of the other classes together")

DROPPED: Final = 0.9
DECAY: Final = 0.5
HALF, TENTH = 0.5, 0.1


def judge(given: Regularisers, comparison: Comparison) -> Verdict:
    """Suspect regularisation that acts strongly, where a copy without it goes lower."""
    if not given.any:
        return Verdict(Outcome.ABSENT, "There is no dropout, no weight decay and no smoothing of labels.")
    noise = Evidence(Quantity("part of the outputs' variance that dropout makes", given.noise_share, NOISY.unit), NOISY)
    pull = Evidence(Quantity("part of weight decay in what moves the weights", given.decay_share, PULLED.unit), PULLED)
    smooth = Evidence(Quantity("smoothing of labels", given.smoothing, SMOOTH.unit), SMOOTH)
    evidence = (noise, pull, smooth)
    strong = _strong(given)
    if not strong:
        sentence = f"Regularisation is weak: {'; '.join(_parts(given))}."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    if not comparison.training_is_large:
        short = max(0.0, comparison.shortfall)
        sentence = f"Regularisation does no harm: {short:.0%} of the span is the largest shortfall."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    free = comparison.best(SAME_MODEL)
    if free is not None and free.shortfall < LARGE.value:
        sentence = "The same model goes no lower without regularisation."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    return Verdict(Outcome.PRESENT, f"Regularisation is strong: {'; '.join(strong)}.", evidence)


def _strong(given: Regularisers) -> list[str]:
    """What acts beyond its limit; noise that is no number is that of outputs that never change."""
    dropout, decay, smoothing = _parts(given)
    found = []
    if given.dropout > 0.0 and not given.noise_share < NOISY.value:
        found.append(dropout)
    if given.decay > 0.0 and given.decay_share >= PULLED.value:
        found.append(decay)
    if given.smoothing >= SMOOTH.value:
        found.append(smoothing)
    return found


def _parts(given: Regularisers) -> tuple[str, str, str]:
    noise = f"dropout of {given.dropout:g} makes {given.noise_share:.0%} of the outputs' variance"
    pull = f"weight decay of {given.decay:g} is {given.decay_share:.1%} of what moves the weights"
    return (
        noise if given.dropout > 0.0 else "no dropout",
        pull if given.decay > 0.0 else "no weight decay",
        f"{given.smoothing:.0%} of each label is spread" if given.smoothing > 0.0 else "no smoothing",
    )


def regularise_too_much(setup: Setup) -> Setup:
    """Drop nine hidden units of ten; where there are none, a weight decay of a half.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.
    """
    try:
        return with_dropout(setup, DROPPED)
    except RemedyError:
        return with_weight_decay(setup, DECAY)


def regularise_less(setup: Setup) -> tuple[Setup, ...]:
    """Less of each regulariser, then none of it, then none at all.

    Args:
        setup: What is trained.

    Returns:
        One set-up a change.

    Raises:
        RemedyError: If there is nothing that could be weakened.
    """
    return applicable(
        setup,
        lambda setup: weaker_dropout(setup, HALF),
        lambda setup: weaker_weight_decay(setup, TENTH),
        without_dropout,
        without_weight_decay,
        lambda setup: without_weight_decay(without_dropout(setup)),
        _sharpen,
    )


def _sharpen(setup: Setup) -> Setup:
    loss = setup.loss
    if not isinstance(loss, nn.CrossEntropyLoss) or loss.label_smoothing < SMOOTH.value:
        raise RemedyError("the labels are hardly smoothed")
    plain = nn.CrossEntropyLoss(weight=loss.weight, ignore_index=loss.ignore_index, reduction=loss.reduction)
    return replace(setup, loss=plain, described={**setup.described, "loss": "cross-entropy without smoothing"})


def _adam_w(decay: float) -> patients.OptimizerFactory:
    return lambda parameters: torch.optim.AdamW(parameters, 0.01, weight_decay=decay)


def _dropping(rate: float) -> nn.Module:
    return nn.Sequential(
        nn.Linear(4, 32), nn.ReLU(), nn.Dropout(rate), nn.Linear(32, 32), nn.ReLU(), nn.Dropout(rate), nn.Linear(32, 3)
    )


RULE = Rule(
    code="CAP003",
    judge=judge,
    fault=regularise_too_much,
    remedy=Remedy("Regularise less.", regularise_less, Applies.OPT_IN),
    cases=(
        Case(
            "dropout of 0.8 behind two layers of thirty-two units",
            lambda: patients.shells(lambda: _dropping(0.8), epochs=30),
            Outcome.PRESENT,
        ),
        Case(
            "weight decay that holds every weight near zero",
            lambda: patients.shells(optimizer=_adam_w(10.0), epochs=30),
            Outcome.PRESENT,
        ),
        Case("no regularisation", patients.shells, Outcome.ABSENT),
        Case(
            "dropout of a fifth, with which the printed training loss lies above the validation loss",
            lambda: patients.shells(lambda: _dropping(0.2), epochs=40),
            Outcome.ABSENT,
        ),
        Case(
            "weight decay of 0.01, decoupled, as is usual",
            lambda: patients.shells(optimizer=_adam_w(0.01), epochs=30),
            Outcome.ABSENT,
        ),
        Case(
            "a network with dropout that is hardly trained",
            lambda: patients.shells(lambda: _dropping(0.1), optimizer=patients.adam(3e-5)),
            Outcome.ABSENT,
        ),
    ),
    explained_by=(
        *(f"SET{number:03d}" for number in range(1, 21) if number != 18),
        "DAT001",
        "DAT006",
        "OPT011",
        "GEN006",
        "MIS005",
    ),
)
