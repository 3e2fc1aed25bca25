"""The loss along straight lines: down the gradient, out of a saddle, and in random filter-normalised directions."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from unstuck.measure.curvature.lanczos import Eigenpair
from unstuck.measure.curvature.surface import Surface
from unstuck.measure.curvature.trace import random_normal

FIRST_FALL: Final = 1e-3
"""Share of the loss's unit that the first step is predicted to change it by: far above the rounding of float32."""

SETTLING: Final = 20
"""Steps of L-BFGS by which a point is tried for a way down."""

DOUBLINGS: Final = 24
"""Times that a step is doubled at most."""

TIRED: Final = 3
"""Steps in a row that are higher than the best one, after which a line is left."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Descent:
    """How far the loss falls along a line.

    Attributes:
        step: Signed length of the step at which it is lowest; 0 where it only rises.
        fall: Loss at the start minus the lowest.
        steps: Lengths that were tried, signed, shape `[K]`.
        losses: The loss at each, shape `[K]`.
    """

    step: float
    fall: float
    steps: tuple[float, ...]
    losses: tuple[float, ...]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Escape:
    """The way out of a saddle along the eigenvector of its smallest eigenvalue.

    Attributes:
        descent: The loss along both directions.
        agreement: Second difference of the measured loss over the eigenvalue: 1 where the loss goes as ½ λ s²
            predicts; NaN where it could not be told.
        predicted: Fall that ½ |λ| s² and the slope predict at the step of the first second difference.
        measured: Fall that was measured there.
    """

    descent: Descent
    agreement: float
    predicted: float
    measured: float


def descend(surface: Surface, direction: Tensor, first: float, *, both: bool = False) -> Descent:
    """Double the step along a line for as long as the loss falls.

    Args:
        surface: The loss; its weights are where they were afterwards.
        direction: Of norm 1, shape `[P]`.
        first: Length of the first step.
        both: Whether the opposite direction is tried as well.

    Returns:
        The lowest point that was met.
    """
    start, base = surface.point(), surface.loss()
    steps, losses = [0.0], [base]
    for sign in (1.0, -1.0) if both else (1.0,):
        lowest, higher = base, 0
        for doubling in range(DOUBLINGS):
            step = sign * first * 2.0**doubling
            loss = surface.loss_at(start + step * direction)
            steps.append(step)
            losses.append(loss)
            higher = 0 if loss < lowest else higher + 1
            lowest = min(lowest, loss)
            if not math.isfinite(loss) or higher >= TIRED:
                break
    finite = [(loss, step) for loss, step in zip(losses, steps, strict=True) if math.isfinite(loss)]
    loss, step = min(finite, default=(base, 0.0))
    return Descent(step, base - loss, tuple(steps), tuple(losses))


def settle(surface: Surface, steps: int = SETTLING) -> float:
    """Fall of the loss when it is `lowered`; the weights go back.

    Args:
        surface: The loss.
        steps: Of L-BFGS.

    Returns:
        The fall; 0 where there is no way down.
    """
    with surface.at(surface.point()):
        return lowered(surface, steps)


def lowered(surface: Surface, steps: int) -> float:
    """Move the weights down by L-BFGS, which follows curved and narrow valleys.

    Args:
        surface: The loss; its weights are where L-BFGS has ended.
        steps: With a line search each.

    Returns:
        Fall of the loss to the lowest point that was met.
    """
    base = lowest = surface.loss()
    optimizer = torch.optim.LBFGS(
        surface.parameters, max_iter=steps, tolerance_grad=0.0, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def closure() -> float:
        nonlocal lowest
        surface.forget()
        loss = surface.loss()
        lowest = min(lowest, loss) if math.isfinite(loss) else lowest
        surface.show_gradient()
        return loss

    # torch's line search trips over a bracket of one point where the loss is NaN; what was lowest before that counts.
    with torch.enable_grad(), suppress(IndexError):
        optimizer.step(closure)
    for parameter in surface.parameters:
        parameter.grad = None
    return base - lowest


def settle_nearby(surface: Surface, rise: float, trace: float, seed: int = 0) -> float:
    """Fall of the loss, from where it is, once a random push has been taken and the loss lowered from there.

    At a minimum it comes back to where it was; where curvature vanishes in a direction that leads down further out,
    it goes lower.

    Args:
        surface: The loss.
        rise: What the push is predicted to raise the loss by.
        trace: Sum of the eigenvalues, which gives the length of the push.
        seed: Seeds it.

    Returns:
        The fall; 0 where it does not come back as low.
    """
    if not (trace > 0.0 and rise > 0.0):
        return 0.0
    start, base = surface.point(), surface.loss()
    push = random_normal(surface.like, surface.size, seed)
    with surface.at(start + push * math.sqrt(2.0 * rise / trace)):
        return max(0.0, base - surface.loss() + settle(surface))


def escape(surface: Surface, pair: Eigenpair, gradient: Tensor, unit: float) -> Escape:
    """Follow the direction of the smallest eigenvalue both ways.

    Args:
        surface: The loss.
        pair: The smallest eigenvalue with its vector.
        gradient: At the point, shape `[P]`.
        unit: What a change of the loss is measured by, such as the span that it could fall.

    Returns:
        The way out; its fall is 0 where the curvature is not negative.
    """
    nowhere = Escape(Descent(0.0, 0.0, (), ()), math.nan, math.nan, math.nan)
    if not pair.value < 0.0 or not unit > 0.0:
        return nowhere
    slope = float(gradient.double() @ pair.vector.double())
    first = math.sqrt(2.0 * FIRST_FALL * unit / -pair.value)
    if not math.isfinite(first) or first == 0.0:
        return nowhere
    start, base = surface.point(), surface.loss()
    sides = [surface.loss_at(start + sign * first * pair.vector) for sign in (1.0, -1.0)]
    bend = (sides[0] + sides[1] - 2.0 * base) / first**2
    side = 1.0 if sides[0] <= sides[1] else -1.0
    predicted = 0.5 * -pair.value * first**2 - side * first * slope
    found = descend(surface, pair.vector, first, both=True)
    return Escape(found, bend / pair.value, predicted, base - min(sides))


@final
@dataclass(frozen=True, slots=True)
class Sharpness:
    """The loss around a point, along random directions of the size of each filter.

    Attributes:
        distances: Along the direction, in filter norms, shape `[K]`.
        losses: Mean over the directions, shape `[K]`.
        deviation: Standard deviation over the directions, shape `[K]`.
        base: Loss at the point.
    """

    distances: tuple[float, ...]
    losses: tuple[float, ...]
    deviation: tuple[float, ...]
    base: float

    def rise(self, distance: float = 0.1) -> float:
        """Rise of the loss at the measured distance next to `distance`, in filter norms."""
        near = min(range(len(self.distances)), key=lambda number: abs(self.distances[number] - distance))
        return self.losses[near] - self.base


DISTANCES: Final = (-0.5, -0.2, -0.1, -0.05, 0.05, 0.1, 0.2, 0.5)


def sharpness(
    surface: Surface, *, distances: tuple[float, ...] = DISTANCES, directions: int = 5, seed: int = 0
) -> Sharpness:
    """Walk along random directions whose filters have the norms of the weights' own.

    H. Li et al., "Visualizing the loss landscape of neural nets", 2018, section 4: each filter (a row of the weight)
    of a normal direction is scaled to the norm of the same filter of the weights, so that rescaling a layer changes
    nothing; parameters of one dimension (biases, norms) are left where they are.

    Args:
        surface: The loss.
        distances: In filter norms.
        directions: Random directions.
        seed: Seeds them.

    Returns:
        Mean and deviation of the loss over the directions.
    """
    draws = torch.Generator().manual_seed(seed)
    start, base = surface.point(), surface.loss()
    walks: list[list[float]] = []
    for _ in range(directions):
        direction = torch.cat([_like_filters(parameter, draws) for parameter in surface.parameters])
        walks.append([surface.loss_at(start + distance * direction) for distance in distances])
    values = torch.tensor(walks, dtype=torch.float64)
    deviation = values.std(dim=0) if directions > 1 else torch.zeros(len(distances), dtype=torch.float64)
    return Sharpness(distances, tuple(values.mean(dim=0).tolist()), tuple(deviation.tolist()), base)


def _like_filters(parameter: Tensor, draws: torch.Generator) -> Tensor:
    if parameter.dim() < 2:
        return torch.zeros(parameter.numel(), dtype=parameter.dtype, device=parameter.device)
    noise = torch.randn(parameter.shape, generator=draws).to(parameter)
    scaled = noise.flatten(1) * (_filter_sizes(parameter) / _filter_sizes(noise).clamp_min(1e-12))
    return scaled.reshape(-1)


def _filter_sizes(tensor: Tensor) -> Tensor:
    """Norm of each filter, shape `[out, 1]`."""
    sizes: Tensor = torch.linalg.vector_norm(tensor.detach().flatten(1), dim=1, keepdim=True)
    return sizes
