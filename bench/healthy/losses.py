"""Healthy set-ups whose loss or last activation naive tools accuse."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.bases import data
from bench.bases.nets import adam, adamw, cosine, perceptron, set_up, sgd
from bench.programs.data import generator, normal
from unstuck import Setup


def label_smoothing() -> Setup:
    """The loss cannot fall below 0.54, and need not."""
    return set_up(
        data.digits(),
        lambda: perceptron(64, 64, 10),
        nn.CrossEntropyLoss(label_smoothing=0.1),
        adam(5e-3),
        epochs=20,
    )


def focal(outputs: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy that all but ignores what is easy."""
    losses = cross_entropy(outputs, targets, reduction="none")
    return ((1 - torch.exp(-losses)) ** 2 * losses).mean()


def focal_loss() -> Setup:
    splits = data.blobs((900, 100), features=5, apart=1.5, seed=130)
    return set_up(splits, lambda: perceptron(5, 16, 2), focal, adam(5e-3), epochs=20)


def sigmoid_and_bce() -> Setup:
    """A sigmoid belongs before BCELoss."""
    splits = data.columns(data.shells(classes=2, seed=140))
    return set_up(
        splits, lambda: nn.Sequential(*perceptron(4, 32, 1), nn.Sigmoid()), nn.BCELoss(), adam(1e-2), epochs=20
    )


def nll_of_log(outputs: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of probabilities."""
    return nn.functional.nll_loss(torch.log(outputs + 1e-8), targets)


def softmax_and_nll() -> Setup:
    """A softmax belongs before a loss that takes the logarithm itself."""
    splits = data.shells(seed=150)
    return set_up(
        splits, lambda: nn.Sequential(*perceptron(4, 32, 3), nn.Softmax(dim=1)), nll_of_log, adam(1e-2), epochs=20
    )


def several_labels() -> Setup:
    """Each sample has any of four labels."""
    inputs = normal(1200, 6, seed=165)
    labels = (inputs[:, :4] * inputs[:, 1:5] + 0.5 * inputs[:, 2:6] > 0).float()
    return set_up(
        data.split(inputs, labels), lambda: perceptron(6, 48, 4), nn.BCEWithLogitsLoss(), adam(1e-2), epochs=30
    )


def poisson() -> Setup:
    """Counts: the loss is negative and far from 0."""
    return set_up(
        data.counts(),
        lambda: nn.Sequential(*perceptron(3, 32, 1), nn.Softplus()),
        nn.PoissonNLLLoss(log_input=False),
        adam(1e-2),
        epochs=30,
    )


def gaussian(outputs: Tensor, targets: Tensor) -> Tensor:
    """Two outputs for each target: the mean and the logarithm of the variance."""
    mean, log_variance = outputs[:, :1], outputs[:, 1:]
    return 0.5 * (log_variance + (targets - mean) ** 2 * torch.exp(-log_variance)).mean()


def gaussian_likelihood() -> Setup:
    """Targets of little noise: the loss ends below 0."""
    splits = data.surface(1500, seed=170)
    return set_up(
        splits, lambda: perceptron(2, 32, 32, 2), gaussian, adam(1e-2), epochs=25, batch_size=64, scheduler=cosine(25)
    )


def class_weights() -> Setup:
    """The rarer class counts three times."""
    splits = data.blobs((1200, 400), features=4, apart=1.3, seed=180)
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0]))
    return set_up(splits, lambda: perceptron(4, 4, 2), loss, adamw(5e-3, 0.1), epochs=15)


def huber_on_heavy_tails() -> Setup:
    """Noise with 2 degrees of freedom: a few residuals are huge, and the loss knows."""
    splits = data.linear(1200, 6, noise=0.0, seed=190)
    parts = []
    for number, (inputs, targets) in enumerate(splits):
        tails = normal(len(inputs), 2, seed=200 + number)
        noise = normal(len(inputs), 1, seed=210 + number) / tails.square().mean(1, keepdim=True).sqrt()
        parts.append((inputs, targets + 0.2 * noise))
    return set_up(
        data.Splits(*parts), lambda: perceptron(6, 8, 1), nn.HuberLoss(delta=0.5), adamw(5e-3, 0.1), epochs=15
    )


def shares() -> Setup:
    """A sigmoid output for targets between 0 and 1, with squared error."""
    splits = data.surface(seed=220)
    between = data.Splits(*((inputs, torch.sigmoid(heights)) for inputs, heights in splits))
    return set_up(
        between,
        lambda: nn.Sequential(*perceptron(2, 32, 32, 1), nn.Sigmoid()),
        nn.MSELoss(),
        adam(1e-2),
        epochs=30,
    )


def positive() -> Setup:
    """A softplus output for targets above 0."""
    splits = data.surface(seed=230)
    above = data.Splits(*((inputs, torch.exp(0.5 * heights)) for inputs, heights in splits))
    return set_up(
        above,
        lambda: nn.Sequential(*perceptron(2, 32, 32, 1), nn.Softplus()),
        nn.MSELoss(),
        adam(1e-2),
        epochs=30,
    )


def flat_outputs() -> Setup:
    """Outputs and targets are both `[N]`."""
    splits = data.Splits(*((inputs, targets.squeeze(1)) for inputs, targets in data.friedman(seed=3)))
    return set_up(
        splits,
        lambda: nn.Sequential(*perceptron(10, 32, 32, 1), nn.Flatten(0)),
        nn.MSELoss(),
        adamw(3e-3, 0.1),
        epochs=25,
    )


def squared_error_on_one_hot() -> Setup:
    """A least-squares classifier: unusual, and as good as the usual one here."""
    splits = data.blobs((300, 300, 300), features=6, seed=240)

    def squared(outputs: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.mse_loss(outputs, nn.functional.one_hot(labels, 3).float())

    return set_up(splits, lambda: perceptron(6, 16, 3), squared, sgd(0.1, 0.9), epochs=15)


def soft_labels() -> Setup:
    """Targets are probabilities `[N, 3]`: cross-entropy ends at their entropy, not at 0."""
    splits = data.shells(seed=250)
    noise = generator(260)

    def softened(labels: Tensor) -> Tensor:
        votes = 4 * nn.functional.one_hot(labels, 3) + torch.randn(len(labels), 3, generator=noise)
        return torch.softmax(votes, dim=1)

    parts = ((inputs, softened(labels)) for inputs, labels in splits)
    return set_up(data.Splits(*parts), lambda: perceptron(4, 32, 3), nn.CrossEntropyLoss(), adam(1e-2), epochs=20)
