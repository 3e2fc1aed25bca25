"""Which network for the handwritten digits? Choose by cross-validation, and see how far to believe the score.

unstuck select examples/select_digits.py:candidates
unstuck select examples/select_digits.py:network --vary width=8,16,32 --vary rate=1e-4..1e-1:log --trials 8
"""

from __future__ import annotations

from functools import partial

import torch
from sklearn.datasets import load_digits
from torch import nn

import unstuck
from unstuck import Setup

ROWS = 400
"""Few samples on purpose: the fewer, the more the best of many candidates flatters itself."""


def perceptron(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def network(width: int = 32, rate: float = 0.01, epochs: int = 10) -> Setup:
    """One candidate."""
    digits = load_digits()
    inputs = torch.tensor(digits.data[:ROWS] / 16.0, dtype=torch.float32)
    return Setup.of(
        model=partial(perceptron, width),
        loss=nn.CrossEntropyLoss(),
        optimizer=partial(torch.optim.Adam, lr=rate),
        train=(inputs, torch.tensor(digits.target[:ROWS])),
        epochs=epochs,
        batch_size=32,
    )


def candidates() -> dict[str, Setup]:
    """Four sizes."""
    return {f"{width} units": network(width) for width in (4, 16, 64, 256)}


if __name__ == "__main__":
    chosen = unstuck.select(candidates(), folds=5)
    print(chosen)
    run = unstuck.fit(chosen.setup)
    print(f"trained on all {ROWS} samples: loss {run.losses[0]:.2f} → {run.losses[-1]:.3f}")
