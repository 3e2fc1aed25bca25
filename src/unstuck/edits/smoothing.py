"""Label smoothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

from torch import Tensor, nn

from unstuck.edits.losses import given_loss
from unstuck.errors import RemedyError
from unstuck.setup import Setup


def with_smoothed_labels(setup: Setup, share: float) -> Setup:
    """Give a share of each label to all classes alike while training; the yardstick stays the loss as given.

    C. Szegedy et al., "Rethinking the Inception architecture for computer vision", 2016, section 7.

    Args:
        setup: What is trained.
        share: Of each label, in (0, 1).

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the loss is neither cross-entropy of classes without smoothing nor binary cross-entropy.
    """
    loss = given_loss(setup)
    smoothed: Any
    if isinstance(loss, nn.CrossEntropyLoss) and loss.label_smoothing == 0.0:
        smoothed = nn.CrossEntropyLoss(
            weight=loss.weight, ignore_index=loss.ignore_index, reduction=loss.reduction, label_smoothing=share
        )
    elif isinstance(loss, (nn.BCEWithLogitsLoss, nn.BCELoss)):
        smoothed = _Binary(loss, share)
    else:
        raise RemedyError("the loss is no cross-entropy of torch whose labels are not smoothed yet")
    described = {**setup.described, "loss_units": "same", "label smoothing": f"{share:g}"}
    return replace(setup, loss=smoothed, described=described)


@final
@dataclass(frozen=True, eq=False)
class _Binary:
    loss: nn.Module
    share: float

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        value: Tensor = self.loss(outputs, targets * (1.0 - self.share) + 0.5 * self.share)
        return value
