"""Healthy set-ups whose rate, schedule, batch or step naive tools accuse."""

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, StepLR

from bench.bases import data
from bench.bases.nets import adam, adamw, perceptron, set_up, sgd
from bench.programs.data import normal, uniform
from unstuck import Setup

Pair = tuple[Tensor, Tensor]


def momentum_at_a_tenth() -> Setup:
    return set_up(data.digits(), lambda: perceptron(64, 64, 10), nn.CrossEntropyLoss(), sgd(0.1, 0.9, 5e-4), epochs=20)


def rate_one() -> Setup:
    """A logistic regression on standardised features bears a rate of 1."""
    splits = data.columns(data.breast_cancer())
    return set_up(
        splits, lambda: nn.Linear(30, 1), nn.BCEWithLogitsLoss(), sgd(1.0, 0.0, 1e-2), epochs=15, batch_size=64
    )


def fast_adam() -> Setup:
    splits = data.shells(seed=30)
    return set_up(splits, lambda: perceptron(4, 32, 3), nn.CrossEntropyLoss(), adam(2e-2), epochs=20)


def tiny_rate() -> Setup:
    """Inputs of deviation 30 make 1e-4 the right rate."""
    splits = data.linear(800, 8, noise=0.3, spread=30.0, seed=40)
    return set_up(splits, lambda: nn.Linear(8, 1), nn.MSELoss(), sgd(1e-4), epochs=15)


def warm_up_and_cosine() -> Setup:
    """Five epochs up, fifteen down to zero; the first losses hardly move."""

    def factor(epoch: int) -> float:
        return (epoch + 1) / 6 if epoch < 5 else 0.5 * (1 + math.cos(math.pi * (epoch - 5) / 15))

    return set_up(
        data.digits(),
        lambda: perceptron(64, 64, 10),
        nn.CrossEntropyLoss(),
        adamw(5e-3, 0.1),
        epochs=20,
        scheduler=lambda optimizer: LambdaLR(optimizer, factor),
    )


def one_cycle() -> Setup:
    """A rate that changes with every batch, by a factor of 25 up and down."""
    splits = data.friedman(seed=1)
    return set_up(
        splits,
        lambda: perceptron(10, 32, 32, 1),
        nn.MSELoss(),
        adamw(1e-3, 0.1),
        epochs=20,
        scheduler=lambda optimizer: OneCycleLR(optimizer, max_lr=1e-2, total_steps=20 * 29),
    )


def drops_at_the_decays() -> Setup:
    """A high rate whose noise holds the loss up until each decay."""
    splits = data.friedman(seed=2)
    return set_up(
        splits,
        lambda: perceptron(10, 32, 32, 1),
        nn.MSELoss(),
        sgd(0.05, 0.9, 3e-3),
        epochs=24,
        scheduler=lambda optimizer: StepLR(optimizer, step_size=8, gamma=0.2),
    )


def four_at_a_time() -> Setup:
    """Batches of four: the loss of a batch tells little, their mean falls."""
    splits = data.shells(700, seed=50)
    return set_up(splits, lambda: perceptron(4, 32, 3), nn.CrossEntropyLoss(), sgd(0.1, 0.5), epochs=15, batch_size=4)


def full_batch() -> Setup:
    """One step an epoch."""
    splits = data.surface(seed=60)
    return set_up(splits, lambda: perceptron(2, 32, 32, 1), nn.MSELoss(), adam(2e-2), epochs=250, batch_size=600)


def accumulate(model: nn.Module, optimizer: Optimizer, batch: Pair) -> Tensor:
    """Gradients of four batches make one step."""
    inputs, targets = batch
    loss = nn.functional.cross_entropy(model(inputs), targets)
    (loss / 4).backward()
    batches = optimizer.param_groups[0].setdefault("batches", 0) + 1
    optimizer.param_groups[0]["batches"] = batches
    if batches % 4 == 0:
        optimizer.step()
        optimizer.zero_grad()
    return loss


def gradient_accumulation() -> Setup:
    splits = data.shells(seed=70)
    return set_up(
        splits,
        lambda: perceptron(4, 32, 3),
        nn.CrossEntropyLoss(),
        adam(2e-2),
        epochs=40,
        batch_size=16,
        train_step=accumulate,
    )


def clipped_step(model: nn.Module, optimizer: Optimizer, batch: Pair) -> Tensor:
    """The norm of the gradient is kept below 1."""
    inputs, targets = batch
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(inputs), targets)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss


def gradient_clipping() -> Setup:
    """One sample in fifty is far out: clipping acts on the batches that hold one."""
    inputs = normal(1000, 6, seed=80)
    inputs *= 1 + 7 * (uniform(0, 1, 1000, 1, seed=81) < 0.02).float()
    targets = inputs @ normal(6, 1, seed=82) + 0.5 * normal(1000, 1, seed=83)
    return set_up(
        data.split(inputs, targets),
        lambda: nn.Linear(6, 1),
        nn.MSELoss(),
        sgd(0.05),
        epochs=15,
        train_step=clipped_step,
    )


def summed_loss() -> Setup:
    """The loss is summed over the batch, and the rate is a thirty-second of what it would be."""
    splits = data.shells(seed=100)
    return set_up(
        splits,
        lambda: perceptron(4, 32, 3),
        nn.CrossEntropyLoss(reduction="sum"),
        sgd(0.2 / 32, 0.5),
        epochs=25,
    )


def no_momentum() -> Setup:
    """Plain SGD where the valley is round."""
    splits = data.blobs((300, 300, 300, 300), features=8, seed=110)
    return set_up(splits, lambda: perceptron(8, 16, 4), nn.CrossEntropyLoss(), sgd(0.1), epochs=15)


def rms_prop() -> Setup:
    splits = data.surface(seed=120)
    return set_up(
        splits,
        lambda: perceptron(2, 32, 32, 1),
        nn.MSELoss(),
        lambda parameters: torch.optim.RMSprop(parameters, lr=2e-3),
        epochs=30,
    )
