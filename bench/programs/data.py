"""What stands in for the data of the programs: scikit-learn's sets, and generators with their own seed."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, make_regression
from torch import Tensor
from torch.nn.functional import interpolate, one_hot

Pair = tuple[Tensor, Tensor]


class Splits(NamedTuple):
    """The rows to train on, and the rows to score on."""

    train: Pair
    heldout: Pair


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uniform(low: float, high: float, *shape: int, seed: int) -> Tensor:
    return torch.rand(*shape, generator=generator(seed)) * (high - low) + low


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=generator(seed))


def divided(inputs: Tensor, targets: Tensor, rows: int, seed: int = 0) -> Splits:
    """`rows` random rows to train on, the others held out."""
    order = torch.randperm(len(inputs), generator=generator(seed))
    train, heldout = order[:rows], order[rows:]
    return Splits((inputs[train], targets[train]), (inputs[heldout], targets[heldout]))


def digits(rows: int = 1000, *, white: float = 1.0, images: bool = False, classes: int = 10, larger: int = 1) -> Splits:
    """Handwritten digits, 8 × 8 pixels from 0 to `white`, or so many times larger (3: nearly MNIST's size)."""
    found = load_digits(n_class=classes)
    pixels = torch.tensor(found.images, dtype=torch.float32).unsqueeze(1) * (white / 16)
    if larger > 1:
        pixels = interpolate(pixels, scale_factor=larger, mode="bilinear")
    inputs = pixels if images else pixels.flatten(1)
    return divided(inputs, torch.tensor(found.target), rows)


def iris(rows: int = 100) -> Splits:
    found = load_iris()
    return divided(torch.tensor(found.data, dtype=torch.float32), torch.tensor(found.target), rows)


def breast_cancer(rows: int = 400, features: int = 30) -> Splits:
    """Raw features, 1 for benign, as a float column."""
    found = load_breast_cancer()
    inputs = torch.tensor(found.data[:, :features], dtype=torch.float32)
    return divided(inputs, torch.tensor(found.target, dtype=torch.float32).unsqueeze(1), rows)


def diabetes(rows: int = 300) -> Splits:
    found = load_diabetes(scaled=False)
    inputs = torch.tensor(found.data, dtype=torch.float32)
    return divided(inputs, torch.tensor(found.target, dtype=torch.float32), rows)


def xor() -> Splits:
    """The four rows of XOR; there is nothing else to hold out."""
    inputs = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    rows = (inputs, torch.tensor([[0.0], [1.0], [1.0], [0.0]]))
    return Splits(rows, rows)


def clusters(rows: int, heldout: int, features: int, classes: int, spread: float, *, seed: int) -> Splits:
    """Classes that are several blobs each, so that no linear model tells them apart."""
    blobs = 4 * classes
    centres = normal(blobs, features, seed=seed)
    blob = torch.randint(blobs, (rows + heldout,), generator=generator(seed + 1))
    inputs = centres[blob] + spread * normal(rows + heldout, features, seed=seed + 2)
    return divided(inputs, blob % classes, rows)


def made_regression(rows: int, heldout: int, features: int, targets: int = 1, *, seed: int) -> Splits:
    """scikit-learn's linear regression problem; targets `[N, targets]` have deviations of a hundred or more."""
    inputs, values = make_regression(rows + heldout, features, n_targets=targets, noise=10.0, random_state=seed)
    return divided(torch.tensor(inputs).float(), torch.tensor(values).float().reshape(len(values), targets), rows)


def motifs(rows: int, heldout: int, steps: int, channels: int, *, seed: int) -> Splits:
    """Noise `[N, steps, channels]` with one of two motifs of four steps somewhere, and which."""
    number, random = rows + heldout, generator(seed)
    inputs = 0.5 * torch.randn(number, steps, channels, generator=random)
    both = torch.randn(2, 4, channels, generator=random)
    labels = torch.randint(2, (number,), generator=random)
    starts = torch.randint(steps - 3, (number,), generator=random)
    for i in range(number):
        inputs[i, starts[i] : starts[i] + 4] += both[labels[i]]
    return divided(inputs, labels, rows)


def windows(series: Tensor, length: int) -> Pair:
    """Every window of the series `[N, length, 1]`, and the value that follows it `[N, 1]`."""
    cut = series.unfold(0, length + 1, 1)
    return cut[:, :length].unsqueeze(2), cut[:, length:]


def wandering(length: int, *, seed: int) -> Tensor:
    """A noisy series of two periods around 0."""
    time = torch.arange(length, dtype=torch.float32)
    waves = torch.sin(time * 2 * math.pi / 25) + 0.5 * torch.sin(time * 2 * math.pi / 9)
    return waves + 0.1 * normal(length, seed=seed)


def life(boards: int, side: int, *, seed: int) -> Pair:
    """Random boards of Conway's game of Life `[N, 1, side, side]`, and the same a generation later."""
    now = (torch.rand(boards, 1, side, side, generator=generator(seed)) < 0.4).float()
    around = torch.nn.functional.conv2d(now, torch.ones(1, 1, 3, 3), padding=1) - now
    later = (around == 3) | ((around == 2) & (now == 1))
    return now, later.float()


def on_inputs(splits: Splits, change: Callable[[Tensor], Tensor]) -> Splits:
    (x, y), (z, w) = splits
    return Splits((change(x), y), (change(z), w))


def on_targets(splits: Splits, change: Callable[[Tensor], Tensor]) -> Splits:
    (x, y), (z, w) = splits
    return Splits((x, change(y)), (z, change(w)))


def standardised(splits: Splits) -> Splits:
    """Every input feature with mean 0 and deviation 1 on the training rows."""
    inputs = splits.train[0]
    mean, deviation = inputs.mean(0), inputs.std(0).clamp_min(1e-6)
    return on_inputs(splits, lambda x: (x - mean) / deviation)


def standardised_targets(splits: Splits) -> Splits:
    targets = splits.train[1]
    mean, deviation = targets.mean(0), targets.std(0)
    return on_targets(splits, lambda y: (y - mean) / deviation)


def one_hot_targets(splits: Splits, classes: int) -> Splits:
    return on_targets(splits, lambda y: one_hot(y, classes).float())


def as_column(splits: Splits) -> Splits:
    """Class numbers as one column of floats, as a single output is compared with."""
    return on_targets(splits, lambda y: y.float().unsqueeze(1))


def flat_targets(splits: Splits) -> Splits:
    return on_targets(splits, lambda y: y.flatten())
