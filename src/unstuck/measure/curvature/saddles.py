"""Finding a saddle of the loss: where the gradient vanishes far above the floor."""

from __future__ import annotations

import time
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unstuck.measure.curvature.critical import Critical, measure_point
from unstuck.measure.curvature.surface import Surface

VANISHED: Final = 1e-6
"""Share of its norm at the start below which the gradient counts as gone."""

ROUNDS: Final = 60
"""Newton steps at most."""

INNER: Final = 30
"""Iterations of MINRES for one step, of one Hessian product each."""

HALVINGS: Final = 8
"""Times that a step is halved before it is given up."""


def go_to_saddle(surface: Surface, seconds: float = 60.0) -> Critical:
    """Move the weights to the next critical point, whatever its kind, by Newton's method on the gradient.

    Newton's method is drawn to saddles (Y. Dauphin et al., "Identifying and attacking the saddle point problem in
    high-dimensional non-convex optimization", 2014). Its steps are found by MINRES, which takes any symmetric matrix,
    and halved until the gradient shrinks.

    Args:
        surface: The loss; its weights are at the point afterwards.
        seconds: Wall time at most.

    Returns:
        The point that was reached.
    """
    deadline = time.monotonic() + seconds
    gradient = surface.gradient().vector
    reference = float(gradient.norm())
    for _ in range(ROUNDS):
        norm = float(gradient.norm())
        if norm <= VANISHED * reference or time.monotonic() > deadline:
            break
        step = _newton_step(surface, gradient)
        start = surface.point()
        for halving in range(HALVINGS):
            surface.move(start + step / 2.0**halving)
            gradient = surface.gradient().vector
            if float(gradient.norm()) < norm:
                break
        else:
            surface.move(start)
            break
    return measure_point(surface, gradient_reference=reference, seconds=seconds)


def _newton_step(surface: Surface, gradient: Tensor) -> Tensor:
    from scipy.sparse.linalg import LinearOperator, minres

    def product(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        found = surface.product(torch.from_numpy(vector.astype(np.float64)).to(gradient))
        return found.double().cpu().numpy()

    operator = LinearOperator((surface.size, surface.size), matvec=product, dtype=np.float64)
    found, _ = minres(operator, -gradient.double().cpu().numpy(), maxiter=INNER)
    return torch.from_numpy(found).to(gradient)
