"""Three growers of Italian wine, told by 13 chemical measurements of very different size.

    unstuck diagnose examples/wine.py
    unstuck diagnose examples/wine.py:inputs_not_normalised

`setup` trains well: nearly every wine is told right. The functions after it each make one mistake that
people make with programs like this one.
"""

from collections.abc import Callable

import torch
from sklearn.datasets import load_wine
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler
from torch import nn

import unstuck


def perceptron() -> nn.Sequential:
    """One hidden layer of 16 units; three outputs, one score (logit) per grower."""
    return nn.Sequential(nn.Linear(13, 16), nn.ReLU(), nn.Linear(16, 3))


def all_zero_perceptron() -> nn.Sequential:
    """The same, every weight and bias set to zero by hand."""
    model = perceptron()
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    return model


def setup(model: Callable[[], nn.Module] = perceptron, standardise: bool = True) -> unstuck.Setup:
    """A small perceptron that tells the growers apart."""
    measurements, growers = load_wine(return_X_y=True)
    rows, test = train_test_split(range(len(growers)), test_size=0.25, stratify=growers, random_state=3)
    train, validation = train_test_split(rows, test_size=0.3, stratify=growers[rows], random_state=3)
    if standardise:
        measurements = StandardScaler().fit(measurements[train]).transform(measurements)
    inputs, targets = torch.tensor(measurements, dtype=torch.float32), torch.tensor(growers)
    return unstuck.Setup.of(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9, weight_decay=1e-2),
        train=(inputs[train], targets[train]),
        validation=(inputs[validation], targets[validation]),
        test=(inputs[test], targets[test]),
        epochs=40,
        batch_size=16,
    )


def inputs_not_normalised() -> unstuck.Setup:
    """Proline is about 750, hue is about 1: no one rate suits both."""
    return setup(standardise=False)


def symmetric_initialisation() -> unstuck.Setup:
    """All weights start at zero, and hidden units that start alike stay alike."""
    return setup(model=all_zero_perceptron)


FAULTS = {
    "inputs_not_normalised": "DAT001",
    "symmetric_initialisation": "OPT011",
}
