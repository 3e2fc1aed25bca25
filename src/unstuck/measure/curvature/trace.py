"""The trace of a Hessian from few products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from unstuck.quantity import Interval
from unstuck.stats import mean_interval

PRODUCTS: Final = 30
"""Hessian products of an estimate, where not asked otherwise."""


@final
@dataclass(frozen=True, slots=True)
class TraceEstimate:
    """The trace: the sum of all eigenvalues.

    Attributes:
        value: The estimate.
        interval: Its 95 % interval; a point where the whole space was spanned.
        products: Hessian products that it took.
    """

    value: float
    interval: Interval
    products: int


def estimate_trace(
    product: Callable[[Tensor], Tensor], like: Tensor, size: int, *, products: int = PRODUCTS, seed: int = 0
) -> TraceEstimate:
    """Hutch++.

    R. Meyer, C. Musco, C. Musco, D. Woodruff, "Hutch++: optimal stochastic trace estimation", 2021, algorithm 1: the
    trace on a sketch of the range is exact, and Hutchinson's estimate is left the rest, of small variance.

    Args:
        product: The operator.
        like: Gives dtype and device.
        size: Its number of rows, P.
        products: At most; a third each for the sketch, the trace on it, and the rest.
        seed: Seeds the random signs.

    Returns:
        The estimate; exact where the sketch spans the space.
    """
    third = max(2, products // 3)
    draws = torch.Generator().manual_seed(seed)
    rank = min(third, size)
    sketch = torch.stack([product(random_signs(like, size, draws)) for _ in range(rank)], dim=1)
    basis = torch.linalg.qr(sketch.double())[0].to(like)
    exact = sum(_quadratic(product, column) for column in basis.T)
    if rank == size:
        return TraceEstimate(exact, Interval(exact, exact), 2 * rank)
    rest = []
    for _ in range(third):
        signs = random_signs(like, size, draws)
        rest.append(_quadratic(product, signs - basis @ (basis.T @ signs)))
    interval = mean_interval(rest)
    return TraceEstimate(
        exact + sum(rest) / third, Interval(exact + interval.low, exact + interval.high), 2 * rank + third
    )


def random_signs(like: Tensor, size: int, draws: torch.Generator) -> Tensor:
    """Rademacher vector, shape `[P]`: of all with independent entries the one of least variance for a trace."""
    signs = torch.randint(2, (size,), generator=draws) * 2 - 1
    return signs.to(like)


def random_normal(like: Tensor, size: int, seed: int) -> Tensor:
    """Normal vector, shape `[P]`: it has a share in every direction, which random signs need not have."""
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)).to(like)


def _quadratic(product: Callable[[Tensor], Tensor], vector: Tensor) -> float:
    return float(vector.double() @ product(vector).double())
