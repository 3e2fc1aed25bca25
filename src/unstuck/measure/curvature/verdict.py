"""What kind of point it is: minimum, saddle, flat, or not critical at all. Pure."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import Final, final

from unstuck.quantity import Threshold

SMALL: Final = Threshold(
    0.05,
    "norm of the gradient at a sound start",
    "a run that has closed all but a twentieth of its way in a quadratic valley",
)

STILL: Final = Threshold(
    1e-3,
    "norm of the gradient at a sound start",
    "a fiftieth of SMALL: below it, what falls on the way down from the point may be owed to rounding at a saddle",
)

LARGE: Final = Threshold(
    0.2,
    "norm of the gradient at a sound start",
    "four times SMALL: between the two it is left open whether the point is critical",
)

IN_NOISE: Final = Threshold(
    2.0, "standard errors of the gradient", "two: reached by one in twenty gradients of mean zero in one direction"
)

MATTERS: Final = Threshold(
    0.01,
    "share of the span of the loss",
    "a tenth of what counts as a large loss: a fall of less along negative curvature is no way out",
)

NEGLIGIBLE: Final = Threshold(
    0.02,
    "largest curvature",
    "small negative eigenvalues of up to a hundredth of the largest one are found at the end of sound trainings "
    "(Sagun et al. 2017; Ghorbani et al. 2019); twice that",
)

FLAT: Final = Threshold(
    1e-6,
    "curvature at a sound start",
    "ten times the resolution of float32: less cannot be told from no curvature at all",
)


class Kind(enum.Enum):
    """The kind of a point."""

    MINIMUM = "minimum"
    SADDLE = "saddle"
    FLAT = "flat"
    NOT_CRITICAL = "not a critical point"
    UNDECIDED = "undecided"


@final
@dataclass(frozen=True, slots=True)
class Point:
    """Everything that the verdict on a point is drawn from.

    Attributes:
        loss: The loss there.
        span: How far the loss could fall, as far as is known; NaN where nothing is known.
        gradient: Norm of the gradient.
        gradient_noise: Standard error of the gradient, as a norm; 0 where the loss is exact, NaN where unknown.
        gradient_reference: Norm of the gradient at a sound start.
        smallest: Smallest eigenvalue of the Hessian; the true one is not above it.
        smallest_error: An eigenvalue lies within that distance.
        largest: Largest eigenvalue; the true one is not below it.
        largest_error: An eigenvalue lies within that distance.
        curvature_reference: Largest curvature at a sound start; NaN where unknown.
        escape_fall: Largest fall of the loss measured along the eigenvector of the smallest eigenvalue; NaN where it
            was not measured.
        slope_fall: Fall in a few steps of L-BFGS from the point; NaN where it was not measured, as where the escape
            direction leads down already.
        push_fall: Fall below the point after a random push away from it and a few steps of L-BFGS; NaN likewise.
    """

    loss: float
    span: float
    gradient: float
    gradient_noise: float
    gradient_reference: float
    smallest: float
    smallest_error: float
    largest: float
    largest_error: float
    curvature_reference: float = math.nan
    escape_fall: float = math.nan
    slope_fall: float = math.nan
    push_fall: float = math.nan

    @property
    def steepness(self) -> float:
        """Norm of the gradient over that at a sound start."""
        if not self.gradient_reference > 0.0:
            return 0.0 if self.gradient == 0.0 else math.nan
        return self.gradient / self.gradient_reference

    @property
    def signal(self) -> float:
        """Norm of the gradient in standard errors; infinite where the loss is exact and the gradient not zero."""
        if self.gradient_noise > 0.0:
            return self.gradient / self.gradient_noise
        return 0.0 if self.gradient == 0.0 else math.nan if math.isnan(self.gradient_noise) else math.inf

    @property
    def scale(self) -> float:
        """The largest absolute curvature."""
        return max(abs(self.smallest), abs(self.largest))

    @property
    def has_negative_curvature(self) -> bool:
        """Whether the smallest eigenvalue is negative beyond its error."""
        return self.smallest < -self.smallest_error


def classify(point: Point) -> Kind:
    """Tell what kind of point it is.

    Args:
        point: As measured.

    Returns:
        NOT_CRITICAL where the gradient is large against that of a sound start and against its noise, or leads on down;
        FLAT where no curvature can be told from none; SADDLE where the loss has negative curvature that leads down by
        as much as matters (a maximum is one); MINIMUM where it has none beyond the error, or none that leads anywhere;
        UNDECIDED otherwise.
    """
    numbers = (point.loss, point.gradient, point.smallest, point.largest, point.smallest_error, point.largest_error)
    if not all(map(math.isfinite, numbers)) or math.isnan(point.steepness):
        return Kind.UNDECIDED
    if point.steepness > SMALL.value:
        clear = point.steepness >= LARGE.value and not point.signal < IN_NOISE.value
        return Kind.NOT_CRITICAL if clear else Kind.UNDECIDED
    if point.scale <= FLAT.value * point.curvature_reference or point.scale == 0.0:
        return Kind.FLAT
    return _with_negative_curvature(point) if point.has_negative_curvature else _without(point)


def _with_negative_curvature(point: Point) -> Kind:
    negligible = -point.smallest <= NEGLIGIBLE.value * point.scale
    if math.isnan(point.escape_fall) or math.isnan(point.span):
        return Kind.UNDECIDED if negligible else Kind.SADDLE
    if point.escape_fall >= MATTERS.value * point.span:
        return Kind.SADDLE
    return _without(point) if negligible else Kind.UNDECIDED


def _without(point: Point) -> Kind:
    if point.smallest_error > NEGLIGIBLE.value * point.scale:
        return Kind.UNDECIDED
    if point.slope_fall >= MATTERS.value * point.span:  # the floor of a valley that leads on down
        return Kind.NOT_CRITICAL if point.steepness > STILL.value else Kind.UNDECIDED
    # Directions without curvature may lead down further out: a saddle of higher order.
    return Kind.UNDECIDED if point.push_fall >= MATTERS.value * point.span else Kind.MINIMUM
