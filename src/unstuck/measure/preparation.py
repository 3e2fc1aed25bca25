"""The materials of an examination: the splits that comparisons need, and the run as given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, final

from unstuck.loop import Run, fit
from unstuck.setup import Data, Setup

HELD_OUT_SHARE: Final = 0.2
"""Share of the training samples that is held out where the user gave no validation split."""


FEWEST_HELD_OUT: Final = 8
"""Samples below which a held-out loss says nothing: the training split then stands in for it."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """The set-up with a held-out part of the training distribution.

    Attributes:
        setup: As given, but for the samples held out.
        held_out: Samples of the training distribution that no run trains on; the training split itself where it is
            too small to hold any out.
        carved: Whether they were taken from the training split.
    """

    setup: Setup
    held_out: Data
    carved: bool

    @classmethod
    def measure(cls, setup: Setup) -> Prepared:
        """Take the validation split, or hold out a fifth of the training split."""
        if setup.validation is not None:
            return cls(setup, setup.validation, carved=False)
        size = setup.train.size
        if size is not None and HELD_OUT_SHARE * size < FEWEST_HELD_OUT:
            return cls(setup, setup.train, carved=False)
        train, held_out = setup.train.split(HELD_OUT_SHARE, setup.seed)
        return cls(replace(setup, train=train, validation=held_out), held_out, carved=True)


@final
@dataclass(frozen=True, slots=True)
class Allowance:
    """What an examination may spend.

    Attributes:
        run_seconds: Wall time after which a run is cut short; every run that it is compared with is then cut
            to the same number of steps.
    """

    run_seconds: float


@final
@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """The run as given, watched.

    Attributes:
        run: The run.
    """

    run: Run

    @classmethod
    def measure(cls, prepared: Prepared, allowance: Allowance) -> Trained:
        """Train it once."""
        return cls(fit(prepared.setup, watched=True, seconds=allowance.run_seconds))
