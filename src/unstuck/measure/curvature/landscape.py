"""The loss around the end of the run, to be drawn: along filter-normalised directions, and in the plane of its path.

H. Li, Z. Xu, G. Taylor, C. Studer, T. Goldstein, "Visualizing the loss landscape of neural nets", 2018: random
directions whose filters have the norms of the weights' own (section 4), and the two principal components of the places
that the run went through (section 7).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from unstuck.errors import UnstuckError
from unstuck.loop import Run
from unstuck.measure.curvature.lines import sharpness
from unstuck.measure.curvature.surface import Surface
from unstuck.measure.curvature.trace import random_normal
from unstuck.measure.curvature.training import surface_of
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup.batch import length
from unstuck.setup.model import copy_together
from unstuck.setup.randomness import isolated, one_thread

SAMPLES: Final = 256
SECONDS: Final = 0.8
"""Processor time that all values of the loss may take together."""

SIDES: Final = (17, 13, 9)
"""Points a side of the grid, the most that the time allows."""

LEFT: Final = 10.0
"""Times the lowest loss so far from which a run has left the region that is drawn."""

MARGIN: Final = 0.25
"""Room around the path, as a share of what it spans."""

NARROWEST: Final = 0.4
"""Of one side of the plane, as a share of the other."""

REACH: Final = 1.0
"""How far the random directions are followed, in filter norms (Li et al. draw as far)."""

DIRECTIONS: Final = 3
POINTS: Final = 21


@final
@dataclass(frozen=True, slots=True)
class Landscape:
    """The training loss around the end of the run as given, or the last place before it diverges.

    Attributes:
        distances: Along a random direction, in filter norms, shape `[D]`.
        lines: The loss along each direction, shape `[3, D]`.
        across: Places of the grid along the first principal component of the path, from its last place, shape `[G]`.
        up: Likewise along the second, shape `[G]`.
        losses: The loss at each, row by row from the lowest of `up`, shape `[G, G]`.
        path: Steps done, place along both components, at each of the places kept, shape `[K, 3]`: up to the
            end of the run, or to where it diverges.
        heights: The loss at each of them, shape `[K]`.
        explained: Share of the squared distances from there that lies in the plane.
        samples: Training samples that the loss is taken on.
    """

    cost: ClassVar[float] = 1.0

    distances: tuple[float, ...]
    lines: tuple[tuple[float, ...], ...]
    across: tuple[float, ...]
    up: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]
    path: tuple[tuple[float, float, float], ...]
    heights: tuple[float, ...]
    explained: float
    samples: int

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained) -> Landscape:
        """Look around.

        Args:
            prepared: The set-up.
            trained: The run as given, with the places that it went through.

        Returns:
            The landscape.

        Raises:
            NotMeasurable: If the loss is never finite, takes too long, or the places were too many to keep.
        """
        setup, run = prepared.setup, trained.run
        if len(run.trail.weights) < 3:
            raise NotMeasurable("the weights are too many for the places of the run to be kept, or it took no steps")
        try:
            with isolated(setup.seed), one_thread():
                model = copy_together(run.model, None)[0]
                batches = setup.train.head(SAMPLES)
                surface = surface_of(setup, model, batches)
                steps, places, heights = _near_the_start(surface, run)
                surface.move(places[-1])
                found = _looked_around(surface, steps, places, _affordable(surface), sum(map(length, batches)))
                return replace(found, heights=heights)
        except UnstuckError as error:
            raise NotMeasurable(str(error)) from error


def _affordable(surface: Surface) -> int:
    """Points a side of the grid that the time allows."""
    here = surface.point()
    surface.loss_at(here)
    begun = time.process_time()  # of this process alone: a busy machine must not change what is measured
    surface.loss_at(here)
    each = max(time.process_time() - begun, 1e-9)
    for side in SIDES:
        if each * (side**2 + DIRECTIONS * POINTS) <= SECONDS:
            return side
    raise NotMeasurable("looking around takes too long for a loss this dear")


def _near_the_start(surface: Surface, run: Run) -> tuple[list[int], list[Tensor], tuple[float, ...]]:
    """The places of the run, the end among them, up to where it diverges: what lies beyond would dwarf the rest."""
    end = surface.point()
    kept: list[tuple[int, Tensor, float]] = []
    places = zip((*run.trail.steps, len(run.losses)), (*run.trail.weights, end), strict=True)
    bound = math.inf
    for step, stored in places:
        place = stored.to(end)
        if place.shape != end.shape:
            raise NotMeasurable("which weights are trained changes during the run")
        loss = surface.loss_at(place)
        if not (math.isfinite(loss) and loss <= bound):
            break
        bound = min(bound, LEFT * abs(loss)) if loss else bound
        kept.append((step, place, loss))
    if len(kept) < 3:
        raise NotMeasurable("the loss is not finite, or far off, from the first steps on")
    steps, those, heights = zip(*kept, strict=True)
    return list(steps), list(those), heights


def _looked_around(
    surface: Surface, steps: Sequence[int], places: Sequence[Tensor], side: int, samples: int
) -> Landscape:
    end = surface.point()
    offsets = torch.stack(list(places)).double() - end.double()
    axes, explained = principal_plane(offsets)
    if axes is None:
        raise NotMeasurable("the weights did not move")
    along = (offsets @ axes.T).tolist()
    path = [(float(step), one[0], one[1]) for step, one in zip(steps, along, strict=True)]
    ranges = [_range([place[number] for place in path]) for number in (1, 2)]
    widest = max(high - low for low, high in ranges)
    across, up = (_ticks(low, high, widest, side) for low, high in ranges)
    first, second = axes.to(end)
    losses = tuple(tuple(surface.loss_at(end + right * first + above * second) for right in across) for above in up)
    spaced = tuple(REACH * (2 * number / (POINTS - 1) - 1) for number in range(POINTS))
    walks = tuple(sharpness(surface, distances=spaced, directions=1, seed=seed).losses for seed in range(DIRECTIONS))
    return Landscape(spaced, walks, across, up, losses, tuple(path), (), explained, samples)


def principal_plane(offsets: Tensor) -> tuple[Tensor | None, float]:
    """The plane through the end of a path in which most of it lies.

    Args:
        offsets: Places of the path from its end, shape `[K, P]`, float64.

    Returns:
        Two directions of norm 1 at right angles, shape `[2, P]`, and the share of the squared distances that lies in
        their plane. Where the path is a straight line, the second is random; None where the path does not move.
    """
    # The right singular vectors, from the K × K products: K is two dozen, P may be a million.
    values, vectors = torch.linalg.eigh(offsets @ offsets.T)
    whole = float(values.clamp_min(0.0).sum())
    if not (math.isfinite(whole) and whole > 0.0):
        return None, math.nan
    first = vectors[:, -1] @ offsets
    first /= first.norm()
    second = vectors[:, -2] @ offsets
    if float(values[-2]) <= 1e-9 * whole:
        second = random_normal(offsets, offsets.shape[1], 0)
    second = second - (second @ first) * first
    if not float(second.norm()) > 0.0:
        return None, math.nan
    second /= second.norm()
    axes = torch.stack([first, second])
    return axes, float((offsets @ axes.T).square().sum() / whole)


def _range(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _ticks(low: float, high: float, widest: float, count: int) -> tuple[float, ...]:
    """Evenly spaced places around a range; a narrow one is widened, so that the plane is no thread."""
    room = max(MARGIN * (high - low), 0.5 * (NARROWEST * widest - (high - low)))
    low, high = low - room, high + room
    return tuple(low + (high - low) * number / (count - 1) for number in range(count))
