"""Curvature of the loss at one point: Hessian products, both ends of the spectrum, and what kind of point it is.

Vectors over all trainable parameters are flat, shape `[P]`, in the order of `Surface.parameters`.
"""

from unstuck.measure.curvature.critical import Critical, measure_point
from unstuck.measure.curvature.density import Density, spectral_density
from unstuck.measure.curvature.lanczos import Eigenpair, Extremes, extreme_eigenpairs
from unstuck.measure.curvature.surface import Surface
from unstuck.measure.curvature.trace import TraceEstimate, estimate_trace
from unstuck.measure.curvature.training import surface_of
from unstuck.measure.curvature.verdict import Kind, Point, classify

__all__ = [
    "Critical",
    "Density",
    "Eigenpair",
    "Extremes",
    "Kind",
    "Point",
    "Surface",
    "TraceEstimate",
    "classify",
    "estimate_trace",
    "extreme_eigenpairs",
    "measure_point",
    "spectral_density",
    "surface_of",
]
