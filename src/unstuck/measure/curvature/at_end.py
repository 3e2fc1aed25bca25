"""What kind of point the run as given ends at."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import ClassVar, Final, final

from torch import nn

from unstuck.edits.initialisation import draw_initialisation, initialise_soundly
from unstuck.errors import UnstuckError
from unstuck.measure.comparison import LARGE, Comparison
from unstuck.measure.curvature.critical import measure_point
from unstuck.measure.curvature.density import Density, spectral_density
from unstuck.measure.curvature.escape import Continuation, go_on
from unstuck.measure.curvature.lanczos import Extremes, extreme_eigenpairs
from unstuck.measure.curvature.lines import Descent, settle
from unstuck.measure.curvature.modes import Statistics
from unstuck.measure.curvature.stability import plain_rate, scales_steps, stability_limit
from unstuck.measure.curvature.surface import Surface
from unstuck.measure.curvature.trace import estimate_trace
from unstuck.measure.curvature.training import pieces, surface_of
from unstuck.measure.curvature.verdict import Kind, Point, classify
from unstuck.measure.preparation import Allowance, Prepared, Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.quantity import Interval
from unstuck.setup import Batch, Setup
from unstuck.setup.batch import length
from unstuck.setup.model import copy_together
from unstuck.setup.randomness import isolated, one_thread

SAMPLES: Final = 1024
FEWEST_SAMPLES: Final = 128
"""Samples that the loss is taken on at least, however long a gradient takes."""

GRADIENT_SECONDS: Final = 0.05
"""Processor time that one gradient may take; fewer samples are looked at where it takes longer."""

GRADIENTS: Final = 150
"""Gradients in whose time the whole is measured, about: 50 to 130 Hessian products of two each, and what they are held
against."""

SECONDS: Final = 0.5
"""Wall time for the density of the spectrum."""

PIECES: Final = 16
"""Parts of the samples, at least, from whose differences the noise of the gradient is told."""

TRACE_PRODUCTS: Final = 9
"""Hessian products for the trace."""

DENSITY_STEPS: Final = 15
"""Lanczos steps of each probe of the spectral density."""


@final
@dataclass(frozen=True, slots=True)
class EndPoint:
    """The curvature of the training loss where the run as given ends.

    Attributes:
        point: What the verdict is drawn from.
        parameters: Number of trainable parameters.
        samples: Training samples that it was measured on.
        statistics: How normalisation layers were run; dropout was off.
        products: Hessian products that it took.
        slope_at_start: Norm of the gradient before the first step.
        trace: Sum of the eigenvalues.
        trace_interval: Its 95 % interval.
        negative_share: Share of the eigenvalues that are negative beyond the error.
        typical: Median absolute eigenvalue among those that are not zero within the error; NaN where all are.
        agreement: Measured bend along the escape direction over that eigenvalue: 1 where the loss falls as ½ λ s².
        valley_fall: Fall of the loss in a few steps of L-BFGS from there, which follows curved and narrow valleys.
        steepest: The largest curvature at the start or at the end, whichever is larger.
        stability: Rate × `steepest` over what the optimizer bears: beyond 1 the steepest direction swings ever wider;
            NaN for optimizers that scale each direction by past gradients.
        continuation: The training that went on from beyond the saddle; None where there is none.
        density: Distribution of the eigenvalues, to be drawn.
        descent: The loss along the eigenvector of the smallest eigenvalue, to be drawn.
    """

    cost: ClassVar[float] = 4.0

    point: Point
    parameters: int
    samples: int
    statistics: str
    products: int
    slope_at_start: float
    trace: float
    trace_interval: Interval
    negative_share: float
    typical: float
    agreement: float
    valley_fall: float
    steepest: float
    stability: float
    continuation: Continuation | None
    density: Density | None = None
    descent: Descent | None = None

    @property
    def kind(self) -> Kind:
        """Minimum, saddle, flat, not critical, or undecided."""
        return classify(self.point)

    @property
    def minimum_ratio(self) -> float:
        """Share of the eigenvalues that are not negative."""
        return 1.0 - self.negative_share

    @property
    def condition(self) -> float:
        """Largest curvature on the way, which the rate has to bear, over the typical one at the end."""
        return max(self.point.scale, self.steepest) / self.typical if self.typical > 0.0 else math.nan

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained, comparison: Comparison, allowance: Allowance) -> EndPoint:
        """Measure it, where the training loss is large; elsewhere nobody needs to know.

        Args:
            prepared: The set-up.
            trained: The run as given.
            comparison: Tells whether the training loss is large, and how far it could fall.
            allowance: How long it may take, as any run.

        Returns:
            The point.

        Raises:
            NotMeasurable: If the training loss is not large, the run diverged or ended above its start, its loss
                cannot be differentiated, or that takes too long.
        """
        if not comparison.training_is_large:
            raise NotMeasurable("the training loss is not large, so it does not matter where the run ended")
        if trained.run.record.stopped == "non-finite":
            raise NotMeasurable("the run ended in no finite numbers")
        lowest = comparison.lowest("training")
        span = comparison.given.training.loss - lowest
        above = span > (1.0 + LARGE.value) * (comparison.constant_training - lowest) > 0.0
        if above and comparison.given.training.loss >= trained.run.losses[0]:
            raise NotMeasurable("the run was thrown above where it began, and came to no rest there")
        try:
            return end_point(prepared.setup, trained.run.model, len(trained.run.losses), span, allowance.run_seconds)
        except UnstuckError as error:
            raise NotMeasurable(str(error)) from error


def end_point(
    setup: Setup, model: nn.Module, steps: int, span: float = math.nan, seconds: float = math.inf
) -> EndPoint:
    """Measure the curvature at a model's weights.

    Args:
        setup: Gives the loss and the training samples.
        model: At the point; it is copied.
        steps: Steps that led there, a share of which training goes on for from a saddle.
        span: How far the loss could fall; the loss itself where that is not known.
        seconds: How long it may take.

    Returns:
        The point.

    Raises:
        NotMeasurable: If the loss cannot be differentiated twice, or is not finite, or it would take longer.
    """
    with isolated(setup.seed), one_thread():
        copied = copy_together(model, None)[0]
        batches = _affordable(setup, copied, seconds)
        surface = surface_of(setup, copied, batches)
        given, sound, bend, start = _references(setup, batches)
        found = measure_point(
            surface,
            gradient_reference=max(given, sound),
            curvature_reference=bend,
            span=span,
            gradient=surface_of(setup, copied, pieces(batches, PIECES), join=False).gradient(),
            seed=setup.seed,
        )
        point, ends = found.point, found.ends
        if not all(map(math.isfinite, (point.loss, point.gradient, point.smallest, point.largest))):
            raise NotMeasurable("the loss or its curvature is not finite where the run ended")
        deadline = time.monotonic() + SECONDS
        density = spectral_density(
            surface.product, surface.like, surface.size, steps=DENSITY_STEPS, seed=setup.seed, deadline=deadline
        )
        trace = estimate_trace(surface.product, surface.like, surface.size, products=TRACE_PRODUCTS, seed=setup.seed)
        going_on = None
        if found.kind is Kind.SADDLE:
            going_on = go_on(setup, model, surface, found.out.descent.step * ends.smallest.vector, steps)
        cut = max(ends.smallest.residual, 1e-3 * ends.scale)
        return EndPoint(
            point=point,
            parameters=surface.size,
            samples=sum(map(length, batches)),
            statistics=Statistics.BATCH.value,
            products=surface.products,
            slope_at_start=given,
            trace=trace.value,
            trace_interval=trace.interval,
            negative_share=density.share_below(-cut).value,
            typical=_typical(density, cut),
            agreement=found.out.agreement,
            valley_fall=point.slope_fall if math.isfinite(point.slope_fall) else settle(surface),
            steepest=max(start, ends.largest.value),
            stability=_stability(setup, max(start, ends.largest.value)),
            continuation=going_on,
            density=density,
            descent=found.out.descent,
        )


def _affordable(setup: Setup, model: nn.Module, seconds: float) -> list[Batch]:
    """As many training samples as one gradient may take the time for."""
    few = setup.train.head(FEWEST_SAMPLES)
    surface, taken = surface_of(setup, model, few), list[float]()
    for _ in range(2):  # the first one of a process loads what is needed
        begun = time.process_time()  # of this process alone: a busy machine must not change what is measured
        surface.gradient()
        taken.append(time.process_time() - begun)
    spent = max(min(taken), 1e-9)
    if GRADIENTS * spent > seconds:
        raise NotMeasurable(f"the curvature would take about {GRADIENTS * spent:.0f} s, longer than a run may")
    each = spent / max(1, sum(map(length, few)))
    count = int(min(SAMPLES, GRADIENT_SECONDS / each))
    return setup.train.head(count) if count > FEWEST_SAMPLES else few


def _references(setup: Setup, batches: list[Batch]) -> tuple[float, float, float, float]:
    """Norm of the gradient before the first step and at a sound start; the curvature at the latter and at the former.

    Args:
        setup: What is trained.
        batches: Training samples.

    Returns:
        The four; of two ways to draw weights the one with the smaller gradient counts, and the run's own start
        where none can be drawn.
    """
    given = surface_of(setup, setup.build()[0], batches)
    drawn: list[tuple[float, Surface]] = []
    for change in (initialise_soundly, draw_initialisation):
        try:
            surface = surface_of(setup, change(setup).build()[0], batches)
            drawn.append((surface.gradient().norm, surface))
        except (UnstuckError, NotMeasurable):
            continue  # nothing that can be drawn anew
    slope = given.gradient().norm
    sound, surface = min(drawn, key=lambda pair: pair[0], default=(slope, given))
    bend = _bend(surface, setup.seed).scale
    try:
        own = _bend(given, setup.seed).largest.value
    except NotMeasurable:  # a start thrown so far that its curvature is no number; the end may have one
        own = 0.0
    return slope, sound, bend, own if math.isfinite(own) else 0.0


def _bend(surface: Surface, seed: int) -> Extremes:
    """The largest curvature to a tenth."""
    return extreme_eigenpairs(surface.product, surface.likely_start(seed), ends=(False, True), tolerance=0.1, most=10)


def _stability(setup: Setup, curvature: float) -> float:
    optimizer = setup.build()[1]
    if scales_steps(optimizer):
        return math.nan
    try:
        return plain_rate(setup, optimizer) * curvature / stability_limit(optimizer)
    except NotMeasurable:
        return math.nan


def _typical(density: Density, cut: float) -> float:
    """Median absolute eigenvalue among those beyond `cut`."""
    pairs = sorted(
        (abs(node), weight)
        for nodes, weights in zip(density.nodes, density.weights, strict=True)
        for node, weight in zip(nodes, weights, strict=True)
        if abs(node) > cut
    )
    half, reached = math.fsum(weight for _, weight in pairs) / 2.0, 0.0
    for node, weight in pairs:
        reached += weight
        if reached >= half:
            return node
    return math.nan
