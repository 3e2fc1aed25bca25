"""The answer to one sample depends on the other samples of its batch.

## What it checks
Whether an output changes when another sample of the batch is replaced, in evaluation mode: a recurrent layer that takes
the samples for time steps since `batch_first` was left out, a `view` where a `transpose` was meant, a mean, softmax or
normalisation along the axis of the samples.

## Why it hurts
Every prediction is made from pieces of several samples that chance has put into one batch. What the network learns of
them is noise, the loss stays near that of a constant, and a prediction is another one in another batch.

## How it is measured
A batch of thirteen samples runs through the untrained network in evaluation mode; then one of them is replaced by
another, and the outputs of all others must stay as they are. The same is asked of what every layer takes and gives,
which names the place where the mixing begins. The trial gives recurrent and attention layers `batch_first`, swaps
axes by `transpose` where a view did, or leaves the layer out that mixes, from the same seeds.

## Remedy
`batch_first=True` for data `[N, T, F]`; `transpose` or `permute` to change the order of axes, `view` and `reshape`
only to split and join neighbouring ones; `dim=1` or `dim=-1`, not 0, for whatever is taken per sample.

## When to leave it
Batch-norm in training mode mixes on purpose and is not looked at, nor is one without running statistics reported.
Networks that compare the samples of a batch by design are cleared by the comparison where they train well.

## References
Karpathy, "A recipe for training neural networks", 2019 (use backprop to chart dependencies: view and transpose).
PyTorch, `torch.nn.LSTM`, documentation (`batch_first`).
Islam et al., "A comprehensive study on deep learning bug characteristics", ESEC/FSE 2019 (tensor structure).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from torch import Tensor, nn

from unstuck.edits.batch_axis import TornSamples, tear_samples, transpose_for_view, with_batch_first, without_module
from unstuck.errors import RemedyError
from unstuck.measure.sample_mixing import SampleMixing
from unstuck.patients import classification, perceptron, shells
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

MIXED: Final = Threshold(
    1e-3,
    "share of the change in all outputs",
    "rounding leaves below 1e-4 (float32 sums in another order, IEEE 754); torn samples and wrong axes 0.1 and more",
)


def judge(mixing: SampleMixing) -> Verdict:
    """Suspect where replacing one sample changes the outputs of others."""
    share = Quantity("share of what replacing one sample changes that lands on the others", mixing.mixing)
    evidence = (Evidence(share, MIXED),)
    if mixing.mixing < MIXED.value:
        return Verdict(Outcome.ABSENT, "Replacing one sample of a batch leaves the others' outputs alone.", evidence)
    if not mixing.mixing >= MIXED.value:
        return Verdict(Outcome.UNDECIDED, "What one sample does to the others' outputs is no number.", evidence)
    if mixing.batch_norm:
        sentence = f"The samples are mixed by `{mixing.module}`, which normalises by the batch on purpose."
        return Verdict(Outcome.ABSENT, sentence, evidence)
    found = f"Replacing one sample changes the others' outputs, by {mixing.mixing:.0%} of all change"
    if not mixing.module:
        sentence = f"{found}; it begins behind the last layer."
    elif mixing.inside:
        sentence = f"{found}; it begins in the layer `{mixing.module}` ({mixing.kind})."
    else:
        sentence = f"{found}; it begins on the way to `{mixing.module}` ({mixing.kind})."
    return Verdict(Outcome.PRESENT, sentence, evidence, (mixing.module,) if mixing.module else ())


def mix_samples(setup: Setup) -> Setup:
    """Take the samples for time steps, or tear them apart by a view."""
    try:
        return with_batch_first(setup, False)
    except RemedyError:
        return tear_samples(setup)


def keep_samples_apart(setup: Setup, mixing: SampleMixing) -> tuple[Setup, ...]:
    """The right axis for the layer that mixes, a transpose for a view, or the layer that mixes left out."""
    made, reasons = [], []
    changes: list[Callable[[], Setup]] = [lambda: with_batch_first(setup, True), lambda: transpose_for_view(setup)]
    if mixing.inside:
        changes.append(lambda: without_module(setup, mixing.module))
    for change in changes:
        try:
            made.append(change())
        except RemedyError as error:
            reasons.append(str(error))
    if not made:
        raise RemedyError("; ".join(reasons))
    return tuple(made)


class _Recurrent(nn.Module):
    """A GRU over features taken for time steps, `[N, T]`."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.gru = nn.GRU(1, 16, batch_first=batch_first)
        self.head = nn.Linear(16, 3)

    def forward(self, values: Tensor) -> Tensor:
        scores: Tensor = self.head(self.gru(values.unsqueeze(2))[0][:, -1])
        return scores


class _TimeFirst(_Recurrent):
    """The same with the time steps first, as the layer wants them."""

    def __init__(self) -> None:
        super().__init__(batch_first=False)

    def forward(self, values: Tensor) -> Tensor:
        scores: Tensor = self.head(self.gru(values.T.unsqueeze(2))[0][-1])
        return scores


def _torn() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 32), TornSamples(), nn.ReLU(), nn.Linear(32, 3))


RULE = Rule(
    code="SET011",
    judge=judge,
    fault=mix_samples,
    remedy=Remedy(
        "Keep the samples of a batch apart: the right axis, transpose in place of view.",
        keep_samples_apart,
        Applies.SAFE,
    ),
    cases=(
        Case("a view where a transpose was meant", lambda: shells(_torn), Outcome.PRESENT),
        Case(
            "a GRU that takes the samples for time steps",
            lambda: classification(lambda: _Recurrent(False)),
            Outcome.PRESENT,
        ),
        Case("three classes in a perceptron", classification, Outcome.ABSENT),
        Case("a GRU with the samples first", lambda: classification(lambda: _Recurrent(True)), Outcome.ABSENT),
        Case(
            "near miss: a GRU with the time steps first, on data turned around for it",
            lambda: classification(_TimeFirst),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: batch-norm, which mixes samples in training mode only",
            lambda: shells(lambda: nn.Sequential(nn.Linear(4, 32), nn.BatchNorm1d(32), *perceptron(32, 32, 3))),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: batch-norm without running statistics",
            lambda: shells(
                lambda: nn.Sequential(
                    nn.Linear(4, 32), nn.BatchNorm1d(32, track_running_stats=False), *perceptron(32, 32, 3)
                )
            ),
            Outcome.ABSENT,
        ),
    ),
    explained_by=("SET012",),
)
