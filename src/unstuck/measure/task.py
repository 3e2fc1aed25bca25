"""What the network is to do: told from its targets and its loss."""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import torch
from torch import Tensor

from unstuck.loop.evaluate import predict
from unstuck.measure.loss_form import OVER_LAST, LossForm, OutputForm, recognise
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup
from unstuck.setup.batch import split_batch, tensors
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated, one_thread

OF_CLASSES: Final = (OutputForm.CLASS_LOGITS, OutputForm.CLASS_LOG_PROBABILITIES, OutputForm.CLASS_PROBABILITIES)
"""Forms of outputs of which there is one a class."""

OF_YES_OR_NO: Final = (OutputForm.BINARY_LOGITS, OutputForm.PROBABILITIES)
"""Forms of outputs of which each is a yes or no."""

ROUNDING: Final = 1e-3
"""Distance from 1 of the sum of a sample's class probabilities, given to three digits or in half precision."""


class Kind(enum.Enum):
    """The kind of task."""

    CLASSES = "one of several classes"
    BINARY = "yes or no"
    LABELS = "several labels at once"
    VALUES = "numbers"
    UNKNOWN = "unknown"


@final
@dataclass(frozen=True, slots=True)
class Task:
    """What the network is to do.

    Attributes:
        kind: The kind of task.
        classes: Number of classes; 2 for BINARY, 0 where there are none.
        one_hot: Whether class targets are given one-hot.
        per_position: Whether there is a target for every position of an output with more than two dimensions.
        output_shape: Shape of the outputs on a batch, `[N, …]`, or () where they are no tensor.
        target_shape: Shape of the targets on that batch, or () likewise.
        loss_name: The loss as recognised.
        output_form: What the loss takes the outputs to be.
        exact_loss: Whether the loss equals the textbook's.
        class_dimension: Dimension of the outputs that runs over the classes: 1, or the last one of a language model.
        reconstructs: Whether the targets are the inputs, or nearly (an autoencoder).
    """

    cost: ClassVar[float] = 0.0

    kind: Kind
    classes: int
    one_hot: bool
    per_position: bool
    output_shape: tuple[int, ...]
    target_shape: tuple[int, ...]
    loss_name: str
    output_form: OutputForm
    exact_loss: bool
    class_dimension: int = 1
    reconstructs: bool = False

    @classmethod
    def measure(cls, setup: Setup) -> Task:
        """Look at one batch of targets, and at the loss.

        Returns:
            The task.

        Raises:
            NotMeasurable: If outputs or targets are no tensors, or there is no loss.
        """
        if setup.loss is None:
            raise NotMeasurable("the loss is inside train_step; give `loss` as well")
        with isolated(setup.seed), one_thread():
            model, _ = setup.build()
        # An odd number of samples, so that a class dimension is not mistaken for a batch dimension.
        batch = gather(setup.train.head(61))
        outputs = predict(setup, model, [batch])[0]
        targets = setup.targets(setup.placed(batch))
        if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor):
            raise NotMeasurable("outputs and targets must be tensors to tell the task; these are structures")
        outputs = outputs.float()
        form = recognise(setup.loss, outputs, targets)
        everything = _targets(setup)
        kind, classes, one_hot = tell_kind(everything, outputs, form)
        return cls(
            kind=kind,
            classes=classes,
            one_hot=one_hot,
            class_dimension=-1 if form.name == OVER_LAST else 1,
            reconstructs=_reconstructs(batch, targets),
            per_position=kind is Kind.CLASSES and not one_hot and targets.dim() > 1 and targets.shape[1:].numel() > 1,
            output_shape=tuple(outputs.shape),
            target_shape=tuple(targets.shape),
            loss_name=form.name,
            output_form=form.form,
            exact_loss=form.exact,
        )


def _reconstructs(batch: Any, targets: Tensor) -> bool:
    """Whether some input explains more than half of the variance of the targets, place by place."""
    if not targets.is_floating_point() or targets.dim() < 2 or targets[0].numel() < 2:
        return False
    inputs, named, _ = split_batch(batch)
    for tensor in tensors((inputs, named)):
        if tensor.is_floating_point() and tensor.numel() == targets.numel():
            distance = (tensor.reshape(targets.shape).to(targets.device) - targets).square().mean()
            return bool(distance < 0.5 * (targets - targets.mean(0)).square().mean())
    return False


def _targets(setup: Setup) -> Tensor:
    batches = setup.train.head(2000)
    parts = [setup.targets(batch) for batch in batches]
    try:
        return torch.cat(parts)
    except (RuntimeError, TypeError):
        first: Any = parts[0]
        return first if isinstance(first, Tensor) else torch.empty(0)


def tell_kind(targets: Tensor, outputs: Tensor, form: LossForm) -> tuple[Kind, int, bool]:
    """Kind of task, number of classes, and whether targets are one-hot.

    Args:
        targets: Many targets, shape `[M, …]`.
        outputs: Outputs on a batch, shape `[N, …]`.
        form: What the loss takes the outputs to be.

    Returns:
        The three.
    """
    if form.name == OVER_LAST:
        return Kind.CLASSES, outputs.shape[-1], False
    width = outputs.shape[1] if outputs.dim() > 1 else 1
    shares = targets.is_floating_point()
    if form.form in OF_CLASSES and width > 1 and not (shares and _are_no_shares(targets)):
        return Kind.CLASSES, width, shares
    whole = bool((targets == targets.round()).all())
    values = Counter(targets.flatten()[:20_000].tolist())
    two = whole and set(values) <= {0, 1}
    if two and targets.dim() > 1 and targets.shape[1] > 1:
        hot = bool((targets.sum(1) == 1).all())
        return (Kind.CLASSES, targets.shape[1], True) if hot else (Kind.LABELS, 0, False)
    if two and len(values) == 2:
        return Kind.BINARY, 2, False
    if not targets.is_floating_point() and width > 1 and targets.shape != outputs.shape:
        return Kind.CLASSES, width, False
    return (Kind.VALUES, 0, False) if targets.numel() else (Kind.UNKNOWN, 0, False)


def _are_no_shares(targets: Tensor) -> bool:
    """Whether most rows of targets `[M, C, …]` are no probabilities of classes: below 0, or not summing to 1."""
    rows = targets.double()
    odd = (rows < 0.0).any(1) | ((rows.sum(1) - 1.0).abs() > ROUNDING)
    return bool(odd.double().mean() > 0.5)
