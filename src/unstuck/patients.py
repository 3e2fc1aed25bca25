"""Small set-ups that the rules' own cases are made of: healthy as they are, and trained in a fraction of a second.

Every argument changes one thing, so that a case shows in one line what ails its patient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.setup import Setup

ModelFactory = Callable[[], nn.Module]
OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
Change = Callable[[Tensor], Tensor]

TRAINING, HELD_OUT, TESTED = 320, 240, 240


def adam(rate: float = 0.01) -> OptimizerFactory:
    """A recipe for Adam."""
    return lambda parameters: torch.optim.Adam(parameters, rate)


def sgd(rate: float = 0.1, momentum: float = 0.0) -> OptimizerFactory:
    """A recipe for stochastic gradient descent."""
    return lambda parameters: torch.optim.SGD(parameters, rate, momentum)


def perceptron(*sizes: int, activation: ModelFactory = nn.ReLU, last: nn.Module | None = None) -> nn.Sequential:
    """Linear layers of these sizes with activations between, and `last` behind them."""
    layers: list[nn.Module] = []
    for inputs, outputs in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1], *([] if last is None else [last]))


def classification(
    model: ModelFactory = lambda: perceptron(4, 24, 3),
    *,
    loss: Any = None,
    optimizer: OptimizerFactory | None = None,
    inputs: Change = lambda values: values,
    targets: Change = lambda labels: labels,
    test_inputs: Change = lambda values: values,
    noise: float = 0.0,
    epochs: int = 20,
    batch_size: int = 32,
    **others: Any,
) -> Setup:
    """Three classes, one inside the other in the first two of four features.

    Args:
        model: Makes the network.
        loss: Cross-entropy where not given.
        optimizer: Adam at 0.01 where not given.
        inputs: Changes the inputs of every split, shape `[N, 4]`.
        targets: Changes the labels of every split, shape `[N]`.
        test_inputs: Changes the inputs of the test split once more.
        noise: Share of labels that are drawn at random.
        epochs: Passes over the training split.
        batch_size: Samples per batch.
        **others: For `Setup.of`.

    Returns:
        The set-up.
    """
    draws = torch.Generator().manual_seed(11)
    values = torch.randn(TRAINING + HELD_OUT + TESTED, 4, generator=draws)
    radius = values[:, :2].norm(dim=1)
    labels = (radius > 0.9).long() + (radius > 1.5).long()
    wrong = torch.rand(len(labels), generator=draws) < noise
    labels = torch.where(wrong, torch.randint(3, labels.shape, generator=draws), labels)
    return _setup(
        model,
        loss or nn.CrossEntropyLoss(),
        optimizer,
        (inputs(values), targets(labels)),
        test_inputs,
        epochs,
        batch_size,
        others,
    )


def regression(
    model: ModelFactory = lambda: perceptron(3, 24, 1),
    *,
    loss: Any = None,
    optimizer: OptimizerFactory | None = None,
    inputs: Change = lambda values: values,
    targets: Change = lambda values: values,
    test_inputs: Change = lambda values: values,
    noise: float = 0.1,
    linear: bool = False,
    epochs: int = 20,
    batch_size: int = 32,
    **others: Any,
) -> Setup:
    """A number of mean 0 and deviation 1 that depends smoothly on three features.

    Args:
        model: Makes the network.
        loss: Mean squared error where not given.
        optimizer: Adam at 0.01 where not given.
        inputs: Changes the inputs of every split, shape `[N, 3]`.
        targets: Changes the targets of every split, shape `[N, 1]`.
        test_inputs: Changes the inputs of the test split once more.
        noise: Standard deviation of what the inputs say nothing about.
        linear: Whether the dependence is linear.
        epochs: Passes over the training split.
        batch_size: Samples per batch.
        **others: For `Setup.of`.

    Returns:
        The set-up.
    """
    draws = torch.Generator().manual_seed(12)
    values = torch.randn(TRAINING + HELD_OUT + TESTED, 3, generator=draws)
    curved = values[:, :1].abs() - values[:, 1:2] * values[:, 2:]
    wanted = values @ torch.tensor([[1.0], [-0.7], [0.4]]) if linear else curved
    wanted = (wanted - wanted.mean()) / wanted.std() + noise * torch.randn(wanted.shape, generator=draws)
    return _setup(
        model,
        loss or nn.MSELoss(),
        optimizer,
        (inputs(values), targets(wanted)),
        test_inputs,
        epochs,
        batch_size,
        others,
    )


def shells(
    model: ModelFactory | nn.Module = lambda: perceptron(4, 32, 32, 3),
    *,
    loss: Any = None,
    optimizer: OptimizerFactory | None = None,
    test_inputs: Change = lambda values: values,
    rows: int = TRAINING,
    wrong: float = 0.0,
    epochs: int = 20,
    batch_size: int = 32,
    **others: Any,
) -> Setup:
    """Three classes on spheres one inside the other, in four features: learnt without error.

    Args:
        model: Makes the network.
        loss: Cross-entropy where not given.
        optimizer: Adam at 0.01 where not given.
        test_inputs: Changes the inputs of the test split.
        rows: Number of training samples.
        wrong: Share of the training labels that are replaced by another class.
        epochs: Passes over the training split.
        batch_size: Samples per batch.
        **others: For `Setup.of`.

    Returns:
        The set-up.
    """
    draws = torch.Generator().manual_seed(13)
    total = TRAINING + HELD_OUT + TESTED
    labels = torch.randint(3, (total,), generator=draws)
    directions = nn.functional.normalize(torch.randn(total, 4, generator=draws), dim=1)
    values = directions * (labels + 1 + 0.1 * torch.randn(total, generator=draws)).unsqueeze(1)
    is_wrong = torch.rand(TRAINING, generator=draws) < wrong
    given = torch.where(is_wrong, (labels[:TRAINING] + 1) % 3, labels[:TRAINING])
    train = {"train": (values[:rows], given[:rows])}
    samples = (values, labels)
    loss = loss or nn.CrossEntropyLoss()
    return _setup(model, loss, optimizer, samples, test_inputs, epochs, batch_size, {**train, **others})


def bars(
    model: ModelFactory | None = None,
    *,
    optimizer: OptimizerFactory | None = None,
    test_inputs: Change = lambda values: values,
    epochs: int = 10,
    batch_size: int = 32,
    **others: Any,
) -> Setup:
    """Upright, level and slanting bars in noise, images `[N, 1, 8, 8]`, and a small convolutional network.

    Args:
        model: Makes the network.
        optimizer: Adam at 0.01 where not given.
        test_inputs: Changes the inputs of the test split.
        epochs: Passes over the training split.
        batch_size: Samples per batch.
        **others: For `Setup.of`.

    Returns:
        The set-up.
    """
    draws = torch.Generator().manual_seed(14)
    total = TRAINING + HELD_OUT + TESTED
    labels = torch.randint(3, (total,), generator=draws)
    place = torch.randint(2, 6, (total, 1, 1), generator=draws)
    line = torch.arange(8)
    upright = (line == place).expand(total, 8, 8)
    slanting = line == line.unsqueeze(1) + place - 4
    shapes = torch.stack([upright, upright.transpose(1, 2), slanting], dim=1).float()
    values = shapes[torch.arange(total), labels].unsqueeze(1)
    values = values + 0.3 * torch.randn(values.shape, generator=draws)
    loss = nn.CrossEntropyLoss()
    samples = (values, labels)
    return _setup(model or _convolutional, loss, optimizer, samples, test_inputs, epochs, batch_size, others)


def _convolutional() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 3))


def _setup(
    model: ModelFactory | nn.Module,
    loss: Any,
    optimizer: OptimizerFactory | None,
    samples: tuple[Tensor, Tensor],
    test_inputs: Change,
    epochs: int,
    batch_size: int,
    others: dict[str, Any],
) -> Setup:
    values, wanted = (part.split([TRAINING, HELD_OUT, TESTED]) for part in samples)
    splits: dict[str, Any] = {
        "train": (values[0], wanted[0]),
        "validation": (values[1], wanted[1]),
        "test": (test_inputs(values[2]), wanted[2]),
    }
    return Setup.of(
        model=model,
        loss=loss,
        optimizer=optimizer or adam(),
        epochs=epochs,
        batch_size=batch_size,
        **{**splits, **others},
    )
