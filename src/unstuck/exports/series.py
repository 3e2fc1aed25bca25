"""What a record holds, as named series: the common input of every export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt

from unstuck.recording import open_record

Real = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """A run as it is exported.

    Attributes:
        name: Of the run.
        settings: What tells it from other runs, rendered.
        series: Name → steps and values, shape `[K]` each; those of a layer are named "gradient_norm/encoder.0". Of a
            long run, a value may be the mean of several steps, and stands at the first of them.
    """

    name: str
    settings: Mapping[str, str]
    series: Mapping[str, tuple[Whole, Real]]


def recorded(path: Path) -> Recorded:
    """Read a record.

    Args:
        path: Of a record.

    Returns:
        Its series, those of epochs among them where they were not logged besides.
    """
    with open_record(path) as record:
        info = record.info()
        found: dict[str, tuple[Whole, Real]] = {}
        for (name, layer), series in record.table().items():
            steps = np.asarray(series.steps, np.int64)
            found[f"{name}/{layer}" if layer else name] = (steps, np.asarray(series.values, np.float64))
        measured: dict[str, tuple[list[int], list[float]]] = {}
        for epoch in record.epochs():
            for name, value in epoch.measured.items():
                at, values = measured.setdefault(name, ([], []))
                at.append(epoch.step)
                values.append(float(value))
        for name, (at, values) in measured.items():
            found.setdefault(name, (np.asarray(at, np.int64), np.asarray(values, np.float64)))
        return Recorded(info.name, {key: str(value) for key, value in info.settings.items()}, found)


def rows(run: Recorded) -> tuple[Whole, dict[str, Real], dict[str, npt.NDArray[np.bool_]]]:
    """The series side by side.

    Args:
        run: The run.

    Returns:
        All steps `[S]`; each series at them, `[S]`; and where it holds a value, `[S]`.
    """
    every = [steps for steps, _ in run.series.values()]
    steps = np.unique(np.concatenate(every)) if every else np.zeros(0, np.int64)
    table, held = {}, {}
    for name, (at, values) in run.series.items():
        places = np.searchsorted(steps, at)
        table[name] = np.full(len(steps), np.nan)
        held[name] = np.zeros(len(steps), bool)
        table[name][places], held[name][places] = values, True
    return steps, table, held
