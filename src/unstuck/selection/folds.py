"""Which samples are trained on and which are judged, round by round."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor

from unstuck.errors import SetupError
from unstuck.measure.task import Kind, Task
from unstuck.setup import Setup, StackedData

Array = np.ndarray[Any, Any]

FEWEST_PER_FOLD: Final = 2


@final
@dataclass(frozen=True, slots=True, eq=False)
class Rounds:
    """The rounds of a cross-validation, or the one round of a hold-out.

    Attributes:
        splits: Indices trained on and indices judged, of each round; empty where the validation split is judged.
        described: How they were made.
    """

    splits: tuple[tuple[Array, Array], ...]
    described: str

    @property
    def count(self) -> int:
        """Number of rounds."""
        return max(1, len(self.splits))

    def parts(self, setup: Setup, number: int) -> tuple[StackedData, StackedData]:
        """What a set-up trains on in a round, and what it is judged on."""
        train = rows_of(setup, "train")
        if not self.splits:
            return train, rows_of(setup, "validation")
        first, second = self.splits[number]
        return train.subset(torch.from_numpy(first)), train.subset(torch.from_numpy(second))


def rows_of(setup: Setup, name: str) -> StackedData:
    """A split of a set-up whose samples can be singled out.

    Args:
        setup: The set-up.
        name: "train" or "validation".

    Returns:
        The split.

    Raises:
        SetupError: If there is none, or its samples are not in memory.
    """
    data = getattr(setup, name)
    if isinstance(data, StackedData):
        return data
    got = "none" if data is None else "samples that are read through a loader"
    advice = "Give the split as tensors, (inputs, targets)."
    if data is None:
        advice = "Give one, or use two folds or more."
    raise SetupError(f"`{name}` must hold its samples in memory to choose by them", got, advice)


def rounds_of(
    setup: Setup,
    task: Task | None,
    folds: int,
    groups: Sequence[Any] | None,
    times: Sequence[Any] | None,
    seed: int,
) -> Rounds:
    """Make the rounds, through scikit-learn's splitters.

    Args:
        setup: Its training split is cut into folds.
        task: Classes are spread evenly over the folds where they are known.
        folds: Number of folds; 1 for the set-up's own validation split.
        groups: Group of each training sample; a group is never on both sides.
        times: Time of each training sample; only later samples are judged.
        seed: Seeds the cut.

    Returns:
        The rounds.

    Raises:
        SetupError: If the number of folds, groups or times does not fit.
    """
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 1:
        raise SetupError("`folds` must be a whole number of at least 1", repr(folds), "Use 5.")
    if folds == 1:
        held = rows_of(setup, "validation")
        return Rounds((), f"one validation split of {held.size} samples, no folds")
    rows = rows_of(setup, "train")
    if rows.size < FEWEST_PER_FOLD * folds:
        raise SetupError(
            f"`folds` must leave {FEWEST_PER_FOLD} samples for each fold", f"{rows.size} samples", "Use fewer folds."
        )
    for name, given in (("groups", groups), ("times", times)):
        if given is not None and len(given) != rows.size:
            got = f"{len(given)} for {rows.size} samples"
            raise SetupError(f"`{name}` must have one entry a training sample", got, "Give as many.")
    if groups is not None and times is not None:
        raise SetupError("either `groups` or `times` must be given", "both", "Leave one out.")
    labels = _labels(setup, task, rows)
    return _split(rows.size, labels, folds, groups, times, seed)


def _split(
    size: int, labels: Array | None, folds: int, groups: Sequence[Any] | None, times: Sequence[Any] | None, seed: int
) -> Rounds:
    from sklearn import model_selection as splitters

    places = np.arange(size)
    if times is not None:
        order = np.argsort(np.asarray(times), kind="stable")
        found = splitters.TimeSeriesSplit(n_splits=folds).split(places)
        splits = tuple((np.sort(order[first]), np.sort(order[second])) for first, second in found)
        return Rounds(splits, f"{folds} folds in the order of time, each judged after what it was trained on")
    if groups is not None:
        names = np.asarray(groups)
        distinct = len(np.unique(names))
        if distinct < folds:
            raise SetupError("`groups` must be at least as many as the folds", f"{distinct} groups", "Use fewer folds.")
        if labels is not None:
            splitter: Any = splitters.StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        else:
            splitter = splitters.GroupKFold(folds)
        described = f"{folds} folds of whole groups{', stratified by class' if labels is not None else ''}"
    elif labels is not None:
        splitter = splitters.StratifiedKFold(folds, shuffle=True, random_state=seed)
        described, names = f"{folds} folds, stratified by class", None
    else:
        splitter = splitters.KFold(folds, shuffle=True, random_state=seed)
        described, names = f"{folds} folds", None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class with fewer samples than folds is spread as far as it goes
        kind = labels if labels is not None else places
        return Rounds(tuple((first, second) for first, second in splitter.split(places, kind, names)), described)


def _labels(setup: Setup, task: Task | None, rows: StackedData) -> Array | None:
    """Class of each sample; None where there are none, or no class has a sample for each fold."""
    targets = setup.targets(rows.samples)
    if task is None or task.kind not in (Kind.CLASSES, Kind.BINARY) or not isinstance(targets, Tensor):
        return None
    if task.one_hot:
        targets = targets.argmax(1)
    if targets.numel() != rows.size:
        return None
    return np.asarray(targets.reshape(-1).long().cpu().numpy())
