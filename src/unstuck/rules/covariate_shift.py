"""The test inputs come from elsewhere than the training inputs.

## What it checks
Whether the loss is much larger on the test data than on held-out samples of the training distribution, the test inputs
can be told from the training inputs, and neither other shares of the classes nor a scale, offset or order of channels
nor other labels for the same inputs account for that.

## Why it hurts
A network is only as good as its training data are dense. Where few training samples lay, it had no reason to be right,
and a model that is too small for everything spends its capacity where they did lie. If the test data gather there, a
few bad answers become most of them.

## How it is measured
Where the test loss is large, a classifier, the moments of every feature, their distribution functions and a kernel are
asked whether the inputs differ, all on the same permutations, so that their joint p-value holds. The features that
moved furthest and the test samples least like training are named. What else could be behind the gap is looked at by
itself: the inputs are compared once more with the training samples drawn in the test data's shares of classes (label
shift); a map is sought after which inputs and targets agree (preprocessing); learners taught on either side are asked
about inputs that come in both (concept shift). A test loss is large because inputs differ or because labels do, so
where the labels are seen to agree, or most test inputs lie where no training sample has told a label, that is the
proof. Else the trial has to give it: training samples are weighted by
the density ratio told from one half of the test inputs, no test label is looked at, and the other half is scored.

## Remedy
In this order: draw training samples in proportion to the density ratio of test to training inputs (capped; the
effective number of samples is told), or to its root, which scatters less; take batch-norm statistics from test inputs;
and once it is proven by the evidence, train on labelled samples from where the test data lie. Best of all, collect more
of those. Weights do little for a large network that fits every training sample anyway, and nothing where there is
hardly a training sample: fewer than twenty effective ones are not tried.

## When to leave it
Where the test loss is as low as the held-out loss, a difference between the inputs does no harm. All these remedies
look at the test inputs. That is right where the model will be used on just these inputs, or on more like them, and they
are at hand before it is. It is cheating where the test set stands for inputs that nobody has seen yet: in a benchmark,
in a competition that forbids it, in a claim about new sites or later years. Then split new data for the correction from
those that give the score, and never report a score on samples that were trained on.

## References
H. Shimodaira, "Improving predictive inference under covariate shift by weighting the log-likelihood function", 2000.
M. Sugiyama, M. Krauledat, K.-R. Müller, "Covariate shift adaptation by importance weighted cross validation", 2007.
D. Lopez-Paz, M. Oquab, "Revisiting classifier two-sample tests", 2017.
A. Gretton et al., "A kernel two-sample test", JMLR 13, 2012.
J. Byrd, Z. Lipton, "What is the effect of importance weighting in deep learning?", 2019.
S. Schneider et al., "Improving robustness against common corruptions by covariate shift adaptation", 2020.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from unstuck import patients
from unstuck.edits.reweighting import joined_with, with_rows, with_statistics_of
from unstuck.edits.samples import in_memory
from unstuck.errors import RemedyError
from unstuck.measure.comparison import LARGE
from unstuck.measure.features import flattened, inputs_of
from unstuck.measure.input_shift import InputShift
from unstuck.measure.learners import quietly
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.shift.concept import Agreement, ConceptGap
from unstuck.measure.shift.drift import CHANCE, InputDrift
from unstuck.measure.shift.outdated import OutdatedAnswers
from unstuck.measure.shift.ratio import capped, density_ratio, drawn
from unstuck.measure.shift.shares import ClassShares
from unstuck.measure.shift.test_data import Halves, TestGap
from unstuck.measure.two_sample import comparable
from unstuck.quantity import Quantity
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Aim, Case, Remedy, Rule
from unstuck.setup import Data, Setup, StackedData
from unstuck.setup.batch import concatenate
from unstuck.setup.randomness import isolated, one_thread

ROWS: Final = 4000
"""Training samples that are weighted at most."""

STATISTICS: Final = 1000
"""Test samples that batch-norm statistics are taken from at most."""

FEWEST: Final = 20
"""Effective samples below which weighted training is training on a handful of samples."""

RARE: Final = 0.02
"""Share of the training samples that the fault leaves in the part where the test samples lie."""


def judge(
    gap: TestGap,
    drift: InputDrift | Unmeasured,
    shares: ClassShares | Unmeasured,
    concept: ConceptGap | Unmeasured,
    shift: InputShift | Unmeasured,
    outdated: OutdatedAnswers | Unmeasured,
) -> Verdict:
    """Suspect inputs that differ by more than the shares of the classes or a map, where the test loss is large."""
    above = Evidence(
        Quantity("(test − held-out loss) / span from the best constant", gap.gap, "1", gap.low, gap.high), LARGE
    )
    if gap.labelled and not math.isfinite(gap.gap):
        sentence = "The run did not end in a finite loss, so its gap to the test data cannot be told."
        return Verdict(Outcome.UNDECIDED, sentence, (above,))
    if not gap.open:
        return Verdict(Outcome.ABSENT, f"The test loss is {gap.gap:.0%} of the span above the held-out loss.", (above,))
    if isinstance(drift, Unmeasured):
        sentence = f"Training and test inputs could not be compared: {drift.reason}."
        return Verdict(Outcome.UNDECIDED, sentence, (above,))
    differ = Evidence(Quantity("p-value of test inputs like the training inputs", drift.p_value, CHANCE.unit), CHANCE)
    area = Evidence(Quantity("area under the ROC curve of telling them apart", drift.area, "1"))
    evidence = (above, differ, area, *_further(drift)) if gap.labelled else (differ, area, *_further(drift))
    if not drift.differs:
        return Verdict(Outcome.ABSENT, "The test inputs cannot be told from the training inputs.", evidence)
    if isinstance(shares, ClassShares) and _only_shares(shares):
        sentence = "The inputs differ only as the classes come in other shares."
        matched = Quantity("p-value once the classes come in the same shares", shares.matched_p_value, CHANCE.unit)
        return Verdict(Outcome.ABSENT, sentence, (*evidence, Evidence(matched, CHANCE)))
    if isinstance(shares, ClassShares) and shares.p_value <= CHANCE.value and math.isnan(shares.matched_p_value):
        sentence = (
            "The inputs differ, and so do the class shares, so far that it cannot be told whether they alone do it."
        )
        return Verdict(Outcome.UNDECIDED, sentence, evidence)
    where = tuple(f"feature {one.number}" for one in drift.moved)
    where += (f"test rows {', '.join(map(str, drift.rows))}",) if drift.rows else ()
    if not gap.labelled:
        sentence = (
            "The test inputs differ from the training inputs; without test labels it cannot be told what that costs. "
            f"If inputs are all that differs, the test loss is about {drift.weighted:.3g}."
        )
        return Verdict(Outcome.UNDECIDED, sentence, evidence, where)
    if isinstance(shift, InputShift) and shift.maps:
        sentence = f"The inputs differ only as they were prepared otherwise: {shift.maps[0].name} takes them back."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    sentence = f"The test loss is {gap.gap:.0%} of the span above the held-out loss, and the test inputs differ"
    if isinstance(concept, Unmeasured):
        return Verdict(Outcome.PRESENT, f"{sentence}.", evidence, where)
    if concept.apart:
        lie = Evidence(Quantity("share of the test samples that lie where training samples do", concept.common))
        sentence = f"{sentence}: {1.0 - concept.common:.0%} of them lie where there is hardly a training sample."
        return Verdict(Outcome.PRESENT, sentence, (*evidence, lie), where, certain=True)
    name = f"error of a learner ({concept.learner}) taught on training samples, above one taught on test samples"
    evidence = (*evidence, Evidence(Quantity(name, concept.gain, "1", concept.low, concept.high), LARGE))
    if concept.disagrees or (isinstance(outdated, OutdatedAnswers) and outdated.shown):
        sentence = "The test inputs differ, and so do the labels of inputs that come in both, which comes first."
        return Verdict(Outcome.UNDECIDED, sentence, evidence, where)
    if concept.agrees:
        sentence = f"{sentence}, while inputs that come in both have the same labels."
        return Verdict(Outcome.PRESENT, sentence, evidence, where, certain=True)
    return Verdict(Outcome.PRESENT, f"{sentence}.", evidence, where)


def _only_shares(shares: ClassShares) -> bool:
    return shares.p_value <= CHANCE.value and shares.matched_p_value > CHANCE.value


def _further(drift: InputDrift) -> tuple[Evidence, ...]:
    named = (
        ("the same area by the model's own features", drift.own_area),
        ("held-out loss, weighted towards the test inputs", drift.weighted),
        ("effective share of the held-out samples, so weighted", drift.effective),
    )
    return tuple(Evidence(Quantity(name, value, "1")) for name, value in named if math.isfinite(value))


def gather_elsewhere(setup: Setup) -> Setup:
    """Train where few of the test samples lie: on one side of the first principal axis, tested on the other.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up: one in fifty of the training samples of the far third is left, and the test split is that
        third of the test samples and of the training samples that were left out.

    Raises:
        RemedyError: If there are no splits in memory, or the inputs are no numbers.
    """
    train, validation = in_memory(setup.train), _other(setup.validation)
    test = _other(setup.test if setup.test is not None else setup.validation)
    axis, middle, limit = _axis(train)
    draws = torch.Generator().manual_seed(0)

    def far(data: StackedData) -> Tensor:
        return (_flat(data) - middle) @ axis > limit

    def thinned(data: StackedData) -> Tensor:
        return ~far(data) | (torch.rand(data.size, generator=draws) < RARE)

    kept = thinned(train)
    held = thinned(validation)
    moved = concatenate(
        [test.subset(far(test).nonzero().flatten()).samples, train.subset((~kept).nonzero().flatten()).samples]
    )
    return replace(
        setup,
        train=train.subset(kept.nonzero().flatten()),
        validation=validation.subset(held.nonzero().flatten()),
        test=replace(test, samples=moved),
    )


def _other(data: Data | None) -> StackedData:
    if data is None:
        raise RemedyError("there must be a validation split to keep to the training distribution")
    return in_memory(data)


def _flat(data: StackedData) -> Tensor:
    parts = [part for part in inputs_of([data.samples]) if part.is_floating_point()]
    if not parts:
        raise RemedyError("no input is made of numbers, so it has no axis to move along")
    return torch.cat([flattened(part) for part in parts], 1).double()


def _axis(train: StackedData) -> tuple[Tensor, Tensor, float]:
    flat = _flat(train)
    middle = flat.mean(0)
    axis = torch.linalg.svd(flat - middle, full_matrices=False)[2][0]
    return axis, middle, float(((flat - middle) @ axis).quantile(2.0 / 3.0))


def weigh(setup: Setup, halves: Halves, agreement: Agreement) -> tuple[Setup, ...]:
    """Train towards the test inputs, told from one half of the test data and scored on the other.

    Args:
        setup: What is trained.
        halves: Of the labelled test data.
        agreement: Whether labels agree, so that more samples from there are a cure and not another fault's.

    Returns:
        Weighted training, in full and by the root; batch-norm statistics of test inputs; where labels agree, training
        on labelled samples too.

    Raises:
        RemedyError: If none applies.
    """
    given = replace(setup, test=halves.scored)
    found: list[Setup] = []
    reason = RemedyError("there are neither samples to weigh nor statistics to take")
    for change in (_weighted, _normalised):
        try:
            found += change(given, halves.known)
        except RemedyError as error:
            reason = error if change is _weighted else reason
        except NotMeasurable as error:
            reason = RemedyError(str(error))
    if agreement.shown:
        found.append(joined_with(given, halves.known, "training samples, and as many labelled ones from the test data"))
    if not found:
        raise reason
    return tuple(found)


def _weighted(setup: Setup, known: StackedData) -> list[Setup]:
    train = in_memory(setup.train)
    if train.size > ROWS:
        raise RemedyError(f"{train.size} training samples take too long to weigh")
    found = []
    with isolated(0), one_thread(), quietly():
        ratio = density_ratio(*comparable(inputs_of([train.samples]), inputs_of([known.samples]), "test"))
        held_out = setup.validation
        theirs: np.ndarray[Any, Any] | None = None
        if isinstance(held_out, StackedData) and held_out.size <= ROWS:
            pair = comparable(inputs_of([held_out.samples]), inputs_of([known.samples]), "test")
            theirs = density_ratio(*pair).weights
        for power in (1.0, 0.5):
            flat = capped(ratio.weights**power, ratio.classifier)
            if flat.effective < FEWEST:
                continue
            rows = torch.as_tensor(drawn(flat.weights, train.size, setup.seed))
            again = None if theirs is None else torch.as_tensor(drawn(theirs**power, len(theirs), setup.seed))
            root = "" if power == 1.0 else "the root of "
            says = (
                f"in proportion to {root}the density ratio of test to training inputs ({ratio.classifier}), capped at "
                f"{math.sqrt(train.size):.0f} times the mean; {flat.effective:.0f} of {train.size} effective"
            )
            found.append(with_rows(setup, rows, says, again))
    if not found:
        raise RemedyError(f"fewer than {FEWEST} of {train.size} training samples lie where the test inputs do")
    return found


def _normalised(setup: Setup, known: StackedData) -> list[Setup]:
    return [with_statistics_of(setup, known, "averages over test inputs", STATISTICS)]


def _four_units() -> nn.Module:
    return patients.perceptron(3, 4, 1)


RULE = Rule(
    code="MIS001",
    judge=judge,
    fault=gather_elsewhere,
    remedy=Remedy("Train towards the test inputs: by weights, statistics or samples.", weigh, Applies.OPT_IN),
    cases=(
        Case(
            "a small network, trained where few of the test samples lie",
            lambda: gather_elsewhere(patients.regression(_four_units)),
            Outcome.PRESENT,
        ),
        Case("test inputs like the training inputs", patients.shells, Outcome.ABSENT),
        Case(
            "test inputs from elsewhere, where the network is as good",
            lambda: gather_elsewhere(patients.bars()),
            Outcome.ABSENT,
        ),
    ),
    aim=Aim.TEST,
    explained_by=("MIS002", "MIS004", "MIS006", "MIS007"),
)
