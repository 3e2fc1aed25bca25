"""Healthy set-ups whose test data differ, or seem to, without harm: what naive detectors of drift accuse."""

import torch
from torch import nn

from bench.bases import data
from bench.bases.nets import adam, adamw, batch_norm_perceptron, perceptron, set_up
from bench.programs.data import generator, normal
from unstuck import Setup


def brighter_test() -> Setup:
    """The test images are a little brighter, which any detector sees and the network does not mind."""
    splits = data.digits()
    pixels, labels = splits.test
    brighter = splits._replace(test=(1.05 * pixels + 0.02, labels))
    return set_up(brighter, lambda: perceptron(64, 64, 10), nn.CrossEntropyLoss(), adamw(3e-3, 0.1), epochs=12)


def test_from_the_middle() -> Setup:
    """The test inputs lie close to the middle, where the surface is known best."""
    splits = data.surface(2000, seed=400)
    inputs, heights = splits.test
    near = inputs.norm(dim=1) < 1.2
    return set_up(
        splits._replace(test=(inputs[near], heights[near])),
        lambda: perceptron(2, 32, 32, 1),
        nn.MSELoss(),
        adam(1e-2),
        epochs=25,
    )


def other_shares_apart() -> Setup:
    """One class is rare in the test data; the classes are told apart all the same."""
    splits = data.blobs((400, 400, 400), features=5, apart=3.0, seed=410)
    inputs, labels = splits.test
    kept = (labels != 0) | (torch.rand(len(labels), generator=generator(411)) < 0.15)
    return set_up(
        splits._replace(test=(inputs[kept], labels[kept])),
        lambda: perceptron(5, 16, 3),
        nn.CrossEntropyLoss(),
        adam(5e-3),
        epochs=15,
    )


def twenty_five_tested() -> Setup:
    """Twenty-five test samples: class shares and score stray by chance."""
    splits = data.blobs((400, 400, 400), features=4, apart=2.0, seed=420)
    few = splits._replace(test=tuple(part[:25] for part in splits.test))
    return set_up(few, lambda: perceptron(4, 12, 3), nn.CrossEntropyLoss(), adamw(5e-3, 0.1), epochs=12)


def sixty_features() -> Setup:
    """Sixty features, of which three differ by chance where each is tested at one in twenty."""
    inputs = normal(1500, 60, seed=430)
    targets = inputs[:, :3].sum(1, keepdim=True) / 3**0.5 + 0.5 * normal(1500, 1, seed=431)
    return set_up(data.split(inputs, targets), lambda: nn.Linear(60, 1), nn.MSELoss(), adam(1e-2), epochs=15)


def a_telling_feature() -> Setup:
    """One feature tells nearly everything, as it should, in the test data too."""
    inputs = normal(1200, 6, seed=440)
    labels = (inputs[:, 2] > 0).long()
    splits = data.split(inputs, labels)
    return set_up(splits, lambda: perceptron(6, 16, 2), nn.CrossEntropyLoss(), adam(5e-3), epochs=12)


def test_sorted_by_class() -> Setup:
    """The test samples come class by class, which running statistics of batch-norm do not mind."""
    splits = data.digits()
    pixels, labels = splits.test
    order = labels.argsort()
    return set_up(
        splits._replace(test=(pixels[order], labels[order])),
        lambda: batch_norm_perceptron(64, 64, 10),
        nn.CrossEntropyLoss(),
        adamw(3e-3, 0.3),
        epochs=12,
    )
