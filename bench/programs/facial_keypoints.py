"""A Kaggle notebook on facial keypoints (also in DeepLocalize): the loss explodes.

9216-50-100-30 without activations, mean squared error, Adam at 0.1, batches of 32, 100 epochs, faces divided
by 255, 30 coordinates in [-1, 1]. Mended by SGD at 0.01 with Nesterov momentum and clipping, and 400 epochs.
Here: digits for faces, and where their ink lies for the keypoints: centre, spread and slant, and the same of
both halves; 30 epochs. The repaired rate is Adam's 0.001.
"""

import torch
from torch import Tensor, nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, digits, divided
from unstuck import Setup


def moments(images: Tensor) -> Tensor:
    """Centre, variances and covariance of the ink of images `[N, H, W]`, as `[N, 5]`."""
    ink = images.flatten(1) / images.flatten(1).sum(1, keepdim=True).clamp_min(1e-6)
    down, across = (torch.linspace(-1, 1, size) for size in images.shape[1:])
    places = torch.cartesian_prod(down, across)
    centre = ink @ places
    spread = ink @ places**2 - centre**2
    slant = ink @ places.prod(1, keepdim=True) - centre.prod(1, keepdim=True)
    return torch.cat([centre, spread, slant], dim=1)


def splits(repaired: Repaired) -> Splits:
    train, heldout = digits()
    inputs = torch.cat([train[0], heldout[0]])
    images = inputs.reshape(-1, 8, 8)
    parts = (images, images[:, :4], images[:, 4:], images[:, :, :4], images[:, :, 4:])
    return divided(inputs, torch.cat([moments(part) for part in parts], dim=1), 1000)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    between = nn.ReLU if "SET013" in repaired else nn.Identity
    rate = 0.001 if "OPT001" in repaired else 0.1
    return Setup.of(
        model=lambda: nn.Sequential(nn.Linear(64, 50), between(), nn.Linear(50, 100), between(), nn.Linear(100, 25)),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=rate),
        train=train,
        validation=heldout,
        epochs=30,
        batch_size=32,
    )


PROGRAM = Program(
    id="FacialKeypoints",
    source="Kaggle, facial keypoints",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET013", "OPT001"),
)
