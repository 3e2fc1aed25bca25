"""The outputs are the same for every input.

## What it checks
Whether the network gives one and the same answer to all samples, before training and after it, although the inputs
differ: a factor or a mask of zeros, a mean over the wrong axis, a layer that nothing passes, a forward function that
uses something else than its argument.

## Why it hurts
What does not reach the outputs cannot be learned. The loss falls to that of the best constant prediction and stays
there, whatever the rate, the size of the network or the number of epochs.

## How it is measured
Thirty-two samples run through the network in evaluation mode, untrained and trained. Where their outputs agree to
within rounding, the untrained weights are mixed sixteen times, entries in another order and with other signs: what lets
nothing through then either is cut off. The spread over samples is followed from layer to layer: the first one behind
which nothing differs any more is named. The trial leaves that layer out, where it has no weights and keeps the shape,
from the same seeds.

## Remedy
Mend the path from the inputs at the place named: the axis of a mean, a mask, an assignment that overwrites an argument.

## When to leave it
A last layer that starts at zero gives the same for all samples until the first step, and is not reported. Units that
died, or weights that are all the same, cut the inputs off as well; they are diagnoses of their own.

## References
Karpathy, "A recipe for training neural networks", 2019 (input-independent baseline: does the net use its inputs?).
Humbatova et al., "Taxonomy of real faults in deep learning systems", ICSE 2020 (missing or wrong connections).
Lu et al., "Dying ReLU and initialization: theory and numerical examples", 2020 (networks born constant).
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from unstuck.edits.batch_axis import without_module
from unstuck.edits.insertion import insert_behind
from unstuck.edits.passes import with_checked_edit
from unstuck.edits.structure import AFFINE, layer_exits
from unstuck.edits.tracing import trace
from unstuck.errors import RemedyError
from unstuck.measure.input_influence import InputInfluence
from unstuck.patients import perceptron, regression, shells
from unstuck.quantity import Quantity, Threshold, roughly
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Edit, Setup

SAME: Final = Threshold(
    1e-5,
    "spread over samples / size of the outputs",
    "what rounding of float32 numbers leaves (IEEE 754: 6e-8 a sum, a hundred sums)",
)


def judge(influence: InputInfluence) -> Verdict:
    """Tell where outputs are the same for all samples, at the start and in the end."""
    after = Evidence(Quantity("spread of the trained outputs over samples / their size", influence.at_end), SAME)
    before = Evidence(Quantity("spread of the untrained outputs over samples / their size", influence.at_start), SAME)
    inputs = Evidence(Quantity("spread of the inputs over samples / their size", influence.inputs))
    evidence = (after, before, inputs)
    if influence.at_end > SAME.value:
        sentence = f"The trained outputs differ between samples by {roughly(influence.at_end)} of their size."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    if influence.at_start > SAME.value:
        sentence = f"At the start the outputs differ between samples by {roughly(influence.at_start)} of their size."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    if not (influence.at_end <= SAME.value and influence.at_start <= SAME.value and influence.inputs > SAME.value):
        return Verdict(Outcome.UNDECIDED, "The inputs differ no more than the outputs, or are no numbers.", evidence)
    found = "The outputs are the same for all samples, untrained and trained"
    if influence.mixed > SAME.value:
        mixed = Evidence(
            Quantity("spread of the outputs with the untrained weights mixed / their size", influence.mixed)
        )
        sentence = f"{found}, but differ with the same weights in another order: units are dead, no path is cut."
        return Verdict(Outcome.ABSENT, sentence, (mixed, *evidence))
    if not influence.module:
        sentence = f"{found}; the inputs get lost behind the last layer."
    elif influence.inside:
        sentence = f"{found}; the inputs get lost in `{influence.module}` ({influence.kind})."
    else:
        sentence = f"{found}; the inputs get lost on the way to `{influence.module}` ({influence.kind})."
    where = (influence.module,) if influence.module else ()
    return Verdict(Outcome.PRESENT, sentence, evidence, where, certain=True)


class _Masked(nn.Module):
    """A mask that lets nothing through."""

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.zeros(()))

    def forward(self, values: Tensor) -> Tensor:
        return values * self.mask


def mask_everything(setup: Setup) -> Setup:
    """Put a mask of zeros behind the first hidden layer."""
    record = trace(setup)
    calls = [call for call in layer_exits(record).values() if isinstance(call.module, AFFINE)]
    names = [call.name for call in calls if record.times(call.name) == 1]
    if len(names) < 2 or record.calls[0].name != names[0]:
        raise RemedyError("the first layer must be a linear or convolutional one that everything passes through")

    def apply(model: nn.Module) -> nn.Module:
        insert_behind(model.get_submodule(names[0]), "mask", _Masked())
        return model

    edit = Edit(f"model.{names[0]}", "as given", "followed by a mask of zeros", apply)
    return with_checked_edit(setup, edit, "no mask could be put in")


def mend_path(setup: Setup, influence: InputInfluence) -> Setup:
    """Leave the layer out in which the inputs get lost."""
    if not influence.module or not influence.inside:
        raise RemedyError("the inputs get lost between layers, in code that has to be mended by hand")
    return without_module(setup, influence.module)


def _zero_layer() -> nn.Module:
    layer = nn.Linear(32, 3)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


RULE = Rule(
    code="SET018",
    judge=judge,
    fault=mask_everything,
    remedy=Remedy("Mend the path from the inputs where they get lost.", mend_path, Applies.OPT_IN),
    cases=(
        Case(
            "a mask of zeros behind the first layer",
            lambda: shells(lambda: nn.Sequential(nn.Linear(4, 32), _Masked(), nn.ReLU(), nn.Linear(32, 3))),
            Outcome.PRESENT,
        ),
        Case("three classes in a perceptron", shells, Outcome.ABSENT),
        Case(
            "near miss: a last layer that starts at zero, which the first step undoes",
            lambda: shells(lambda: nn.Sequential(*perceptron(4, 32, 32), nn.ReLU(), _zero_layer())),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: targets that the inputs say nothing about",
            lambda: regression(targets=lambda values: values.flip(0), epochs=5),
            Outcome.ABSENT,
        ),
    ),
    explained_by=("SET004", "SET012", "OPT006", "OPT008", "OPT009", "OPT010", "OPT011"),
)
