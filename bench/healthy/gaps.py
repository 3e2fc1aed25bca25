"""Healthy set-ups with a natural gap between training and held-out loss, or a loss whose floor is noise."""

from dataclasses import replace

import torch
from sklearn.datasets import load_diabetes, load_wine
from torch import nn

from bench.bases import data
from bench.bases.nets import adam, adamw, convolutional, perceptron, set_up, sgd
from bench.programs.data import normal
from unstuck import Setup


def diabetes_ceiling() -> Setup:
    """Ten measurements say half of how a disease goes on: R² of 0.5 is what anyone gets."""
    inputs, progress = load_diabetes(return_X_y=True)
    targets = torch.tensor((progress - progress.mean()) / progress.std(), dtype=torch.float32).unsqueeze(1)
    splits = data.standardised(data.split(torch.tensor(inputs, dtype=torch.float32), targets, test=0.25))
    return set_up(splits, lambda: perceptron(10, 16, 1), nn.MSELoss(), adamw(3e-3, 0.3), epochs=20)


def bayes_error_of_fifteen() -> Setup:
    """Two clusters 2.07 deviations apart: the best there is errs on 15 % of the samples."""
    labels = (torch.arange(2400) % 2).long()
    inputs = normal(2400, 6, seed=400)
    inputs[:, 0] += 2.073 * labels
    return set_up(
        data.split(inputs, labels), lambda: perceptron(6, 8, 2), nn.CrossEntropyLoss(), adamw(5e-3, 0.1), epochs=12
    )


def small_medical_table() -> Setup:
    """A hundred and twenty patients, thirty measurements."""
    splits = data.breast_cancer()
    few = splits._replace(train=tuple(part[:120] for part in splits.train))
    return set_up(few, lambda: perceptron(30, 8, 2), nn.CrossEntropyLoss(), adamw(5e-3, 0.3), epochs=25, batch_size=16)


def digits_stopped_in_time() -> Setup:
    """Half of the digits, and a run that ends where the validation loss levels off."""
    splits = data.digits()
    half = splits._replace(train=tuple(part[:540] for part in splits.train))
    return set_up(half, lambda: perceptron(64, 64, 10), nn.CrossEntropyLoss(), adam(3e-3), epochs=15)


def best_epoch_kept() -> Setup:
    """A tenth of the labels are wrong and the run goes on too long, but the weights of the best epoch are kept."""
    splits = data.flipped(data.shells(1800, features=3, seed=410), 0.1, 3)
    long = set_up(splits, lambda: perceptron(3, 24, 24, 3), nn.CrossEntropyLoss(), adam(5e-3), epochs=60, batch_size=64)
    return replace(long, early_stopping=True)


def wine_table() -> Setup:
    """A hundred wines of three growers: all told right, with a gap of a few hundredths."""
    inputs, grower = load_wine(return_X_y=True)
    splits = data.standardised(data.split(torch.tensor(inputs, dtype=torch.float32), torch.tensor(grower)))
    return set_up(splits, lambda: perceptron(13, 16, 3), nn.CrossEntropyLoss(), adamw(5e-3, 0.2), epochs=25)


def noisy_friedman() -> Setup:
    """A third of the variance is noise that no sample tells of."""
    splits = data.friedman(1800, noise=3.5, seed=7)
    return set_up(splits, lambda: perceptron(10, 16, 1), nn.MSELoss(), adamw(3e-3, 0.3), epochs=20)


def long_and_level() -> Setup:
    """Four times as long as it need, and the validation loss stays where it was."""
    return set_up(
        data.surface(1500, seed=430),
        lambda: perceptron(2, 16, 1, activation=nn.Tanh),
        nn.MSELoss(),
        adam(5e-3),
        epochs=90,
        batch_size=64,
    )


def dropout_behind_the_last_norm() -> Setup:
    """Batch-norm, then dropout, and no batch-norm behind it."""
    return set_up(
        data.digits(),
        lambda: nn.Sequential(nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(0.4), nn.Linear(64, 10)),
        nn.CrossEntropyLoss(),
        adam(3e-3),
        epochs=20,
    )


def large_batches() -> Setup:
    """Batches of 256 at a rate to match generalise as well as small ones."""
    return set_up(
        data.digits(images=True),
        lambda: convolutional(8),
        nn.CrossEntropyLoss(),
        sgd(0.1, 0.9, 1e-3),
        epochs=40,
        batch_size=256,
    )
