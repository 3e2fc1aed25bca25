"""Measuring at one point what its verdict is drawn from."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Final, final

from unstuck.measure.curvature.lanczos import Extremes, extreme_eigenpairs
from unstuck.measure.curvature.lines import Escape, escape, settle, settle_nearby
from unstuck.measure.curvature.surface import Gradient, Surface
from unstuck.measure.curvature.trace import estimate_trace
from unstuck.measure.curvature.verdict import MATTERS, Kind, Point, classify

SECONDS: Final = 1.0
"""Wall time for the ends of the spectrum."""

TRACE_PRODUCTS: Final = 9
"""Hessian products for the trace, which only sets the length of a push."""

PUSH: Final = 0.01
"""Share of the span that a push away from the point raises the loss by."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Critical:
    """A point with the vectors that were met on the way.

    Attributes:
        point: What the verdict is drawn from.
        ends: Both ends of the spectrum.
        out: The loss along the eigenvector of the smallest eigenvalue.
    """

    point: Point
    ends: Extremes
    out: Escape

    @property
    def kind(self) -> Kind:
        """The verdict."""
        return classify(self.point)


def measure_point(
    surface: Surface,
    *,
    gradient_reference: float,
    curvature_reference: float = math.nan,
    span: float = math.nan,
    gradient: Gradient | None = None,
    seed: int = 0,
    seconds: float = SECONDS,
) -> Critical:
    """Measure gradient, both ends of the spectrum, and the loss down the gradient and along the lower end's vector.

    Args:
        surface: The loss; its weights are at the point.
        gradient_reference: Norm of the gradient at a point that is not critical, such as a sound start.
        curvature_reference: Largest curvature there.
        span: How far the loss could fall; the loss itself where that is not known.
        gradient: Taken from the surface where not given.
        seed: Seeds Lanczos' start.
        seconds: Wall time for the ends of the spectrum.

    Returns:
        The point.
    """
    found, loss = gradient or surface.gradient(), surface.loss()
    start = surface.likely_start(seed)
    ends = extreme_eigenpairs(surface.product, start, deadline=time.monotonic() + seconds)
    unit = span if 0.0 < span < math.inf else abs(loss)
    out = escape(surface, ends.smallest, found.vector, unit)
    falls = (math.nan, math.nan)
    if math.isfinite(loss) and not out.descent.fall >= MATTERS.value * unit:  # no way out yet: is it a floor?
        trace = estimate_trace(surface.product, surface.like, surface.size, products=TRACE_PRODUCTS, seed=seed)
        falls = settle(surface), settle_nearby(surface, PUSH * unit, trace.value, seed)
    point = Point(
        loss=loss,
        span=unit,
        gradient=found.norm,
        gradient_noise=found.noise,
        gradient_reference=gradient_reference,
        smallest=ends.smallest.value,
        smallest_error=ends.smallest.residual,
        largest=ends.largest.value,
        largest_error=ends.largest.residual,
        curvature_reference=curvature_reference,
        escape_fall=out.descent.fall,
        slope_fall=falls[0],
        push_fall=falls[1],
    )
    return Critical(point, ends, out)
