"""The lowest point of a smooth function of few parameters."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from unstuck.measure.protocol import NotMeasurable

Array = np.ndarray[Any, np.dtype[np.float64]]
Objective = Callable[[Array], tuple[float, Array]]
"""Value and gradient at a point, shape `[P]`; infinite, with a gradient of zeros, where it is not finite."""

STILL_FALLING: Final = 1e-3
"""A minimum from which the same way again gains more than this share of what was gained is none."""

RESTARTS: Final = 3
"""How often the search goes on from a point that is still falling before it counts as unbounded."""


def descend(objective: Objective, start: Array) -> tuple[float, Array]:
    """Minimise from one start: L-BFGS, then Powell's method where there is a kink.

    Args:
        objective: What to minimise.
        start: Free parameters, shape `[P]`.

    Returns:
        The lowest value, infinite where it is not finite at the start, and where it is.

    Raises:
        NotMeasurable: If it goes on falling without end.
    """
    from scipy import optimize

    minimize: Any = optimize.minimize  # its stubs know no plain dictionary of options

    first, slope = objective(start)
    if not math.isfinite(first):
        return math.inf, start
    value, point = first, start
    settings = {"maxfun": 200, "ftol": 1e-14, "gtol": 1e-9}
    for _ in range(RESTARTS):
        found = minimize(objective, point, jac=True, method="L-BFGS-B", options=settings)
        if float(found.fun) <= value:
            value, point = float(found.fun), np.asarray(found.x, dtype=np.float64)
        further = objective(2.0 * point - start)[0]
        if not (value - further > STILL_FALLING * (first - value) and value - further > 1e-9):
            break
    else:
        raise NotMeasurable("the loss has no lowest value over constant predictions: it falls without end")
    steepest = float(np.abs(slope).max(initial=1e-12))
    if float(np.abs(objective(point)[1]).max(initial=0.0)) > 1e-4 * steepest and point.size <= 16:
        settings = {"maxfev": 60 * (1 + point.size), "xtol": 1e-6, "ftol": 1e-10}
        found = minimize(lambda p: objective(p)[0], point, method="Powell", options=settings)
        if float(found.fun) < value:
            value, point = float(found.fun), np.atleast_1d(np.asarray(found.x, dtype=np.float64))
    return value, point
