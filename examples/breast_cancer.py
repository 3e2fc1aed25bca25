"""Benign or malignant, from 30 measurements of cell nuclei: one output unit, binary cross-entropy.

    unstuck diagnose examples/breast_cancer.py
    unstuck diagnose examples/breast_cancer.py:vanishing_gradient

`setup` trains well: about 98 of 100 tumours are told right. The functions after it each make one
mistake that people make with programs like this one.
"""

from collections.abc import Callable

import torch
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

import unstuck


def perceptron() -> nn.Sequential:
    """One hidden layer; the output is one score (logit) per tumour."""
    return nn.Sequential(nn.Linear(30, 16), nn.ReLU(), nn.Linear(16, 1))


def deep_sigmoid_stack() -> nn.Sequential:
    """Five hidden layers of sigmoids."""
    hidden = (layer for _ in range(4) for layer in (nn.Linear(16, 16), nn.Sigmoid()))
    return nn.Sequential(nn.Linear(30, 16), nn.Sigmoid(), *hidden, nn.Linear(16, 1))


def step_without_clearing(model: nn.Module, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, Tensor]) -> Tensor:
    """One step of training that forgets `optimizer.zero_grad()`."""
    measurements, malignant = batch
    loss = nn.functional.binary_cross_entropy_with_logits(model(measurements), malignant)
    loss.backward()
    optimizer.step()
    return loss


def setup(
    model: Callable[[], nn.Module] = perceptron,
    learning_rate: float = 0.05,
    train_step: Callable[[nn.Module, torch.optim.Optimizer, tuple[Tensor, Tensor]], Tensor] | None = None,
) -> unstuck.Setup:
    """A small perceptron that tells benign tumours from malignant ones."""
    measurements, benign = load_breast_cancer(return_X_y=True)
    rows, test = train_test_split(range(len(benign)), test_size=0.2, stratify=benign, random_state=1)
    train, validation = train_test_split(rows, test_size=0.25, stratify=benign[rows], random_state=1)
    scaler = StandardScaler().fit(measurements[train])
    inputs = torch.tensor(scaler.transform(measurements), dtype=torch.float32)
    malignant = torch.tensor(1 - benign, dtype=torch.float32).unsqueeze(1)
    return unstuck.Setup.of(
        model=model,
        loss=nn.BCEWithLogitsLoss(),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=learning_rate, weight_decay=1e-2),
        train=(inputs[train], malignant[train]),
        validation=(inputs[validation], malignant[validation]),
        test=(inputs[test], malignant[test]),
        epochs=40,
        batch_size=16,
        train_step=train_step,
    )


def vanishing_gradient() -> unstuck.Setup:
    """Five hidden layers of sigmoids: nearly no gradient reaches the first ones."""
    return setup(model=deep_sigmoid_stack)


def learning_rate_too_low() -> unstuck.Setup:
    """A rate of 1e-4 would take a thousand times as many epochs."""
    return setup(learning_rate=1e-4)


def gradients_not_cleared() -> unstuck.Setup:
    """Every step follows the sum of all the gradients so far."""
    return setup(train_step=step_without_clearing)


FAULTS = {
    "vanishing_gradient": "OPT006",
    "learning_rate_too_low": "OPT002",
    "gradients_not_cleared": "SET006",
}
