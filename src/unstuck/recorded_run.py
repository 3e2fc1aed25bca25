"""The run that a record holds, and every measurement that a run alone can fill."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from unstuck.loop import LayerTrace, RunRecord
from unstuck.measure.course import Course, course_of
from unstuck.measure.first_steps import FirstSteps
from unstuck.measure.gradient_profile import GradientProfile
from unstuck.measure.gradient_spikes import CLIP_AT, EARLY, GradientSpikes
from unstuck.measure.history import History
from unstuck.measure.momentum import Momentum
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.rate_course import RateCourse, rate_course_of
from unstuck.recording import Record, RunInfo, Series

POINTS: Final = 4096
"""Losses that a long run is judged by: each the mean of as many steps as that takes."""

AFFINE: Final = frozenset({"Linear", "Conv1d", "Conv2d", "Conv3d", "Bilinear", "ConvTranspose1d", "ConvTranspose2d"})

_LAYER_SERIES: Final = ("gradient_norm", "weight_norm", "update_norm", "output_rms", "output_zero_share", "stale_share")


def run_of(record: Record) -> RunRecord:
    """The run that a record holds, as if it had been trained by `fit`.

    Of a long run, a loss is the mean over several steps, evenly over the run; `steps_each` says how many.

    Args:
        record: Open for reading.

    Returns:
        The run.
    """
    info, table = record.info(), record.table()
    empty = record.series("")
    losses, rates = table.get(("loss", ""), empty), table.get(("rate", ""), empty)
    each = steps_each(losses)
    epochs = record.epochs()
    sampled = table.get(("gradient_norm", ""), empty)
    validation = [epoch.measured["validation_loss"] for epoch in epochs if "validation_loss" in epoch.measured]
    if not validation and ("validation_loss", "") in table:
        validation = table["validation_loss", ""].values.tolist()
    broken = bool(losses.bad.any())
    return RunRecord(
        seed=0,
        losses=tuple(_evenly(losses, each)),
        rates=tuple(_evenly(rates, each)),
        epoch_ends=tuple(min(len(_evenly(losses, each)), epoch.step // each) for epoch in epochs),
        validation_losses=tuple(validation),
        sampled_steps=tuple((sampled.steps // each).tolist()),
        layers=tuple(
            LayerTrace(
                layer.name,
                layer.kind,
                layer.depth,
                *(_values(table.get((key, layer.name), empty)) for key in _LAYER_SERIES),
            )
            for layer in record.layers()
        ),
        stopped="non-finite" if broken else "finished",
        seconds=(info.ended or info.heartbeat) - info.created,
        epochs_planned=len(epochs),
        gradient_norms=_values(sampled),
    )


def steps_each(losses: Series) -> int:
    """Steps that one loss of `run_of` stands for."""
    return 1 if not len(losses) else max(1, math.ceil((int(losses.last_steps[-1]) + 1) / POINTS))


def known_of(run: RunRecord, info: RunInfo | None = None, each: int = 1) -> dict[type, Any]:
    """Every measurement that a run alone can fill.

    Args:
        run: The run.
        info: What its record says of it, where there is one.
        each: Steps that one of its losses stands for.

    Returns:
        Type → measurement, or why it cannot be had.
    """
    known: dict[type, Any] = {History: History(run)}
    if run.losses:
        course = course_of(run)
        known[Course] = replace(
            course,
            steps=course.steps * each,
            non_finite_at=course.non_finite_at * each if course.non_finite_at >= 0 else -1,
        )
    else:
        known[Course] = Unmeasured("no training loss was recorded: hand it over by `recording.log(loss=loss)`")
    if any(rate == rate for rate in run.rates):
        rates = rate_course_of(run)
        dwindled = rates.dwindled_at * each if rates.dwindled_at >= 0 else -1
        known[RateCourse] = replace(
            rates, steps=rates.steps * each, full_steps=rates.full_steps * each, dwindled_at=dwindled
        )
    norms = [norm for norm in run.gradient_norms if math.isfinite(norm)]
    if norms:
        known[GradientSpikes] = GradientSpikes(
            len(norms), float(np.median(norms)), float(np.median(norms[:EARLY])), max(norms),
            float(np.quantile(norms, CLIP_AT)),
        )  # fmt: skip
    affine = sorted(
        (layer for layer in run.layers if layer.kind in AFFINE and layer.depth >= 0 and layer.gradient_norm),
        key=lambda layer: layer.depth,
    )
    moving = [layer for layer in affine if any(layer.gradient_norm)]
    if moving:
        relative = tuple(
            layer.gradient_norm[0] / layer.weight_norm[0] if layer.weight_norm[0] > 0.0 else math.nan
            for layer in moving
        )
        known[GradientProfile] = GradientProfile(tuple(layer.name for layer in moving), relative)
    if shares := _stale_shares(run):
        known[FirstSteps] = FirstSteps(
            calls=len(shares), steps=len(shares), stale_shares=shares, gradient_norms=tuple(norms[: len(shares)]),
            raw_norms=(), late_norm=math.nan, layers=(), foreign=0, unregistered=(), order=(),
            step_line="", backward_line="", clear_line="",
        )  # fmt: skip
    if info is not None and run.losses:
        momentum = _momentum(info.settings.get("watch", {}))
        known[Momentum] = Momentum(momentum, len(run.losses) * each)
    return known


def _stale_shares(run: RunRecord) -> tuple[float, ...]:
    """Of each sampled step, the largest share of a layer's gradient that an earlier step had left."""
    series = [layer.stale_share for layer in run.layers if layer.stale_share]
    count = min(map(len, series), default=0)
    return tuple(min(values[place] for values in series) for place in range(count))


def _values(series: Series) -> tuple[float, ...]:
    """First values of the rows: exact where nothing was thinned."""
    return tuple(series.first.tolist())


def _evenly(series: Series, each: int) -> list[float]:
    """Values at even distances, each the mean over as many steps; the first broken one stays broken."""
    if not len(series):
        return []
    steps = np.arange(0, int(series.last_steps[-1]) + 1)[::each] if each > 1 else series.steps
    if each == 1 and bool((series.counts == 1).all()):
        return [float(value) for value in series.first.tolist()]
    places = np.clip(np.searchsorted(series.steps, steps, side="right") - 1, 0, None)
    if each == 1:
        places = np.clip(np.searchsorted(series.steps, np.arange(int(series.last_steps[-1]) + 1), "right") - 1, 0, None)
        values: NDArray[np.float64] = series.values[places]
        return [float(value) for value in values.tolist()]
    owners = series.steps // each
    weights = series.counts - series.bad
    total = np.bincount(owners, np.where(weights > 0, series.values, 0.0) * weights, len(steps))
    count = np.bincount(owners, weights, len(steps))
    means = np.where(count > 0, total / np.maximum(count, 1), series.values[places])
    broken = np.bincount(owners, series.bad, len(steps)) > 0
    means = np.where(broken, np.nan, means)
    return [float(value) for value in means.tolist()]


def _momentum(settings: Mapping[str, Any]) -> float:
    betas = settings.get("betas") or [math.nan]
    return float(settings["momentum"]) if "momentum" in settings else float(betas[0])
