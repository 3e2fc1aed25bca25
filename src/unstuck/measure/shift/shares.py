"""How often each class comes in the test data, told from the model's answers alone, and whether that is all."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, final

import numpy as np
import torch
from torch import Tensor

from unstuck.errors import RemedyError
from unstuck.loop.evaluate import SAMPLES, predict
from unstuck.measure.comparison import MOST_OF_IT
from unstuck.measure.features import Table
from unstuck.measure.learners import Whole, quietly
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.metric import joined
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.shift.by_class import told_of_gap
from unstuck.measure.shift.drift import CHANCE
from unstuck.measure.shift.matching import in_equal_shares, in_test_shares
from unstuck.measure.shift.priors import by_confusion, by_expectation, calibration, softmax
from unstuck.measure.shift.test_data import TestGap, test_inputs
from unstuck.measure.task import Kind, Task
from unstuck.setup import Data, Setup, StackedData
from unstuck.setup.randomness import isolated, one_thread

MOST_CLASSES: Final = 50

RESAMPLES: Final = 60
"""Of held-out and test samples, from which the intervals of the shares are taken."""

REDRAWN: Final = 1000
"""Resamples under the training shares, from which the p-value of the test labels is taken."""


@final
@dataclass(frozen=True, slots=True)
class Share:
    """One class.

    Attributes:
        number: The class.
        training: Its share of the training samples.
        expected: Its share of the test samples, by expectation and maximisation.
        low: Lower end of the 95 % interval of `expected`.
        high: Upper end.
        inverted: The same by inverting the confusion matrix.
        actual: By the test labels; NaN where there are none.
    """

    number: int
    training: float
    expected: float
    low: float
    high: float
    inverted: float
    actual: float


@final
@dataclass(frozen=True, slots=True)
class ClassShares:
    """Do the classes come as often in the test data as in training?

    Attributes:
        shares: One a class.
        moved: Total variation distance of the test shares from the training shares: by the labels where there are
            any, else as expected.
        low: Its lower end: beyond what samples of this size differ by.
        p_value: Of shares this different by chance; by the labels, else by the intervals of the expected shares.
        matched_p_value: Of inputs this different by chance, once the training samples are drawn anew in the test
            shares, or, where too few are left so, as many of each class from both: small where more than the shares
            has changed.
        matched_area: Area under the ROC curve, likewise.
        agree: Whether expected and inverted shares agree within the interval, as they must where only the shares
            have changed.
        told: Share of the gap to the test loss that is there once held-out samples are weighted to the shares of the
            test data; NaN without labels.
        told_low: Lower end of its 95 % interval.
        told_high: Upper end.
    """

    cost: ClassVar[float] = 0.3

    shares: tuple[Share, ...]
    moved: float
    low: float
    p_value: float
    matched_p_value: float
    matched_area: float
    agree: bool
    told: float = math.nan
    told_low: float = math.nan
    told_high: float = math.nan

    @property
    def tell_it_all(self) -> bool:
        """Whether nothing but the shares has changed, as far as it can be seen, and they make most of the gap."""
        return self.matched_p_value > CHANCE.value and self.told >= MOST_OF_IT.value and self.told_low > 0.0

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained, task: Task, gap: TestGap) -> ClassShares:
        """Estimate the shares, and compare the inputs once they are the same.

        Args:
            prepared: The set-up with its splits.
            trained: The run as given.
            task: The task.
            gap: Of the test loss.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If the test loss is as low as the held-out loss, or targets are no classes.
        """
        if not gap.open:
            raise NotMeasurable("the test loss is as low as the held-out loss")
        setup = prepared.setup
        other = test_inputs(setup)
        with isolated(0), one_thread(), quietly():
            held_out, truth = _answers(setup, trained, task, prepared.held_out)
            test, _ = _answers(setup, trained, task, other, labelled=False)
            training = _labels(task, setup, setup.train)
            classes = held_out.shape[1]
            counts = np.bincount(training, minlength=classes)
            prior = counts / counts.sum()
            expected, inverted, lows, highs, distances = _estimated(held_out, truth, test, prior)
            actual = np.full(classes, math.nan)
            if gap.labelled:
                labels = _labels(task, setup, other)
                actual = np.bincount(labels, minlength=classes) / len(labels)
                p_value, low = _by_labels(counts, np.bincount(labels, minlength=classes))
            else:
                p_value, low = float((distances <= 0.0).mean()), float(np.quantile(distances, 0.05))
            wanted = actual if gap.labelled else expected
            matched = in_test_shares(setup, other, training, wanted / np.maximum(prior, 1e-12))
            if gap.labelled and math.isnan(matched[0]):
                matched = in_equal_shares(setup, other, training, labels)
            told = told_of_gap(prepared, trained, partial(_labels, task, setup))
        half = 0.5 * float(np.abs(wanted - prior).sum())
        shares = tuple(
            Share(number, *(float(column[number]) for column in (prior, expected, lows, highs, inverted, actual)))
            for number in range(classes)
        )
        agree = bool(((inverted >= lows - 0.05) & (inverted <= highs + 0.05)).all())
        return cls(shares, half, max(0.0, low), p_value, *matched, agree, *told)


def _estimated(held_out: Table, truth: Whole, test: Table, prior: Table) -> tuple[Table, Table, Table, Table, Table]:
    """Expected and inverted shares, both ends of the interval of the expected ones, and how far they moved.

    Args:
        held_out: Logits of held-out samples, `[N, C]`.
        truth: Their classes.
        test: Logits of test samples, `[M, C]`.
        prior: Shares in training.

    Returns:
        Shapes `[C]`, and `[R]`: in each resample, how much further they lie from the training shares than those that
        are told of as many held-out samples, so that it is about 0 by chance.
    """
    expected, inverted = _told(held_out, truth, test)
    draws, found, distances = np.random.default_rng(0), [], []
    for _ in range(RESAMPLES):
        rows = draws.integers(len(truth), size=len(truth))
        if len(np.unique(truth[rows])) < 2:
            continue
        again = _told(held_out[rows], truth[rows], test[draws.integers(len(test), size=len(test))])[0]
        chance = _told(held_out[rows], truth[rows], held_out[draws.integers(len(truth), size=len(test))])[0]
        found.append(again)
        distances.append(0.5 * float(np.abs(again - prior).sum() - np.abs(chance - prior).sum()))
    spread = np.array(found)
    return expected, inverted, np.quantile(spread, 0.025, 0), np.quantile(spread, 0.975, 0), np.array(distances)


def _told(held_out: Table, truth: Whole, test: Table) -> tuple[Table, Table]:
    """Shares by both ways, from logits that are calibrated on held-out samples first."""
    if len(np.unique(truth)) < 2:
        raise NotMeasurable("fewer than two classes occur among the held-out samples")
    prior = np.maximum(np.bincount(truth, minlength=held_out.shape[1]), 0.5)
    factor, offsets = calibration(held_out, truth)
    chances, theirs = softmax(factor * held_out + offsets), softmax(factor * test + offsets)
    return by_expectation(theirs, prior / prior.sum()), by_confusion(chances, truth, theirs)


def _by_labels(ours: Whole, theirs: Whole) -> tuple[float, float]:
    """p-value of test labels this different by chance, and the distance beyond what chance makes of it."""
    pooled = (ours + theirs) / (ours.sum() + theirs.sum())
    draws = np.random.default_rng(0)

    def distance(one: Any, other: Any) -> Table:
        return np.asarray(0.5 * np.abs(one / ours.sum() - other / theirs.sum()).sum(-1))

    by_chance = distance(
        draws.multinomial(ours.sum(), pooled, REDRAWN), draws.multinomial(theirs.sum(), pooled, REDRAWN)
    )
    seen = float(distance(ours, theirs))
    return (1 + int((by_chance >= seen - 1e-12).sum())) / (REDRAWN + 1), seen - float(np.quantile(by_chance, 0.95))


def shares_of(prepared: Prepared, trained: Trained, task: Task, other: Data) -> tuple[Table, Table, Table]:
    """Class shares of a split told from the model's answers.

    Args:
        prepared: The set-up with its splits.
        trained: The run.
        task: The task.
        other: The split; its labels are not looked at.

    Returns:
        The shares in training, by expectation and maximisation, and by inverting the confusion matrix, `[C]` each.

    Raises:
        NotMeasurable: If targets are no classes.
    """
    setup = prepared.setup
    held_out, truth = _answers(setup, trained, task, prepared.held_out)
    test, _ = _answers(setup, trained, task, other, labelled=False)
    counts = np.bincount(_labels(task, setup, setup.train), minlength=held_out.shape[1])
    return (counts / counts.sum(), *_told(held_out, truth, test))


def class_labels(setup: Setup, data: StackedData) -> Tensor:
    """The classes of all samples of a split, `[N]`.

    Args:
        setup: Tells the targets.
        data: The split.

    Returns:
        Whole numbers from 0.

    Raises:
        RemedyError: If targets are no classes.
    """
    targets = setup.targets(data.samples)
    if not isinstance(targets, Tensor) or not bool((targets == targets.round()).all()) or bool((targets < 0).any()):
        raise RemedyError("targets must be classes")
    labels = targets.detach().cpu()
    if labels.dim() > 1 and labels.shape[1] > 1:
        if not bool((labels.sum(1) == 1).all()):
            raise RemedyError("targets must be classes, one a sample")
        labels = labels.argmax(1)
    labels = labels.reshape(len(labels)).long()
    if not 1 <= int(labels.max()) < MOST_CLASSES:
        raise RemedyError("targets must be two to fifty classes")
    return labels


def _labels(task: Task, setup: Setup, data: Data) -> Whole:
    targets = joined([setup.targets(batch) for batch in data.head(SAMPLES)])
    if not isinstance(targets, Tensor) or task.kind not in (Kind.CLASSES, Kind.BINARY) or task.per_position:
        raise NotMeasurable("targets must be classes, one a sample")
    if task.classes > MOST_CLASSES:
        raise NotMeasurable(f"{task.classes} classes are too many to tell the share of each")
    labels = (targets.argmax(1) if task.one_hot else targets).detach().cpu().long().flatten()
    if bool(((labels < 0) | (labels >= task.classes)).any()):
        raise NotMeasurable("targets must be classes from 0 on")
    return labels.numpy()


def _answers(setup: Setup, trained: Trained, task: Task, data: Data, labelled: bool = True) -> tuple[Table, Whole]:
    """Logits of classes `[N, C]`, and the classes where they are asked for."""
    labels = _labels(task, setup, data) if labelled else np.zeros(0, dtype=np.int64)
    said = joined(predict(setup, trained.run.model, data.head(SAMPLES)))
    if not isinstance(said, Tensor):
        raise NotMeasurable("outputs must be a tensor")
    return class_logits(task, said.detach().double().cpu()).numpy(), labels


def class_logits(task: Task, outputs: Tensor) -> Tensor:
    """Outputs as logits of classes.

    Args:
        task: Tells what they are.
        outputs: Shape `[N, C]`, or `[N]` or `[N, 1]` for yes or no.

    Returns:
        Shape `[N, C]`.

    Raises:
        NotMeasurable: If they are no scores of classes.
    """
    form = task.output_form
    if task.kind is Kind.BINARY and outputs.numel() == len(outputs):
        flat = outputs.reshape(-1, 1)
        if form is OutputForm.BINARY_LOGITS:
            return torch.cat([torch.zeros_like(flat), flat], 1)
        if form is OutputForm.PROBABILITIES:
            return torch.cat([1.0 - flat, flat], 1).clamp(1e-7, 1.0).log()
    if outputs.dim() == 2 and outputs.shape[1] == task.classes:
        if form in (OutputForm.CLASS_LOGITS, OutputForm.CLASS_LOG_PROBABILITIES):
            return outputs
        if form is OutputForm.CLASS_PROBABILITIES:
            return outputs.clamp_min(1e-7).log()
    raise NotMeasurable("the outputs are no scores of classes, one set a sample")
