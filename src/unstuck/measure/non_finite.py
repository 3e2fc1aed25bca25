"""Numbers of the data that are NaN or infinite, where they stand, and whether they reach the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import torch
from torch import Tensor

from unstuck.errors import UnstuckError
from unstuck.loop import predict, score_of
from unstuck.loop.evaluate import SAMPLES
from unstuck.setup import Batch, Data, Setup, StackedData
from unstuck.setup.batch import length, map_tensors, split_batch, tensors
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated, one_thread

NAMED: Final = 5
"""Rows and columns that are named at most."""

SHOWN: Final = 32
"""Samples with such numbers that the model is shown."""


@final
@dataclass(frozen=True, slots=True)
class Gaps:
    """The non-finite numbers of one tensor of one split.

    Attributes:
        split: "training", "validation" or "test".
        part: "inputs" or "targets".
        rows: Number of samples that hold any.
        looked_at: Number of samples that were looked at.
        share: Share of the tensor's numbers that are NaN or infinite.
        first_rows: The first such samples by number.
        columns: Columns of the flattened sample that hold the most of them, the worst first.
    """

    split: str
    part: str
    rows: int
    looked_at: int
    share: float
    first_rows: tuple[int, ...]
    columns: tuple[int, ...]


@final
@dataclass(frozen=True, slots=True)
class NonFinite:
    """Numbers of the data that are NaN or infinite.

    Attributes:
        gaps: One a tensor that has any.
        reaches_loss: Whether the loss of an untrained model on such samples is NaN or infinite; True also where
            there is no loss to ask.
    """

    cost: ClassVar[float] = 0.0

    gaps: tuple[Gaps, ...]
    reaches_loss: bool

    @classmethod
    def measure(cls, setup: Setup) -> NonFinite:
        """Look through the splits: all samples that are in memory, else as many as a score looks at."""
        found, reaches = [], False
        splits = {"training": setup.train, "validation": setup.validation, "test": setup.test}
        for name, data in splits.items():
            if data is None:
                continue
            batch = _everything(data)
            gaps = _gaps(name, batch)
            if gaps and not reaches:
                reaches = _reaches_loss(setup, batch)
            found += gaps
        return cls(tuple(found), reaches)


def is_missing(tensor: Tensor) -> Tensor:
    """Which numbers are NaN or infinite, of the tensor's shape; none of a mask made of 0 and minus infinity."""
    missing = ~torch.isfinite(tensor)
    if bool(missing.any()) and bool(((tensor == 0) | (tensor == -torch.inf)).all()):
        return torch.zeros_like(missing)
    return missing


def bad_rows(batch: Batch) -> Tensor:
    """Which samples of a batch hold a number that is NaN or infinite, shape `[N]`."""
    count = length(batch)
    found = torch.zeros(count, dtype=torch.bool)
    for tensor in tensors(batch):
        if tensor.dim() and len(tensor) == count and _has_missing(tensor):
            found |= is_missing(tensor).reshape(count, -1).any(1).cpu()
    return found


def _everything(data: Data) -> Batch:
    return data.samples if isinstance(data, StackedData) else gather(data.head(SAMPLES))


def _has_missing(tensor: Tensor) -> bool:
    """Quick: a finite sum has no NaN or infinite term."""
    return tensor.is_floating_point() and not bool(torch.isfinite(tensor.sum()))


def _parts(batch: Batch) -> dict[str, list[Any]]:
    try:
        inputs, named, targets = split_batch(batch)
    except UnstuckError:  # a batch that only the user's own step can read
        return {"inputs": list(tensors(batch))}
    return {"inputs": list(tensors((inputs, named))), "targets": list(tensors(targets))}


def _gaps(split: str, batch: Batch) -> list[Gaps]:
    found = []
    for part, several in _parts(batch).items():
        for tensor in several:
            if not tensor.dim() or not _has_missing(tensor):
                continue
            missing = is_missing(tensor).reshape(len(tensor), -1).cpu()
            rows, columns = missing.any(1), missing.sum(0)
            if not bool(rows.any()):
                continue
            worst = columns.argsort(descending=True, stable=True)[:NAMED]
            found.append(
                Gaps(
                    split,
                    part,
                    int(rows.sum()),
                    len(rows),
                    float(missing.double().mean()),
                    tuple(rows.nonzero().flatten()[:NAMED].tolist()),
                    tuple(int(column) for column in worst if columns[column]),
                )
            )
    return found


def _reaches_loss(setup: Setup, batch: Batch) -> bool:
    """Whether the loss of such samples is not finite: some programs fill gaps, or leave them out, by themselves."""
    if setup.loss is None:
        return True
    chosen = bad_rows(batch).nonzero().flatten()[:SHOWN]
    shown = map_tensors(batch, lambda tensor: tensor[chosen.to(tensor.device)])
    with isolated(setup.seed), one_thread():
        own, model, _ = setup.fresh()
        score = score_of(own, predict(own, model, [shown]), [shown])
    return not torch.isfinite(torch.tensor(score.loss)).item()
