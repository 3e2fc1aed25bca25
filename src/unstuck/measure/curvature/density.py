"""The spectral density of a Hessian, and the share of its curvature that is negative."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from unstuck.measure.curvature.trace import random_signs
from unstuck.quantity import Quantity
from unstuck.stats import mean_interval

PROBES: Final = 5
STEPS: Final = 20


@final
@dataclass(frozen=True, slots=True)
class Density:
    """Quadrature nodes and weights of the distribution of eigenvalues, one set a probe.

    Attributes:
        nodes: Ritz values, shape `[R][K]`.
        weights: Share of the eigenvalues that each stands for, shape `[R][K]`; the weights of a probe add up to 1.
        size: Number of eigenvalues, P.
    """

    nodes: tuple[tuple[float, ...], ...]
    weights: tuple[tuple[float, ...], ...]
    size: int

    def share_below(self, limit: float) -> Quantity:
        """Share of the eigenvalues below `limit`, with its interval over the probes."""
        shares = [
            math.fsum(weight for node, weight in zip(nodes, weights, strict=True) if node < limit)
            for nodes, weights in zip(self.nodes, self.weights, strict=True)
        ]
        value = math.fsum(shares) / len(shares) if shares else math.nan
        return Quantity.within(f"share of the eigenvalues below {limit:.2g}", value, mean_interval(shares))

    def minimum_ratio(self, rounding: float = 0.0) -> float:
        """Share of the eigenvalues that are not negative, those within `rounding` of 0 included."""
        return 1.0 - self.share_below(-rounding).value

    def quantile(self, share: float) -> float:
        """The eigenvalue below which a share of all lie."""
        pairs = sorted(
            (node, weight / len(self.nodes))
            for nodes, weights in zip(self.nodes, self.weights, strict=True)
            for node, weight in zip(nodes, weights, strict=True)
        )
        reached = 0.0
        for node, weight in pairs:
            reached += weight
            if reached >= share:
                return node
        return pairs[-1][0] if pairs else math.nan

    def at(self, grid: Sequence[float], width: float) -> tuple[float, ...]:
        """The density on a grid, each node a normal distribution of standard deviation `width`.

        B. Ghorbani, S. Krishnan, Y. Xiao, "An investigation into neural net optimization via Hessian eigenvalue
        density", 2019, equation 4.

        Args:
            grid: Eigenvalues, shape `[G]`.
            width: In their unit.

        Returns:
            The density at each, shape `[G]`.
        """
        scale = 1.0 / (width * math.sqrt(2.0 * math.pi) * len(self.nodes))
        return tuple(
            scale
            * math.fsum(
                weight * math.exp(-0.5 * ((place - node) / width) ** 2)
                for nodes, weights in zip(self.nodes, self.weights, strict=True)
                for node, weight in zip(nodes, weights, strict=True)
            )
            for place in grid
        )


def spectral_density(
    product: Callable[[Tensor], Tensor],
    like: Tensor,
    size: int,
    *,
    probes: int = PROBES,
    steps: int = STEPS,
    seed: int = 0,
    deadline: float = math.inf,
) -> Density:
    """Stochastic Lanczos quadrature, with full reorthogonalisation.

    Ghorbani et al. 2019, algorithm 2: the nodes are the eigenvalues of the tridiagonal matrix of a Lanczos run from a
    random vector, the weights the squared first entries of its eigenvectors.

    Args:
        product: The operator.
        like: Gives dtype and device.
        size: P.
        probes: Random vectors.
        steps: Products a probe.
        seed: Seeds the vectors.
        deadline: `time.monotonic()` value after which no further probe is begun; two are taken in any case.

    Returns:
        The density.
    """
    draws = torch.Generator().manual_seed(seed)
    nodes, weights = [], []
    for number in range(probes):
        if number >= 2 and time.monotonic() > deadline:
            break
        values, firsts = _quadrature(product, random_signs(like, size, draws), min(steps, size))
        nodes.append(values)
        weights.append(firsts)
    return Density(tuple(nodes), tuple(weights), size)


def _quadrature(
    product: Callable[[Tensor], Tensor], start: Tensor, steps: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    basis = torch.empty(steps, len(start), dtype=start.dtype, device=start.device)
    basis[0] = start / start.norm()
    diagonal: list[float] = []
    beside: list[float] = []
    for step in range(steps):
        image = product(basis[step])
        diagonal.append(float(basis[step].double() @ image.double()))
        for _ in range(2):
            image = image - (basis[: step + 1] @ image) @ basis[: step + 1]
        norm = float(image.norm())
        scale = max(map(abs, diagonal + beside))
        if step + 1 == steps or norm <= 10.0 * torch.finfo(start.dtype).eps * scale or not math.isfinite(norm):
            break
        beside.append(norm)
        basis[step + 1] = image / norm
    middle = torch.tensor(diagonal, dtype=torch.float64)
    side = torch.tensor(beside[: len(diagonal) - 1], dtype=torch.float64)
    matrix = torch.diag(middle) + torch.diag(side, 1) + torch.diag(side, -1)
    if not bool(torch.isfinite(matrix).all()):
        return (math.nan,), (1.0,)
    values, vectors = torch.linalg.eigh(matrix)
    return tuple(values.tolist()), tuple(vectors[0].square().tolist())
