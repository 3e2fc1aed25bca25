"""Handwritten digits, 8 × 8 pixels, with a convolutional network.

    unstuck diagnose examples/digits_cnn.py
    unstuck diagnose examples/digits_cnn.py:preprocessing_mismatch

`setup` trains well: about 97 of 100 test digits are read right. The functions after it each make one
mistake that people make with programs like this one.
"""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import unstuck


class DigitNet(nn.Module):
    """Two convolutions, each followed by pooling, and a linear layer."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classify = nn.Linear(2 * channels * 4, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Scores (logits) `[N, 10]` of images `[N, 1, 8, 8]`."""
        scores: torch.Tensor = self.classify(self.features(images).flatten(1))
        return scores


def setup(epochs: int = 15, largest_test_pixel: float = 16.0) -> unstuck.Setup:
    """A convolutional network that reads digits."""
    images, labels = load_digits(return_X_y=True)
    images, test_images, labels, test_labels = train_test_split(
        images.reshape(-1, 1, 8, 8).astype("float32"), labels, test_size=0.2, stratify=labels, random_state=0
    )
    train_images, validation_images, train_labels, validation_labels = train_test_split(
        images / 16, labels, test_size=0.25, stratify=labels, random_state=0
    )
    return unstuck.Setup.of(
        model=DigitNet,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: torch.optim.Adam(parameters, lr=3e-3),
        train=(train_images, train_labels),
        validation=(validation_images, validation_labels),
        test=(test_images / largest_test_pixel, test_labels),
        epochs=epochs,
        batch_size=64,
    )


def preprocessing_mismatch() -> unstuck.Setup:
    """Nobody divided the test images by 16."""
    return setup(largest_test_pixel=1.0)


def stopped_too_early() -> unstuck.Setup:
    """Three passes over the data, while the loss is still falling."""
    return setup(epochs=3)


FAULTS = {
    "preprocessing_mismatch": "MIS004",
    "stopped_too_early": "OPT017",
}
