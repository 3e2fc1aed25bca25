"""Leaks between the splits: copies, groups that lie on both sides, and samples from after those that are asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from unstuck.errors import SetupError
from unstuck.measure.overlap import Copies, Overlap
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup
from unstuck.stats import wilson_interval

LISTED: Final = 5
"""Rows and groups that are named."""

SPLITS: Final = ("train", "validation", "test")

Columns = Mapping[str, Any]
"""Split → one value a sample, in the order of the split: "train", "validation", "test"."""


@final
@dataclass(frozen=True, slots=True)
class Leak:
    """One way in which a split knows of the training samples.

    Attributes:
        kind: "exact copies", "near copies", "groups" or "time".
        split: "validation" or "test".
        samples: Number of its samples that are concerned.
        of: Number of its samples that were looked at.
        rows: The first of those rows; empty where only a part of the split was looked at.
        sentence: What was found, in a sentence.
    """

    kind: str
    split: str
    samples: int
    of: int
    rows: tuple[int, ...]
    sentence: str

    @property
    def share(self) -> float:
        """Share of the samples that is concerned."""
        return self.samples / self.of if self.of else 0.0

    def __str__(self) -> str:
        return self.sentence


def leaks(setup: Setup, *, groups: Columns | None = None, time: Columns | None = None) -> tuple[Leak, ...]:
    """Look for samples, groups and times that the training split shares with validation and test.

    Copies are looked for in any case, exact and near ones (closer to a training sample than a tenth of what is typical
    between training samples; counted only beyond what training samples have among themselves). Groups (patients,
    videos, authors) and times are in no batch, so they are given beside it. Nothing is trained.

    S. Kaufman et al., "Leakage in data mining: formulation, detection, and avoidance", TKDD 6, 2012.

    Args:
        setup: What is examined.
        groups: Split → the group of each sample, numbers or strings, `[N]`.
        time: Split → when each sample was taken, numbers or dates, `[N]`.

    Returns:
        What was found, the largest share first; empty where there is no leak.

    Raises:
        SetupError: If a column does not fit its split.
    """
    given = {name: data for name in SPLITS if (data := getattr(setup, name)) is not None}
    if setup.test is None and setup.unlabelled is not None:
        given["test"] = setup.unlabelled
    sizes = {name: data.size for name, data in given.items()}
    found = _copies(setup)
    for kind, columns in (("groups", groups), ("time", time)):
        if columns is None:
            continue
        values = {name: _column(kind, name, columns[name], sizes) for name in columns}
        if "train" not in values or len(values) < 2:
            raise SetupError(
                f"`{kind}` must have a column for the training split and for another one",
                f"columns for {', '.join(values) or 'nothing'}",
                f"Pass {kind}={{'train': ..., 'test': ...}}, one value a sample.",
            )
        for name, column in values.items():
            if name != "train":
                find = _groups if kind == "groups" else _times
                found += find(values["train"], column, name)
    return tuple(sorted(found, key=lambda leak: -leak.share))


def _column(kind: str, name: str, values: Any, sizes: Mapping[str, int | None]) -> Any:
    if name not in sizes:
        raise SetupError(
            f"`{kind}` must name splits of the set-up",
            repr(name),
            f"They are {', '.join(sizes)}, as given to Setup.of.",
        )
    column = np.asarray(values)
    if column.ndim != 1 or (sizes[name] is not None and len(column) != sizes[name]):
        raise SetupError(
            f"`{kind}[{name!r}]` must hold one value for each of the {sizes[name]} samples",
            f"shape {list(column.shape)}",
            "Take the column from the same rows, in the same order, as the split.",
        )
    return column


def _copies(setup: Setup) -> list[Leak]:
    try:
        overlap = Overlap.measure(setup)
    except NotMeasurable:
        return []
    found = []
    for copies in overlap.splits:
        for kind, there, of, here, among, rows in (
            ("exact copies", copies.exact, copies.samples, overlap.own.exact, overlap.own.samples, copies.first_rows),
            ("near copies", copies.near, copies.compared, overlap.own.near, overlap.own.compared, ()),
        ):
            if _is_beyond(there, of, here, among) and not (kind == "near copies" and _is_exact(copies)):
                sentence = f"{there} of {of} {copies.split} samples are {kind} of training samples ({there / of:.1%})."
                found.append(Leak(kind, copies.split, there, of, rows, sentence))
    return found


def _is_beyond(there: int, of: int, here: int, among: int) -> bool:
    """Whether copies across splits are more frequent than within the training split, beyond both intervals."""
    if not there or not of or not among:
        return False
    return wilson_interval(there, of).low > wilson_interval(here, among).high


def _is_exact(copies: Copies) -> bool:
    """Whether the near copies are the exact ones again."""
    exact = copies.exact / copies.samples if copies.samples else 0.0
    return bool(copies.compared) and copies.near / copies.compared <= 1.1 * exact


def _groups(train: Any, other: Any, split: str) -> list[Leak]:
    shared = np.isin(other, train)
    if not shared.any():
        return []
    named = list(dict.fromkeys(other[shared].tolist()))
    which = ", ".join(map(str, named[:LISTED])) + (", …" if len(named) > LISTED else "")
    groups = f"{len(named)} group{'s' * (len(named) > 1)}"
    sentence = (
        f"{int(shared.sum())} of {len(other)} {split} samples belong to {groups} that the network was trained on "
        f"({which}); split anew, all samples of a group to one side."
    )
    return [Leak("groups", split, int(shared.sum()), len(other), _first(shared), sentence)]


def _times(train: Any, other: Any, split: str) -> list[Leak]:
    earlier = other < train.max()
    if not earlier.any():
        return []
    sentence = (
        f"{int(earlier.sum())} of {len(other)} {split} samples were taken before the last training sample, so that the "
        "network has seen what came after them; train on what came first."
    )
    return [Leak("time", split, int(earlier.sum()), len(other), _first(earlier), sentence)]


def _first(concerned: Any) -> tuple[int, ...]:
    return tuple(np.flatnonzero(concerned)[:LISTED].tolist())
