"""Dropout or batch-norm runs in the mode that is meant for the other occasion.

## What it checks
Whether batch-norm layers run in evaluation mode while training, with statistics that no batch has ever gone into; and
whether dropout or batch-norm still run in training mode when the model is evaluated, be it by a call of `train()` in
the forward function or by functional dropout, which knows no mode.

## Why it hurts
In evaluation mode batch-norm divides by running statistics. Where those are still the initial 0 and 1, it does
nothing: the deep network that relies on it trains as if it were not there. Dropout in evaluation throws away part of
what was learnt, a different part each time, and batch-norm in training mode lets a prediction depend on the samples
that happen to be in its batch.

## How it is measured
Hooks see each layer's mode as it runs in two real training calls and in one evaluation. Besides, the evaluation is
repeated from the same weights with every mode put right, and the change of the outputs measured; whatever keeps
dropout alive shows there. The trial puts the modes right throughout: training where gradients are recorded,
evaluation where they are not; then, where a function drops the answers themselves, it leaves that out besides.

## Remedy
Call `model.train()` before each epoch and `model.eval()` before each evaluation, nowhere else; write
`F.dropout(x, p, training=self.training)`, or use `nn.Dropout`. Behind the last layer dropout has no place in any mode:
the best answer to squared errors is then the right one times 1 − p.

## When to leave it
Batch-norm that is kept in evaluation mode while a pretrained network is fine-tuned has statistics worth keeping, and
is not reported. Dropout that is off while training costs no training loss. Dropout in evaluation is a way to estimate
uncertainty; the mean of many passes is then what counts.

## References
N. Srivastava et al., "Dropout", 2014. S. Ioffe, C. Szegedy, "Batch normalization", 2015.
PyTorch, "torch.nn.functional.dropout" (`training` is True by default).
Humbatova et al., "Taxonomy of real faults in deep learning systems", ICSE 2020.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from unstuck import patients
from unstuck.edits.regularisation import without_dropout_of_outputs
from unstuck.errors import RemedyError
from unstuck.loop import predict
from unstuck.measure.modes import Modes
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Edit, Setup
from unstuck.setup.randomness import isolated

UNFED: Final = Threshold(0.0, "layers", "none in training mode, where each batch changes the statistics (Ioffe 2015)")
MOVED: Final = Threshold(
    1e-3,
    "size of the outputs",
    "the right mode again gives the same outputs; another kernel's rounding is below 1e-3 in half precision (IEEE 754)",
)

DROPPED: Final = 0.4
"""Share of the outputs that the fault drops."""


def judge(modes: Modes) -> Verdict:
    """Suspect normalisation without statistics while training, and training modes in evaluation."""
    unfed = Evidence(
        Quantity(
            "batch-norm layers in evaluation mode while training, fed by no batch", float(len(modes.unfed)), "layers"
        ),
        UNFED,
    )
    effect = Evidence(Quantity("change of the outputs in evaluation with every mode put right", modes.effect), MOVED)
    settled = Evidence(Quantity("batch-norm layers that keep learnt statistics", float(modes.settled), "layers"))
    asleep = Evidence(Quantity("dropout layers that are off while training", float(modes.asleep), "layers"))
    lines = tuple(filter(None, (modes.eval_line, modes.train_line, modes.dropout_line)))
    if modes.effect > MOVED.value:
        what = f"{len(modes.awake)} layers run" if modes.awake else "functional dropout runs"
        sentence = (
            f"In evaluation {what} in training mode: with every mode put right the outputs change by "
            f"{min(modes.effect, 99.0):.0%} of their size."
        )
        return Verdict(Outcome.PRESENT, sentence, (effect, unfed, settled, asleep), (*modes.awake, *lines))
    if modes.unfed:
        sentence = (
            f"{len(modes.unfed)} of {modes.normalisers} batch-norm layers run in evaluation mode while training, and "
            "no batch has ever gone into their statistics."
        )
        return Verdict(Outcome.PRESENT, sentence, (unfed, effect, settled, asleep), (*modes.unfed, *lines))
    sentence = "Batch-norm and dropout run in the mode that is meant for the occasion, in training and in evaluation."
    if modes.asleep:
        sentence = (
            f"{modes.asleep} of {modes.dropouts} dropout layers are off while training: no harm to the training loss."
        )
    elif modes.settled:
        sentence = f"{modes.settled} of {modes.normalisers} batch-norm layers keep statistics that have been learnt."
    return Verdict(Outcome.ABSENT, sentence, (effect, unfed, settled, asleep))


def never_stop_dropping(setup: Setup) -> Setup:
    """Send the outputs through functional dropout that is not told the mode.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the outputs are no tensor.
    """
    with isolated(setup.seed):
        outputs = predict(setup, setup.build()[0], setup.train.head(2)[:1])
    if not isinstance(outputs[0], Tensor):
        raise RemedyError("the outputs are no tensor that dropout could be put behind")
    return setup.with_edit(Edit("outputs", "as they are", f"through functional dropout of {DROPPED:.0%}", _dropping))


def _dropping(model: nn.Module) -> nn.Module:
    model.register_forward_hook(_drop)
    return model


def _drop(module: nn.Module, inputs: Any, outputs: Tensor) -> Tensor:
    return functional.dropout(outputs, DROPPED)  # `training` is True by default


def put_modes_right(setup: Setup) -> tuple[Setup, ...]:
    """Training mode where gradients are recorded, evaluation mode where they are not.

    Then, besides, without a function that drops the answers themselves: where each is multiplied by m/(1 − p), with m
    drawn from 0 and 1, the squared error of answers is least at (1 − p) times the target, also in the right mode.

    Args:
        setup: What to change.

    Returns:
        One changed set-up, or two.
    """
    right = setup.corrected(modes=True)
    try:
        return right, without_dropout_of_outputs(setup).corrected(modes=True)
    except RemedyError:
        return (right,)


class _Dropped(nn.Module):
    """A small network with functional dropout, which minds its mode or does not."""

    def __init__(self, share: float, *, minds: bool) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 32), nn.Linear(32, 3)
        self.share, self.minds = share, minds

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = functional.dropout(
            torch.relu(self.first(inputs)), self.share, training=self.training if self.minds else True
        )
        outputs: Tensor = self.last(hidden)
        return outputs


def _in_evaluation_mode(model: nn.Module, optimizer: Optimizer, batch: Any) -> Tensor:
    """The step of a loop that evaluates now and then, and never calls `train()` again."""
    model.eval()
    optimizer.zero_grad()
    loss = functional.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    return loss


def _normalised(widths: tuple[int, ...], *, learnt: bool = False) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in zip(widths[:-2], widths[1:-1], strict=True):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.Sigmoid()]
    model = nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))
    if learnt:
        with torch.no_grad():
            for _ in range(30):
                model(patients.shells().train.head(320)[0][0])
        for layer in model:
            if isinstance(layer, nn.BatchNorm1d):
                layer.eval()
    return model


RULE = Rule(
    code="SET010",
    judge=judge,
    fault=never_stop_dropping,
    remedy=Remedy(
        "Call train() before training and eval() before evaluation, and tell functional dropout the mode.",
        put_modes_right,
        Applies.SAFE,
    ),
    cases=(
        Case(
            "functional dropout that is not told the mode",
            lambda: patients.shells(lambda: _Dropped(0.5, minds=False)),
            Outcome.PRESENT,
        ),
        Case(
            "functional dropout that is told the mode",
            lambda: patients.shells(lambda: _Dropped(0.2, minds=True)),
            Outcome.ABSENT,
        ),
        Case(
            "batch-norm between sigmoids, in evaluation mode in every training step",
            lambda: patients.shells(
                lambda: _normalised((4, 24, 24, 24, 24, 24, 3)),
                optimizer=patients.sgd(0.1, 0.9),
                train_step=_in_evaluation_mode,
                epochs=40,
            ),
            Outcome.PRESENT,
        ),
        Case(
            "near miss: batch-norm kept in evaluation mode on purpose, with statistics that were learnt",
            lambda: patients.shells(lambda: _normalised((4, 24, 24, 3), learnt=True)),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: a step in evaluation mode of a network that knows no modes",
            lambda: patients.shells(train_step=_in_evaluation_mode),
            Outcome.ABSENT,
        ),
    ),
)
