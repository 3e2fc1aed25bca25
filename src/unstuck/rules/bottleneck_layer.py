"""One narrow layer lets too little through for all that follow it.

## What it checks
Whether a single hidden layer is far narrower than the others, while the network as a whole, however well it is trained,
stays above what the data allow.

## Why it hurts
What a layer does not pass on, no later layer can bring back. Behind a single unit every layer, however wide, computes
a function of one number. The network looks large, counted by its weights, and is small at one place.

## How it is measured
One pass through the model gives the widths of the hidden layers that could have another one, those together that a
residual sum ties to each other. The suspicion is raised if the narrowest has at most a quarter of the median width of
the others and the training loss is large although the same model, robustly trained, goes hardly lower. It is tested by
widening that layer alone, to half and to the whole of the others' width, and is confirmed if training and held-out loss
fall.

## Remedy
Widen that layer alone, by the smaller of the two that does nearly as well.

## When to leave it
A narrow middle is what an autoencoder is for, and low-rank layers, squeeze-and-excitation and adapters are narrow to
save weights: where the network does as well as a wider one, nothing is wrong. If widening every layer is what helps,
the whole model is too small.

## References
N. Tishby, N. Zaslavsky, "Deep learning and the information bottleneck principle", 2015.
C. Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016, section 2 (avoid
representational bottlenecks).
J. Johnson, "Deep, skinny neural networks are not universal approximators", 2019.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

from unstuck import patients
from unstuck.edits.insertion import insert_before
from unstuck.edits.passes import with_checked_edit
from unstuck.edits.widening import hidden_widths, with_width
from unstuck.errors import RemedyError
from unstuck.measure.comparison import LARGER_MODEL, MOST_OF_IT, SAME_MODEL, Comparison
from unstuck.measure.narrowest import Narrowest
from unstuck.measure.task import Task
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Edit, Setup
from unstuck.setup.randomness import isolated

NARROW: Final = Threshold(
    0.25,
    "median width of the other hidden layers",
    "a quarter, by which bottleneck blocks of residual networks that do no harm are narrowed (He et al. 2016)",
)

SHARES: Final = (0.5, 1.0)
FAULT: Final = 1


def judge(narrowest: Narrowest, comparison: Comparison) -> Verdict:
    """Suspect a narrow layer where training is not to blame for a large loss."""
    name = f"width of {narrowest.names[0]}" if narrowest.names else "width of the narrowest layer"
    ratio = Evidence(Quantity(f"{name} / that of the others", narrowest.ratio, NARROW.unit), NARROW)
    where = narrowest.names
    if not narrowest.ratio <= NARROW.value:
        sentence = f"No hidden layer is much narrower than the others: {narrowest.width} against {narrowest.others:g}."
        return Verdict(Outcome.ABSENT, sentence, (ratio,))
    narrow = f"One hidden layer has {narrowest.width} units, the others {narrowest.others:g}"
    if narrowest.width == 1:
        narrow = f"One hidden layer has a single unit, the others {narrowest.others:g}"
    if comparison.narrow_on_purpose:
        return Verdict(Outcome.ABSENT, f"{narrow}: the narrow middle of an autoencoder.", (ratio,), where)
    if not comparison.training_is_large:
        short = max(0.0, comparison.shortfall)
        sentence = f"{narrow}, which does no harm: {short:.0%} of the span is the largest shortfall."
        return Verdict(Outcome.ABSENT, sentence, (ratio,), where)
    same, larger = comparison.closed_by(SAME_MODEL), comparison.closed_by(LARGER_MODEL)
    if same >= MOST_OF_IT.value:
        sentence = f"{narrow}, but the same model, robustly trained, closes most of the shortfall."
        return Verdict(Outcome.ABSENT, sentence, (ratio,), where)
    if not comparison.beats_constant(SAME_MODEL):
        sentence = f"{narrow}, but the same model does no better than a constant, however it is trained."
        return Verdict(Outcome.UNDECIDED, sentence, (ratio,), where)
    if larger <= same:
        return Verdict(Outcome.ABSENT, f"{narrow}, but a wider model goes no lower.", (ratio,), where)
    return Verdict(Outcome.PRESENT, f"{narrow}, and no training of this model closes the shortfall.", (ratio,), where)


def squeeze_one_layer(setup: Setup) -> Setup:
    """Leave the first of several hidden layers a single unit; pass the inputs of an only one through a single unit.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no such layer, or the network is an autoencoder.
    """
    if Task.measure(setup).reconstructs:
        raise RemedyError("the network gives back its inputs, and a narrow middle is what such a network is for")
    groups = hidden_widths(setup)
    if len(groups) > 1:
        return with_width(setup, groups[0].names, FAULT)
    host = groups[0].names[0] if groups else ""
    with isolated(setup.seed):
        layer = setup.build()[0].get_submodule(host)
    if not isinstance(layer, nn.Linear):
        raise RemedyError("the model has no hidden linear layer whose inputs could be passed through a narrow one")
    size = layer.in_features

    def apply(model: nn.Module) -> nn.Module:
        squeeze = nn.Sequential(nn.Linear(size, FAULT), nn.Linear(FAULT, size))
        insert_before(model.get_submodule(host), "squeeze", squeeze)
        return model

    edit = Edit(f"model: in front of {host}", "", f"Linear {size}-{FAULT}-{size}", apply)
    return with_checked_edit(setup, edit, "no narrow layer could be put in")


def widen_that_layer(setup: Setup, narrowest: Narrowest) -> tuple[Setup, ...]:
    """Widen the narrowest layer alone, to each of `SHARES` of the width of the others.

    Args:
        setup: What is trained.
        narrowest: The layer.

    Returns:
        One set-up a width, the smaller first.
    """
    widths = {max(narrowest.width + 1, round(share * narrowest.others)) for share in SHARES}
    return tuple(with_width(setup, narrowest.names, width) for width in sorted(widths))


def _autoencoder() -> Setup:
    inputs = patients.regression().train.head(320)
    values = torch.cat([batch[0] for batch in inputs])
    many = values @ torch.randn(3, 12, generator=torch.Generator().manual_seed(0))
    return Setup.of(
        model=lambda: patients.perceptron(12, 32, 3, 32, 12, activation=nn.Tanh),
        loss=nn.MSELoss(),
        optimizer=patients.adam(),
        train=(many[:240], many[:240]),
        validation=(many[240:], many[240:]),
        epochs=30,
    )


RULE = Rule(
    code="CAP002",
    judge=judge,
    fault=squeeze_one_layer,
    remedy=Remedy("Widen that layer.", widen_that_layer, Applies.OPT_IN),
    cases=(
        Case(
            "a single unit in front of two wide layers",
            lambda: patients.shells(lambda: patients.perceptron(4, 1, 32, 32, 3)),
            Outcome.PRESENT,
        ),
        Case("three layers of the same width", patients.shells, Outcome.ABSENT),
        Case(
            "a narrow middle that lets through all that matters",
            lambda: patients.regression(lambda: patients.perceptron(3, 32, 2, 32, 1), linear=True),
            Outcome.ABSENT,
        ),
        Case(
            "an autoencoder, whose middle is narrow on purpose",
            _autoencoder,
            Outcome.ABSENT,
        ),
        Case(
            "layers that are all too narrow",
            lambda: patients.shells(lambda: patients.perceptron(4, 2, 2, 3)),
            Outcome.ABSENT,
        ),
    ),
    explained_by=(*(f"SET{number:03d}" for number in range(1, 21)), "DAT006", "OPT006", "OPT008", "OPT011"),
)
