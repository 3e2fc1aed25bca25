"""After how many epochs the held-out loss is lowest, told on samples that no score is taken on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Final, final

from unstuck.loop import fit
from unstuck.measure.preparation import Allowance, Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup.data import StackedData

SHARE: Final = 0.2
"""Share of the training samples that chooses the epoch."""


@final
@dataclass(frozen=True, slots=True)
class BestEpoch:
    """The epoch at which to stop.

    A fifth of the *training* samples is set aside, the set-up is trained on the rest, and the epoch at which the loss
    on the fifth is lowest is noted. Choosing it on the held-out samples would let a trial that is scored on them
    flatter itself (Goodfellow, Bengio & Courville, "Deep learning", 2016, algorithm 7.2: how long to train, told from
    a part of the training set, then trained anew on all of it).

    Attributes:
        epoch: Epochs to train for, from 1; 0 where none could be told.
        epochs: Epochs of the set-up.
    """

    cost: ClassVar[float] = 1.0

    epoch: int
    epochs: int

    @classmethod
    def measure(cls, prepared: Prepared, allowance: Allowance) -> BestEpoch:
        """Train on four fifths.

        Args:
            prepared: The set-up with its splits.
            allowance: How long a run may take.

        Returns:
            The epoch.

        Raises:
            NotMeasurable: If the set-up has no loss of its own.
        """
        setup = prepared.setup
        if setup.loss is None:
            raise NotMeasurable("the loss is inside train_step; give `loss` as well")
        if not isinstance(setup.train, StackedData) or setup.train.size < 10:
            return cls(0, setup.epochs)
        train, chooses = setup.train.split(SHARE, setup.seed)
        part = replace(setup, train=train, validation=chooses, early_stopping=False)
        losses = fit(part, seconds=allowance.run_seconds).validation_losses
        known = [loss if math.isfinite(loss) else math.inf for loss in losses]
        best = known.index(min(known)) + 1 if known and min(known) < math.inf else 0
        return cls(best, setup.epochs)
