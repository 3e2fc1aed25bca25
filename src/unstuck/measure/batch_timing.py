"""Time for one update and for one epoch against the batch size, on the device of the set-up."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass, replace
from typing import ClassVar, Final, final

import torch

from unstuck.loop.stages import take_step
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated, one_thread, seeded, trainable

FACTORS: Final = (1.0, 0.25, 4.0, 16.0)
"""Batch sizes that are timed, over the given one, the most telling first."""

REPEATS: Final = 7
"""Batches of each size that are timed; the median counts."""

WARM_UP: Final = 2
"""First steps that are not counted: they allocate memory and choose kernels."""

LONGEST_SECONDS: Final = 1.0
"""Wall time after which no further size is begun."""


@final
@dataclass(frozen=True, slots=True)
class BatchTime:
    """The time at one batch size.

    Attributes:
        batch_size: Samples per batch.
        update_seconds: Of one step on it, reading not included; the middle of several.
        fastest: The fastest of them.
        slowest: The slowest.
        epoch_seconds: Of the steps of one pass; NaN where the number of samples is not known.
    """

    batch_size: int
    update_seconds: float
    fastest: float
    slowest: float
    epoch_seconds: float


@final
@dataclass(frozen=True, slots=True)
class BatchTiming:
    """How time depends on the batch size.

    Attributes:
        device: Where it was taken.
        times: One a batch size, the smallest first.
    """

    cost: ClassVar[float] = 2.0

    device: str
    times: tuple[BatchTime, ...]

    @classmethod
    def measure(cls, prepared: Prepared) -> BatchTiming:
        """Time a few steps at each of some batch sizes.

        Args:
            prepared: The set-up.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If not even the given size could be timed.
        """
        return batch_timing(prepared.setup)


def batch_timing(setup: Setup, seconds: float = LONGEST_SECONDS) -> BatchTiming:
    """Time a few steps at each of some batch sizes.

    Args:
        setup: What is trained; nothing of it is touched.
        seconds: Wall time after which no other size is begun.

    Returns:
        The times of those sizes that were done and that the memory bears.

    Raises:
        NotMeasurable: If not even the given size could be timed.
    """
    until, found = time.perf_counter() + seconds, list[BatchTime]()
    wanted = dict.fromkeys(max(1, round(factor * setup.train.batch_size)) for factor in FACTORS)
    for size in wanted:
        data = setup.train.with_batch_size(size)
        if data.batch_size != size or (found and time.perf_counter() > until):
            continue
        try:
            found.append(_timed(replace(setup, train=data), until))
        except Exception as error:  # memory may not bear a larger batch, batch-norm not a smaller one
            if not found:
                raise NotMeasurable(f"a step could not be timed: {error}") from error
    return BatchTiming(str(setup.device), tuple(sorted(found, key=lambda each: each.batch_size)))


def _timed(setup: Setup, until: float) -> BatchTime:
    size, samples = setup.train.batch_size, setup.train.size
    with trainable(), isolated(setup.seed), one_thread():
        own, model, optimizer = setup.fresh()
        model.train()
        batch = own.placed(next(iter(own.train.batches(seeded(setup.seed)))))
        spent: list[float] = []
        for number in range(WARM_UP + REPEATS):
            _wait(setup.device)
            start = time.perf_counter()
            take_step(own, model, optimizer, batch)
            _wait(setup.device)
            spent.append(time.perf_counter() - start)
            if number > WARM_UP and time.perf_counter() > until:
                break
    counted = spent[WARM_UP:]
    middle = statistics.median(counted)
    epoch = math.nan if samples is None else middle * max(1.0, samples / size)
    return BatchTime(size, middle, min(counted), max(counted), epoch)


def _wait(device: torch.device) -> None:
    """Let the device finish what it was given: graphics processors work behind our back."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
