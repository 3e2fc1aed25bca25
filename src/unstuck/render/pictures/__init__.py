"""Pictures of what a report holds, as Vega-Lite specifications: pure functions of a `Report`, no torch, no library.

A picture is a function of one stored measurement; where it is not there, or is laid out otherwise, there is no
picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from unstuck.render.pictures import (
    curves,
    depth,
    exhibits,
    inputs,
    labels,
    landscape,
    layers,
    standing,
    steps,
    surface,
    trial,
    tried,
)
from unstuck.render.pictures.picture import Picture
from unstuck.report import Report


def _trial(report: Report) -> Picture | None:
    made = None if report.cause is None else report.cause.trial
    return None if made is None else trial.trial_curves(made)


def _seeds(report: Report) -> Picture | None:
    made = None if report.cause is None else report.cause.trial
    return None if made is None else trial.trial_seeds(made)


PICTURES: Final[Mapping[str, Callable[[Report], Picture | None]]] = {
    "curves": curves.learning_curves,
    "standing": standing.standing,
    "gap": standing.gap,
    "trial": _trial,
    "seeds": _seeds,
    "trials": tried.trials,
    "range-test": steps.range_test,
    "optimizers": steps.optimizers,
    "eigenvalues": surface.eigenvalues,
    "escape": surface.escape,
    "surface": landscape.plane,
    "surface-lines": landscape.directions,
    "batch-noise": steps.batch_noise,
    "batch-time": steps.batch_time,
    "layer-gradients": layers.gradients,
    "layer-updates": layers.updates,
    "layer-zeros": layers.zeros,
    "layer-outputs": layers.signals,
    "depth-signal": depth.depth,
    "depth-gradient": depth.backward_depth,
    "units": depth.units,
    "gradient-norms": curves.gradient_norms,
    "rates": curves.rates,
    "two-sample": inputs.two_sample,
    "feature-shift": inputs.feature_shift,
    "feature-scales": inputs.feature_scales,
    "density-ratio": inputs.density_ratio,
    "strangers": exhibits.strangers,
    "label-noise": labels.label_noise,
    "suspects": exhibits.suspects,
    "recall": labels.recall,
    "confusion": labels.confusion,
    "confusion-cured": labels.cured_confusion,
    "initial-outputs": labels.initial_outputs,
}
"""Name → what draws it."""


def picture(report: Report, name: str) -> Picture | None:
    """One picture of a report.

    Args:
        report: The report.
        name: A key of `PICTURES`.

    Returns:
        The picture; None where the report does not hold what it shows.
    """
    try:
        return PICTURES[name](report)
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError):
        return None  # a measurement laid out otherwise, by another version or by hand, costs its picture only


def pictures(report: Report) -> dict[str, Picture]:
    """Every picture that a report holds enough for.

    Args:
        report: The report.

    Returns:
        Name → picture, in the order in which they are worth looking at.
    """
    every = {name: picture(report, name) for name in PICTURES}
    return {name: drawn for name, drawn in every.items() if drawn is not None}


__all__ = ["PICTURES", "Picture", "picture", "pictures"]
