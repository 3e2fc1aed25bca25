"""The data of the bases and of the healthy set-ups: scikit-learn's own, and generated with local seeds."""

import math
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer, load_digits, make_friedman1
from torch import Tensor

from bench.programs.data import generator, normal, uniform

Samples = tuple[Tensor, ...]
"""`(inputs, …, targets)`, every one `[N, …]`."""


class Splits(NamedTuple):
    """Three splits of one distribution."""

    train: Samples
    validation: Samples
    test: Samples


def split(*tensors: Tensor, test: float = 0.2) -> Splits:
    """Random rows for training, and a share `test` each for validation and test."""
    order = torch.randperm(len(tensors[0]), generator=generator(0))
    held_out = round(test * len(order))
    parts = order[2 * held_out :], order[:held_out], order[held_out : 2 * held_out]
    train, validation, tested = (tuple(tensor[part] for tensor in tensors) for part in parts)
    return Splits(train, validation, tested)


def standardised(splits: Splits) -> Splits:
    """The first inputs with mean 0 and deviation 1 per feature on the training rows."""
    mean, deviation = splits.train[0].mean(0), splits.train[0].std(0).clamp_min(1e-6)
    return Splits(*(((part[0] - mean) / deviation, *part[1:]) for part in splits))


def columns(splits: Splits) -> Splits:
    """Targets `[N]` as floating-point columns `[N, 1]`."""
    return Splits(*((*part[:-1], part[-1].float().unsqueeze(1)) for part in splits))


def digits(*, white: float = 1.0, images: bool = False) -> Splits:
    """Handwritten digits, 8 × 8 pixels from 0 to `white`, as vectors or as images with one channel."""
    pixels, labels = load_digits(return_X_y=True)
    inputs = torch.tensor(pixels, dtype=torch.float32) * (white / 16)
    return split(inputs.reshape(-1, 1, 8, 8) if images else inputs, torch.tensor(labels))


def breast_cancer() -> Splits:
    """Thirty standardised measurements, 1 for benign."""
    inputs, benign = load_breast_cancer(return_X_y=True)
    return standardised(split(torch.tensor(inputs, dtype=torch.float32), torch.tensor(benign)))


def friedman(rows: int = 1500, *, noise: float = 1.0, seed: int = 0) -> Splits:
    """Friedman's non-linear function of five of ten features; targets `[N, 1]` of deviation 1."""
    inputs, targets = make_friedman1(rows, n_features=10, noise=noise, random_state=seed)
    scaled = (targets - targets.mean()) / targets.std()
    data = torch.tensor(inputs, dtype=torch.float32), torch.tensor(scaled, dtype=torch.float32).unsqueeze(1)
    return standardised(split(*data))


def linear(rows: int, features: int, *, noise: float, spread: float = 1.0, seed: int = 0) -> Splits:
    """A linear function of features of deviation `spread`, with noise; targets `[N, 1]`."""
    inputs = normal(rows, features, seed=seed)
    weights = normal(features, 1, seed=seed + 1) / math.sqrt(features)
    return split(spread * inputs, inputs @ weights + noise * normal(rows, 1, seed=seed + 2))


def surface(rows: int = 1000, *, noise: float = 0.2, seed: int = 0) -> Splits:
    """A smooth surface over the plane, with noise; targets `[N, 1]`."""
    inputs = uniform(-1.7, 1.7, rows, 2, seed=seed)
    heights = torch.sin(2 * inputs[:, :1]) + torch.cos(inputs[:, 1:]) * inputs[:, :1]
    return split(inputs, heights + noise * normal(rows, 1, seed=seed + 1))


def shells(rows: int = 1500, *, features: int = 4, classes: int = 3, blur: float = 0.1, seed: int = 0) -> Splits:
    """Classes that lie on spheres one inside the other, so that no linear model tells them apart."""
    labels = torch.randint(classes, (rows,), generator=generator(seed))
    directions = torch.nn.functional.normalize(normal(rows, features, seed=seed + 1), dim=1)
    radii = (labels + 1 + blur * normal(rows, seed=seed + 2)).unsqueeze(1)
    return standardised(split(directions * radii, labels))


def flipped(splits: Splits, share: float, classes: int) -> Splits:
    """A share of the labels of every split, exactly, replaced by another class."""
    parts = []
    for number, part in enumerate(splits):
        labels = part[-1]
        wrong = torch.randperm(len(labels), generator=generator(100 + number)) < share * len(labels)
        others = torch.randint(1, classes, labels.shape, generator=generator(200 + number))
        parts.append((*part[:-1], torch.where(wrong, (labels + others) % classes, labels)))
    return Splits(*parts)


def blobs(sizes: tuple[int, ...], *, features: int = 5, apart: float = 2.0, seed: int = 0) -> Splits:
    """One Gaussian cluster of the given size for each class."""
    labels = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    centres = apart * normal(len(sizes), features, seed=seed)
    return split(centres[labels] + normal(len(labels), features, seed=seed + 1), labels)


def pulses(rows: int = 1000, *, length: int = 16, seed: int = 0) -> Splits:
    """Noisy sequences `[N, length, 2]` with a pulse in each channel; the class: which pulse came first."""
    times = torch.argsort(uniform(0, 1, rows, length, seed=seed), dim=1)[:, :2]
    sequences = 0.3 * normal(rows, length, 2, seed=seed + 1)
    sequences.scatter_add_(1, times.unsqueeze(1), torch.full((rows, 1, 2), 3.0))
    return split(sequences, (times[:, 0] < times[:, 1]).long())


def oscillations(rows: int = 800, *, length: int = 20, seed: int = 0) -> Splits:
    """Noisy sine waves `[N, length, 1]` of any frequency and phase; the target `[N, 1]` comes next."""
    frequency, phase = uniform(0.3, 0.9, rows, 1, seed=seed), uniform(0, 2 * math.pi, rows, 1, seed=seed + 1)
    waves = torch.sin(frequency * torch.arange(length + 1.0) + phase)
    return split((waves + 0.1 * normal(rows, length + 1, seed=seed + 2))[:, :-1, None], waves[:, -1:])


def needles(rows: int = 1200, *, length: int = 8, words: int = 12, seed: int = 0) -> Splits:
    """Sentences `[N, length]` of filler words, and the words 1 and 2; the class: which of them is first."""
    places = torch.argsort(uniform(0, 1, rows, length, seed=seed), dim=1)[:, :2]
    sentences = torch.randint(3, words, (rows, length), generator=generator(seed + 1))
    sentences.scatter_(1, places, torch.tensor([[1, 2]]).expand(rows, 2))
    return split(sentences, (places[:, 0] < places[:, 1]).long())


def reviews(rows: int = 1200, *, length: int = 10, words: int = 30, seed: int = 0) -> Splits:
    """Sentences `[N, length]` of words that each speak for or against; the class is the majority's."""
    sentences = torch.randint(words, (rows, length), generator=generator(seed))
    opinion = normal(words, seed=seed + 1)
    return split(sentences, (opinion[sentences].sum(1) > opinion.mean() * length).long())


def counts(rows: int = 1500, *, seed: int = 0) -> Splits:
    """Numbers of events `[N, 1]` whose rate depends on three features."""
    inputs = normal(rows, 3, seed=seed)
    rates = torch.exp(1 + 0.3 * inputs[:, :1] + 0.5 * torch.sin(2 * inputs[:, 1:2]))
    events = np.random.default_rng(seed).poisson(rates.numpy())
    return split(inputs, torch.tensor(events, dtype=torch.float32))
