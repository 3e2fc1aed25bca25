"""Both ends of a symmetric operator's spectrum, with error bounds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]

TOLERANCE: Final = 0.01
"""Residual, as a share of the eigenvalue, at which an end counts as found: its true error is below a thousandth."""

SETTLED: Final = 0.5
"""Share of the tolerance that the last product may have moved a value by."""

MOST_PRODUCTS: Final = 200
"""Hessian products for both ends of the spectrum at most."""

LARGEST_BASIS: Final = 60
"""Basis vectors that are held at most; from there on the best are kept and the others rebuilt."""

KEPT: Final = 8
"""Ritz vectors from each end that a restart keeps."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Eigenpair:
    """An approximate eigenpair.

    Attributes:
        value: The Rayleigh quotient of `vector`. The largest eigenvalue is not below that of the upper end, the
            smallest not above that of the lower end, whatever the residual.
        residual: ‖H v − value · v‖: an eigenvalue lies within that distance of `value`; rounding included.
        vector: Of norm 1, shape `[P]`.
    """

    value: float
    residual: float
    vector: Tensor


@final
@dataclass(frozen=True, slots=True, eq=False)
class Extremes:
    """The two ends of a spectrum.

    Attributes:
        smallest: The lower end.
        largest: The upper end.
        products: Products that it took.
        converged: Whether each end met the tolerance, the lower one first.
        complete: Whether the whole space was spanned, so that both ends are exact.
    """

    smallest: Eigenpair
    largest: Eigenpair
    products: int
    converged: tuple[bool, bool]
    complete: bool

    @property
    def scale(self) -> float:
        """The largest absolute value of the two."""
        return max(abs(self.smallest.value), abs(self.largest.value))


def extreme_eigenpairs(
    product: Product,
    start: Tensor,
    *,
    ends: tuple[bool, bool] = (True, True),
    tolerance: float = TOLERANCE,
    sign_suffices: bool = False,
    most: int = MOST_PRODUCTS,
    deadline: float = math.inf,
) -> Extremes:
    """Lanczos' method with full reorthogonalisation and thick restarts.

    C. Lanczos 1950; K. Wu and H. Simon, "Thick-restart Lanczos method for large symmetric eigenvalue problems", 2000.
    An end counts as found once its Ritz residual is at most `tolerance` times its value. An end much smaller than the
    other (a minimum's flat directions) counts as found once the residual is that share of `tolerance` squared of the
    larger one, from where on it is zero for every purpose.

    Where the space reachable from the start is spanned (a start within few eigenvectors, an operator of low rank), it
    goes on from a random vector outside of it.

    Args:
        product: The operator.
        start: Any vector with a share in every eigenvector, such as a normal one, shape `[P]`.
        ends: Whether the lower and the upper end are wanted.
        tolerance: Relative residual.
        sign_suffices: Whether the lower end counts as found once it is negative beyond its residual.
        most: Products at most.
        deadline: `time.monotonic()` value after which no more products are taken.

    Returns:
        Both ends, as far as they were found.
    """
    size, most = start.numel(), max(1, most)
    epsilon = torch.finfo(start.dtype).eps
    width = min(LARGEST_BASIS, size, most)
    basis = torch.empty(width + 1, size, dtype=start.dtype, device=start.device)
    basis[0] = start / start.norm()
    matrix = torch.zeros(width, width, dtype=torch.float64)
    filled = taken = 0
    before = known = (math.inf, math.inf)
    found: tuple[bool, ...]
    while True:
        image = product(basis[filled])
        taken += 1
        coefficients = _orthogonalise(image, basis[: filled + 1])
        matrix[filled, : filled + 1] = matrix[: filled + 1, filled] = coefficients
        filled += 1
        beta = float(torch.linalg.vector_norm(image, dtype=None if image.device.type == "mps" else torch.float64))
        values, vectors = torch.linalg.eigh(matrix[:filled, :filled])
        scale = float(values.abs().max())
        rounding = 10.0 * epsilon * scale
        complete, spanned = filled == size, beta <= rounding
        residuals = torch.zeros_like(values) if complete or spanned else beta * vectors[-1].abs()
        now = float(values[0]), float(values[-1])
        if spanned:  # once more from outside: where that changes neither end, there is nothing further out
            done = max(abs(now[0] - known[0]), abs(now[1] - known[1])) <= rounding
            known, found = now, (done or complete, done or complete)
        else:
            found = tuple(
                complete or not ends[end] or _is_found(now[end], float(residuals[end]), before[end], scale, tolerance)
                for end in (0, -1)
            )
        before = now
        if sign_suffices and float(values[0]) + float(residuals[0]) < -rounding:
            found = (True, found[1])
        if all(found) or taken >= most or time.monotonic() > deadline or not math.isfinite(scale):
            break
        basis[filled] = _outside(basis[:filled], taken) if spanned else image / image.norm()
        if filled == width:  # keep the Ritz vectors of both ends, and go on from the residual that they share
            filled = _restart(basis, matrix, values, vectors)
    pairs = [
        Eigenpair(
            float(values[end]),
            float(residuals[end]) + rounding,
            _unit(vectors[:, end].to(basis) @ basis[: len(values)]),
        )
        for end in (0, -1)
    ]
    return Extremes(pairs[0], pairs[1], taken, (found[0], found[1]), complete)


def _is_found(value: float, residual: float, before: float, scale: float, tolerance: float) -> bool:
    """Whether the residual is small and the value has come to rest: another eigenvalue may lie further out still."""
    allowed = tolerance * max(abs(value), tolerance * scale)
    return residual <= allowed and abs(value - before) <= SETTLED * allowed


def _orthogonalise(vector: Tensor, basis: Tensor) -> Tensor:
    """Take the basis' share out of `vector`, in place and twice, as once loses orthogonality; the coefficients."""
    total = torch.zeros(len(basis), dtype=torch.float64)
    for _ in range(2):
        share = basis @ vector
        vector.sub_(share @ basis)
        total += share.cpu().double()
    return total


def _outside(basis: Tensor, seed: int) -> Tensor:
    """A random direction orthogonal to a basis."""
    vector = torch.randn(basis.shape[1], generator=torch.Generator().manual_seed(seed)).to(basis)
    _orthogonalise(vector, basis)
    return _unit(vector)


def _restart(basis: Tensor, matrix: Tensor, values: Tensor, vectors: Tensor) -> int:
    width = len(values)
    kept = sorted({*range(min(KEPT, width // 4)), *range(width - min(KEPT, width // 4), width)}) or [0]
    chosen = vectors[:, kept].to(basis)
    basis[: len(kept)] = chosen.T @ basis[:width]
    basis[len(kept)] = basis[width]
    matrix.zero_()
    matrix[range(len(kept)), range(len(kept))] = values[kept]
    return len(kept)


def _unit(vector: Tensor) -> Tensor:
    norm = float(vector.norm())
    return vector / norm if norm > 0.0 else vector
