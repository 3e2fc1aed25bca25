"""The same inputs have other targets in the test data.

## What it checks
Whether the loss is much larger on the test data than on held-out samples of the training distribution, and a learner
taught on test samples knows other test samples much better than one taught on as many training samples, where inputs
of both kinds come.

## Why it hurts
What a label means has changed: another rater, another definition, prices of another year, classes numbered in another
order. The network is right by what it was taught, and wrong by what it is asked. No weighting of old samples and no
correction for shares can tell it what the new labels are.

## How it is measured
A learner is taught on four fifths of the test samples and asked about the rest; another on as many training samples,
drawn in the test data's shares of classes and in proportion to the density ratio of the inputs. Only test samples
whose inputs come in training as well are counted. Other inputs and other shares are thereby accounted for; what is
left is that labels disagree. Where test samples are too few to learn the new targets from, it still shows where the
old ones no longer hold: whether the network is wrong is told from the test inputs, and if it is wrong on most test
samples of a region, but right on held-out samples of the same region, the same inputs have other targets. The trial
trains the network on one half of the labelled test data, alone or with those training samples that lie where the
network is still right, and scores the other half.

## Remedy
Label anew: get samples with labels of the new kind, and train on them, together with those old ones that still hold.
First make sure that it is no slip in
reading the labels: another order of the class names in the two folders, or rows that are shifted against each other,
looks just alike and costs nothing to mend.

## When to leave it
Where too few labelled test samples are at hand, it cannot be told, and it cannot be told without labels at all. Where
the old labels are the right ones, the test labels have to be corrected, not the network. Training on labelled test
samples is right where more of the same kind are to come. It is cheating where they are the yardstick: then get labelled
samples of the new kind from elsewhere, and leave the test data alone.

## References
J. Gama et al., "A survey on concept drift adaptation", ACM Computing Surveys 46, 2014.
J. Moreno-Torres et al., "A unifying view on dataset shift in classification", Pattern Recognition 45, 2012.
W. Dai et al., "Boosting for transfer learning", ICML 2007 (old samples that the new ones contradict count no more).
A. Liu et al., "On the need for a language describing distribution shifts", NeurIPS 2023.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from unstuck import patients
from unstuck.edits.reweighting import completed_by, trained_on
from unstuck.edits.samples import in_memory
from unstuck.errors import RemedyError
from unstuck.measure.comparison import LARGE
from unstuck.measure.features import flattened, inputs_of
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.shift.concept import ConceptGap
from unstuck.measure.shift.drift import CHANCE
from unstuck.measure.shift.outdated import OutdatedAnswers, still_right
from unstuck.measure.shift.test_data import Halves, TestGap
from unstuck.measure.task import Task
from unstuck.quantity import Quantity
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Setup, StackedData
from unstuck.setup.batch import replace_targets


def judge(gap: TestGap, concept: ConceptGap | Unmeasured, outdated: OutdatedAnswers | Unmeasured) -> Verdict:
    """Suspect labels that disagree where the test loss is large."""
    above = Evidence(
        Quantity("(test − held-out loss) / span from the best constant", gap.gap, "1", gap.low, gap.high), LARGE
    )
    if gap.labelled and not math.isfinite(gap.gap):
        sentence = "The run did not end in a finite loss, so its gap to the test data cannot be told."
        return Verdict(Outcome.UNDECIDED, sentence, (above,))
    if not gap.labelled:
        sentence = "Without test labels it cannot be told whether the same inputs have other targets."
        return Verdict(Outcome.UNDECIDED, sentence)
    if not gap.large:
        return Verdict(Outcome.ABSENT, f"The test loss is {gap.gap:.0%} of the span above the held-out loss.", (above,))
    if isinstance(concept, Unmeasured):
        return Verdict(Outcome.UNDECIDED, f"It could not be told: {concept.reason}.", (above,))
    if not math.isfinite(concept.gain):
        sentence = (
            "Most test inputs lie where there is hardly a training sample, so that their labels cannot be held against "
            "each other."
        )
        return Verdict(Outcome.UNDECIDED, sentence, (above,))
    name = f"error of a learner ({concept.learner}) taught on training samples, above one taught on test samples"
    gain = Evidence(Quantity(name, concept.gain, "1", concept.low, concept.high), LARGE)
    pair = f"{concept.taught_on_training:.2f} against {concept.taught_on_test:.2f} of the best constant's error"
    if concept.disagrees:
        sentence = (
            f"Taught on training samples, a learner errs more on test samples than taught on others of them: {pair}."
        )
        return Verdict(Outcome.PRESENT, sentence, (above, gain))
    if isinstance(outdated, OutdatedAnswers) and outdated.shown and concept.taught_on_test <= 1.0 - LARGE.value:
        sentence = (
            f"In a region with {outdated.test_share:.0%} of the test samples and {outdated.held_out_share:.0%} of the "
            f"held-out samples, the network is wrong on {outdated.wrong:.0%} of the former and "
            f"{outdated.held_out_wrong:.0%} of the latter."
        )
        chance = Quantity("p-value of so many more wrong answers there by chance", outdated.p_value, CHANCE.unit)
        return Verdict(Outcome.PRESENT, sentence, (above, Evidence(chance, CHANCE), gain))
    if concept.agrees:
        sentence = f"Taught on training samples, a learner does as well on test samples: {pair}."
        return Verdict(Outcome.ABSENT, sentence, (above, gain))
    sentence = f"There are too few test samples to tell whether labels disagree: {pair}."
    return Verdict(Outcome.UNDECIDED, sentence, (above, gain))


def change_meaning(setup: Setup) -> Setup:
    """Give half of the test samples, those on one side of the first principal axis, other targets.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up: there classes have the next number, yes is no, numbers are mirrored about their mean.

    Raises:
        RemedyError: If there is no test or validation split in memory, or its inputs or targets are no tensors.
    """
    data = setup.test if setup.test is not None else setup.validation
    if data is None:
        raise RemedyError("there is neither a test split nor a validation split to change")
    train, test = in_memory(setup.train), in_memory(data)
    flat = _flat(train)
    middle = flat.mean(0)
    axis = torch.linalg.svd(flat - middle, full_matrices=False)[2][0]
    side = (_flat(test) - middle) @ axis > 0.0
    targets, known = setup.targets(test.samples), setup.targets(train.samples)
    if not isinstance(targets, Tensor) or not isinstance(known, Tensor):
        raise RemedyError("targets must be tensors to be changed")
    return replace(setup, test=replace(test, samples=replace_targets(test.samples, _changed(targets, known, side))))


def _flat(data: StackedData) -> Tensor:
    return torch.cat([flattened(part) for part in inputs_of([data.samples])], 1).double()


def _changed(targets: Tensor, known: Tensor, side: Tensor) -> Tensor:
    rows = side.reshape(-1, *[1] * (targets.dim() - 1))
    other: Any
    if not targets.is_floating_point():
        other = (targets + 1) % (int(known.max()) + 1)
    elif bool(((known == 0) | (known == 1)).all()):
        hot = targets.dim() == 2 and targets.shape[1] > 1 and bool((targets.sum(1) == 1).all())
        other = targets.roll(1, dims=1) if hot else 1.0 - targets
    else:
        other = 2.0 * known.mean(0) - targets
    return torch.where(rows, other, targets)


def learn_anew(setup: Setup, halves: Halves, prepared: Prepared, trained: Trained, task: Task) -> tuple[Setup, ...]:
    """Train on one half of the labelled test data instead, scored on the other.

    Args:
        setup: What is trained.
        halves: Of the labelled test data.
        prepared: The set-up with its splits.
        trained: The run as given, which tells where the old labels still hold.
        task: The task.

    Returns:
        That half alone, and in place of those training samples that lie where the run is no longer right.

    Raises:
        RemedyError: If the samples are not held in memory.
    """
    given = replace(setup, test=halves.scored)
    alone = trained_on(given, halves.known, "labelled ones from the test data")
    try:
        kept = still_right(prepared, trained, task, halves.known, in_memory(setup.train))
        says = f"{int(kept.sum())} that still hold, and labelled ones from the test data"
        return alone, completed_by(given, kept, halves.known, says)
    except (NotMeasurable, RemedyError):
        return (alone,)


def _randomly(setup: Setup) -> Setup:
    draws = torch.Generator().manual_seed(3)
    test = in_memory(setup.test) if setup.test is not None else in_memory(setup.train)
    labels = setup.targets(test.samples)
    wrong = torch.rand(len(labels), generator=draws) < 0.35
    others = (labels + torch.randint(1, 3, labels.shape, generator=draws)) % 3
    return replace(setup, test=replace(test, samples=replace_targets(test.samples, torch.where(wrong, others, labels))))


RULE = Rule(
    code="MIS003",
    judge=judge,
    fault=change_meaning,
    remedy=Remedy("Train on samples whose labels mean what they mean in the test data.", learn_anew, Applies.OPT_IN),
    cases=(
        Case(
            "test labels that mean something else for half of the inputs",
            lambda: change_meaning(patients.shells()),
            Outcome.PRESENT,
        ),
        Case("labels that mean the same", patients.shells, Outcome.ABSENT),
        Case(
            "test labels of which a third are wrong at random",
            lambda: _randomly(patients.classification()),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.TEST,
    explained_by=("MIS002", "MIS004", "MIS006", "MIS007"),
)
