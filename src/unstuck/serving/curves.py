"""What the page shows of a run: its curves, thinned so that no peak is lost, its epochs and what was noticed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from unstuck.recording import Record, Series

Real = NDArray[np.float64]

MOST_POINTS: Final = 1200
"""Points of a curve that are sent at most: about one for each column of a wide screen."""
MOST_LAYERS: Final = 400


Points = list[float | None]


def _finite(values: Real) -> Points:
    return [value if ok else None for value, ok in zip(values.tolist(), np.isfinite(values).tolist(), strict=True)]


def thinned(series: Series, most: int = MOST_POINTS) -> tuple[list[int], Points, Points | None, Points | None]:
    """A curve with at most so many points, even over the steps; of each stretch its mean, lowest and highest value.

    Args:
        series: The series, K rows.
        most: Points that are kept.

    Returns:
        Steps, means, lows and highs, None where a value is not finite; no lows and highs where each point is one value.
    """
    if len(series) <= most:
        if not np.any(series.counts > 1):
            return series.steps.tolist(), _finite(series.values), None, None
        return series.steps.tolist(), _finite(series.values), _finite(series.low), _finite(series.high)
    bounds = np.linspace(series.steps[0], series.steps[-1] + 1, most + 1)[:-1]
    edges = np.unique(np.searchsorted(series.steps, bounds))
    weights = np.where(np.isfinite(series.values), series.counts - series.bad, 0.0)
    sums = np.add.reduceat(np.where(weights > 0, series.values, 0.0) * weights, edges)
    known = np.add.reduceat(weights, edges)
    means = np.where(known > 0, sums / np.maximum(known, 1.0), np.nan)
    low, high = np.fmin.reduceat(series.low, edges), np.fmax.reduceat(series.high, edges)
    return series.steps[edges].tolist(), _finite(means), _finite(low), _finite(high)


def lost(series: Series) -> int | None:
    """The first step at which a value was not finite, where there was one."""
    bad = np.flatnonzero(series.bad)
    return int(series.steps[bad[0]]) if len(bad) else None


def _wanted(names: tuple[tuple[str, str], ...], shown: str) -> list[tuple[str, str]]:
    whole = [key for key in names if key[1] == ""]
    layers = [key for key in names if key[1] and key[0] == shown]
    return whole + layers[:MOST_LAYERS]


@final
@dataclass(frozen=True, slots=True)
class Known:
    """What a page has already.

    Attributes:
        step: Up to which step, -1 for nothing.
        notices: How many findings.
        epochs: How many epochs.
    """

    step: int = -1
    notices: int = 0
    epochs: int = 0


def shown_of(record: Record, layers_of: str = "", known: Known = Known()) -> dict[str, Any]:
    """What the page gets of a run.

    Args:
        record: The open record.
        layers_of: The measurement that is shown for every layer, such as "gradient_norm"; "" for none.
        known: What it has already and is left out. The last step is sent again: what is logged at a step, such
            as a validation loss, may be written after its training loss.

    Returns:
        Plain data: status, curves as `[name, layer, steps, means, lows, highs, first step lost]`, epochs,
        findings.
    """
    info = record.info()
    since = max(-1, known.step - 1)
    names = record.names()
    table = record.table(_wanted(names, layers_of), since)
    curves = [[name, layer, *thinned(series), lost(series)] for (name, layer), series in table.items() if len(series)]
    epochs = record.epochs()
    notices = record.notices(since=known.notices)
    return {
        "status": info.status,
        "error": info.error,
        "name": info.name,
        "last_step": info.last_step,
        "created": info.created,
        "heartbeat": info.heartbeat,
        "settings": _spelled(info.settings),
        "facts": _spelled(info.facts),
        "versions": _spelled(info.versions),
        "per_layer": sorted({name for name, layer in names if layer}),
        "curves": curves,
        "epochs": [[each.number, each.step, _measured(each.measured)] for each in epochs[known.epochs :]],
        "notices": [[each.step, each.code, each.name, each.severity, each.sentence] for each in notices],
        "anew": known.step < 0,
        "known": Known(
            max([known.step, *(int(series.last_steps[-1]) for series in table.values() if len(series))]),
            known.notices + len(notices),
            len(epochs),
        ),
    }


def _measured(measured: Mapping[str, float]) -> dict[str, float | None]:
    return {
        str(name): float(value) if isinstance(value, int | float) and np.isfinite(value) else None
        for name, value in measured.items()
    }


def _spelled(values: Mapping[str, Any]) -> dict[str, str]:
    """Values as text; a group of them is spread out, each under "group.name"."""
    spelled: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            spelled |= {f"{name}.{inner}": str(each)[:400] for inner, each in value.items()}
        else:
            spelled[str(name)] = str(value)[:400]
    return spelled
