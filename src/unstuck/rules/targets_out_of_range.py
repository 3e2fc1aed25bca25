"""Class numbers that the outputs have no place for, that the loss leaves out, or that training never shows.

## What it checks
Three ways in which class numbers do not fit: numbers below 0 or at least as large as the number of outputs; numbers
with an output of their own that the loss passes over, as `ignore_index` or a weight of 0 does; and classes that occur
in the validation or test split and in no training sample.

## Why it hurts
A class number without an output stops the training with an error, on a GPU with one that names another line. A class
that the loss passes over is never learnt, however many samples it has, and the loss does not show it. Nobody can learn
a class that is not shown.

## How it is measured
The loss is asked on the CPU about every class number that occurs, on two draws of random outputs: it raises, or its
value does not depend on the outputs, or it takes the number. A class that is missing from the training split counts
where a random split would leave it out less than once in a thousand times.

## Remedy
Number the classes from 0; or give the last layer an output for each. Let `ignore_index` be a number that is no class.
Split with all classes on every side (`stratify=` in scikit-learn).

## When to leave it
Numbers such as -100 that are passed over on purpose are not reported, nor outputs that no sample has, nor a class that
stands for padding in targets with one number for every position.

## References
PyTorch, "CrossEntropyLoss": class indices in [0, C), `ignore_index`, `weight`.
R. Kohavi, "A study of cross-validation and bootstrap", IJCAI 1995 (stratified splits).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor, nn

from unstuck import patients
from unstuck.edits.samples import every_split, in_memory
from unstuck.errors import RemedyError
from unstuck.measure.target_range import ClassNumber, TargetRange
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup
from unstuck.setup.batch import replace_targets, split_batch

LUCK: Final = Threshold(
    1e-3, "probability", "of a random split that leaves a class out; small, for there are many classes to look at"
)
LOSSES: Final = (nn.CrossEntropyLoss, nn.NLLLoss)
NOBODY: Final = -100
"""The `ignore_index` of torch where none is given."""


def judge(targets: TargetRange) -> Verdict:
    """Conclude where a class number is refused, left out, or missing from the training split beyond chance."""
    if targets.classes < 1:
        return Verdict(Outcome.ABSENT, "The loss takes no class numbers.")
    outputs = Quantity("outputs that stand for classes", float(targets.classes), "outputs")
    highest = Quantity("largest class number", float(targets.highest))
    evidence = (Evidence(highest), Evidence(outputs))
    if targets.refused:
        where = tuple(_named(one) for one in targets.refused)
        sentence = f"The loss raises on {_list(targets.refused)}; there are {targets.classes} outputs, from 0."
        return Verdict(Outcome.PRESENT, sentence, evidence, where, certain=True)
    if targets.left_out and not targets.per_position:
        where = tuple(_named(one) for one in targets.left_out)
        sentence = f"The loss takes no notice of {_list(targets.left_out)}, which has an output of its own."
        return Verdict(Outcome.PRESENT, sentence, evidence, where, certain=True)
    unseen = [one for one in targets.unseen if one.luck <= LUCK.value]
    if unseen:
        rarest = min(unseen, key=lambda one: one.luck)
        luck = Quantity(f"probability that a random split leaves class {rarest.number} out of training", rarest.luck)
        where = tuple(_named(one) for one in unseen)
        sentence = f"The training split has no sample of {_list(tuple(unseen))}."
        return Verdict(Outcome.PRESENT, sentence, (Evidence(luck, LUCK), *evidence), where)
    sentence = f"Class numbers run from {targets.lowest} to {targets.highest}, and there are {targets.classes} outputs."
    return Verdict(Outcome.ABSENT, sentence, evidence)


def _list(numbers: tuple[ClassNumber, ...]) -> str:
    shown = list(dict.fromkeys(str(one.number) for one in numbers))
    names = ", ".join(shown[:5]) + (", …" if len(shown) > 5 else "")
    most = max(numbers, key=lambda one: one.count)
    return f"class {names} ({most.count} {most.split} targets)"


def _named(one: ClassNumber) -> str:
    return f"class {one.number}: {one.count} {one.split} targets"


def ignore_a_class(setup: Setup) -> Setup:
    """Let the loss pass over the class that most training samples have."""
    if type(setup.loss) not in LOSSES or setup.loss.ignore_index != NOBODY:  # type: ignore[union-attr]
        raise RemedyError("only a cross-entropy or a negative log-likelihood can be told to ignore a class")
    targets = setup.targets(in_memory(setup.train).samples)
    if not isinstance(targets, Tensor) or targets.is_floating_point() or targets.dim() != 1:
        raise RemedyError("targets must be class numbers, one a sample")
    return _ignoring(setup, int(targets.mode().values))


def _ignoring(setup: Setup, number: int) -> Setup:
    given = setup.loss
    assert isinstance(given, LOSSES)  # callers have asked
    more = {"label_smoothing": given.label_smoothing} if isinstance(given, nn.CrossEntropyLoss) else {}
    made = type(given)(given.weight, ignore_index=number, reduction=given.reduction, **more)
    return setup.with_loss(made, f"{type(given).__name__}(ignore_index={number})")


def bring_into_range(setup: Setup, targets: TargetRange) -> Setup:
    """Number the classes from 0, or let the loss ignore no class.

    Args:
        setup: What is trained.
        targets: What is out of range.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If neither helps.
    """
    if targets.refused:
        if targets.highest - targets.lowest >= targets.classes:
            needed = targets.highest - min(0, targets.lowest) + 1
            raise RemedyError(f"the last layer must have {needed} outputs; it has {targets.classes}")
        lowest = targets.lowest
        return every_split(
            setup,
            lambda data: data.mapped(lambda batch: replace_targets(batch, split_batch(batch)[2] - lowest)),
        )
    if targets.left_out and type(setup.loss) in LOSSES:
        if setup.loss.ignore_index in {one.number for one in targets.left_out}:  # type: ignore[union-attr]
            return _ignoring(setup, NOBODY)
    if targets.left_out:
        raise RemedyError("the loss leaves a class out by itself; let it count every class")
    raise RemedyError("split anew, with samples of every class in the training split")


def _without_class_two(batch_labels: Tensor) -> Tensor:
    return batch_labels.clamp(max=1)


def _unshown() -> Setup:
    healthy = patients.classification()
    return replace(
        healthy,
        train=healthy.train.mapped(lambda batch: replace_targets(batch, _without_class_two(healthy.targets(batch)))),
    )


def _some_unlabelled(labels: Tensor) -> Tensor:
    chosen = torch.rand(labels.shape, generator=torch.Generator().manual_seed(0)) < 0.1
    return torch.where(chosen, NOBODY, labels)


RULE = Rule(
    code="DAT010",
    judge=judge,
    fault=ignore_a_class,
    remedy=Remedy(
        "Number the classes from 0 to the number of outputs, and let the loss leave none out.",
        bring_into_range,
        Applies.SAFE,
    ),
    cases=(
        Case(
            "class 1 is the number that the loss ignores",
            lambda: patients.classification(loss=nn.CrossEntropyLoss(ignore_index=1)),
            Outcome.PRESENT,
        ),
        Case("a third of the held-out samples are of a class that training never shows", _unshown, Outcome.PRESENT),
        Case("classes from 0 to 2, and three outputs", patients.classification, Outcome.ABSENT),
        Case(
            "near miss: labels from 1, and an output to spare",
            lambda: patients.classification(lambda: patients.perceptron(4, 24, 4), targets=lambda labels: labels + 1),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: samples without a label, marked by -100",
            lambda: patients.classification(targets=_some_unlabelled),
            Outcome.ABSENT,
        ),
    ),
    evidence_suffices=True,
)
