"""How far diabetes progressed within a year, from ten measurements: a regression.

    unstuck diagnose examples/diabetes.py
    unstuck diagnose examples/diabetes.py:target_shape_broadcast

`setup` trains well: it explains about half of the variance (R² ≈ 0.5), which is what any model reaches
on these data. The functions after it each make one mistake that people make with programs like this one.
"""

from collections.abc import Callable
from functools import partial

import torch
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import unstuck


def perceptron(width: int = 16) -> nn.Sequential:
    """Two hidden layers, one output: the progression, in standard deviations from its mean."""
    return nn.Sequential(nn.Linear(10, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1))


def standardised(values: Tensor, train: list[int]) -> Tensor:
    """Mean 0 and standard deviation 1 on the training rows."""
    return (values - values[train].mean(dim=0)) / values[train].std(dim=0)


def setup(
    model: Callable[[], nn.Module] = perceptron,
    epochs: int = 40,
    weight_decay: float = 1.0,
    standardise_targets: bool = True,
    column_targets: bool = True,
) -> unstuck.Setup:
    """A small perceptron that predicts the progression."""
    measurements, progression = (
        torch.tensor(array, dtype=torch.float32) for array in load_diabetes(return_X_y=True, scaled=False)
    )
    rows, test = train_test_split(range(len(progression)), test_size=0.25, random_state=7)
    train, validation = train_test_split(rows, test_size=0.3, random_state=7)
    inputs = standardised(measurements, train)
    targets = standardised(progression, train) if standardise_targets else progression
    if column_targets:
        targets = targets.unsqueeze(1)
    return unstuck.Setup.of(
        model=model,
        loss=nn.MSELoss(),
        optimizer=lambda parameters: torch.optim.AdamW(parameters, lr=1e-3, weight_decay=weight_decay),
        train=(inputs[train], targets[train]),
        validation=(inputs[validation], targets[validation]),
        test=(inputs[test], targets[test]),
        epochs=epochs,
        batch_size=32,
    )


def target_shape_broadcast() -> unstuck.Setup:
    """Targets `[N]` against outputs `[N, 1]`: the loss compares every output with every target."""
    return setup(column_targets=False)


def targets_not_normalised() -> unstuck.Setup:
    """The raw progression, about 150 ± 77: the outputs, near zero, have far to go."""
    return setup(standardise_targets=False)


def overfitting() -> unstuck.Setup:
    """A wide network, no weight decay, 150 epochs, and 231 patients."""
    return setup(model=partial(perceptron, width=128), epochs=150, weight_decay=0.0)


FAULTS = {
    "target_shape_broadcast": "SET001",
    "targets_not_normalised": "DAT002",
    "overfitting": "GEN001",
}
