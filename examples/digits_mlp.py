"""Handwritten digits, 8 × 8 pixels, with a multi-layer perceptron.

    unstuck diagnose examples/digits_mlp.py
    unstuck diagnose examples/digits_mlp.py:learning_rate_too_high

`setup` trains well: about 96 of 100 test digits are read right. The functions after it each make one
mistake that people make with programs like this one.
"""

from collections.abc import Callable
from functools import partial

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import unstuck


def perceptron(width: int = 64) -> nn.Sequential:
    """Two hidden layers; ten outputs, one score (logit) per digit."""
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))


def split(training_images: int | None, noise: float) -> list[tuple[Tensor, Tensor]]:
    """(images, labels) for training, validation and test; pixels run from 0 to 1."""
    pixels, digits = load_digits(return_X_y=True)
    images, labels = torch.tensor(pixels / 16, dtype=torch.float32), torch.tensor(digits)
    images += noise * torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    rest, test = train_test_split(range(len(digits)), test_size=360, stratify=digits, random_state=0)
    train, validation = train_test_split(
        rest, train_size=training_images, test_size=360, stratify=digits[rest], random_state=0
    )
    return [(images[rows], labels[rows]) for rows in (train, validation, test)]


def setup(
    model: Callable[[], nn.Module] = perceptron,
    learning_rate: float = 0.05,
    weight_decay: float = 2e-3,
    epochs: int = 20,
    training_images: int | None = None,
    noise: float = 0.0,
) -> unstuck.Setup:
    """A perceptron that reads digits."""
    train, validation, test = split(training_images, noise)
    return unstuck.Setup.of(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: torch.optim.SGD(
            parameters, lr=learning_rate, momentum=0.9, weight_decay=weight_decay
        ),
        train=train,
        validation=validation,
        test=test,
        epochs=epochs,
        batch_size=32,
    )


def learning_rate_too_high() -> unstuck.Setup:
    """A rate of 3 with momentum: the loss jumps about, or becomes NaN."""
    return setup(learning_rate=3.0)


def probabilities_into_logits_loss() -> unstuck.Setup:
    """A softmax at the end of the model, though CrossEntropyLoss applies its own."""
    return setup(model=lambda: nn.Sequential(*perceptron(), nn.Softmax(dim=1)))


def model_too_small() -> unstuck.Setup:
    """Two hidden units have to tell ten digits apart."""
    return setup(model=partial(perceptron, width=2))


def overfitting() -> unstuck.Setup:
    """300 noisy scans, a wide network without weight decay, and a long training."""
    wide = partial(perceptron, width=256)
    return setup(model=wide, learning_rate=0.01, weight_decay=0.0, epochs=80, training_images=300, noise=0.5)


FAULTS = {
    "learning_rate_too_high": "OPT001",
    "probabilities_into_logits_loss": "SET002",
    "model_too_small": "CAP001",
    "overfitting": "GEN001",
}
