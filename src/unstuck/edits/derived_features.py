"""Features that are computed from others by a fixed formula, and a layer that puts them beside the given ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, final

import torch
from torch import Tensor, nn

from unstuck.edits.insertion import insert_before
from unstuck.edits.passes import with_checked_edit
from unstuck.edits.resizing import resize, width
from unstuck.edits.tracing import trace
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup
from unstuck.setup.batch import floating_inputs
from unstuck.setup.data import gather

MOST: Final = 300
"""Derived features at most; more could be fitted to anything."""

OCTAVES: Final = 12
"""Multiples of the lowest frequency, whose period is four standard deviations."""

SAMPLES: Final = 2000
"""Training samples whose statistics the layer takes."""


def _products(values: Tensor) -> Tensor:
    first, second = torch.triu_indices(values.shape[1], values.shape[1])
    return values[:, first] * values[:, second]


def _logarithms(values: Tensor) -> Tensor:
    return values.abs().clamp_min(torch.finfo(values.dtype).eps ** 0.5).log()


def _ratios(values: Tensor) -> Tensor:
    safe = torch.where(values.abs() < 0.05, torch.where(values < 0.0, -0.05, 0.05).to(values.dtype), values)
    rows, columns = (~torch.eye(values.shape[1], dtype=torch.bool)).nonzero(as_tuple=True)
    return values[:, rows] / safe[:, columns]


def _waves(values: Tensor) -> Tensor:
    multiples = 0.5 * math.pi * torch.arange(1, OCTAVES + 1, device=values.device, dtype=values.dtype)
    angles = (values.unsqueeze(2) * multiples).flatten(1)
    return torch.cat([angles.sin(), angles.cos()], 1)


FORMULAS: Final[dict[str, tuple[Callable[[Tensor], Tensor], bool]]] = {
    "products and squares of the features": (_products, True),
    "sines and cosines of the features": (_waves, True),
    "logarithms of the features' size": (_logarithms, False),
    "ratios of the features": (_ratios, False),
}
"""Formula by name, and whether it takes the features standardised; else only divided by their deviation."""


@final
class Derived(nn.Module):
    """Puts derived features behind the given ones, `[N, D]` to `[N, D + E]`, each standardised.

    Args:
        inputs: Training inputs whose statistics it takes, `[M, D]`.
        formula: One of `FORMULAS`.

    Raises:
        RemedyError: If there would be too many, or none that differ from sample to sample.
    """

    def __init__(self, inputs: Tensor, formula: str) -> None:
        super().__init__()
        self.formula = formula
        function, centred = FORMULAS[formula]
        scale = inputs.std(0)
        scale = torch.where(scale > 0.0, scale, torch.ones_like(scale))
        self.register_buffer("middle", inputs.mean(0) if centred else torch.zeros_like(scale))
        self.register_buffer("scale", scale)
        made = function((inputs[:2] - self.middle) / self.scale)
        if not 0 < made.shape[1] <= MOST:
            raise RemedyError(f"there would be {made.shape[1]} {formula}")
        made = function((inputs - self.middle) / self.scale)
        spread = made.std(0)
        self.register_buffer("centre", made.mean(0))
        self.register_buffer("spread", torch.where(spread > 0.0, spread, torch.ones_like(spread)))

    middle: Tensor
    scale: Tensor
    centre: Tensor
    spread: Tensor

    def derive(self, inputs: Tensor) -> Tensor:
        """The derived features alone, `[N, E]`."""
        made = FORMULAS[self.formula][0]((inputs - self.middle) / self.scale)
        return (made - self.centre) / self.spread

    def forward(self, inputs: Tensor) -> Tensor:
        """Both, `[N, D + E]`."""
        return torch.cat([inputs, self.derive(inputs)], 1)


def with_derived_features(setup: Setup, formula: str) -> Setup:
    """Put a fixed layer in front of the first linear one that gives it derived features besides.

    Args:
        setup: What is trained.
        formula: One of `FORMULAS`.

    Returns:
        The changed set-up; the first layer is drawn anew.

    Raises:
        RemedyError: If the model does not begin with one linear layer on the inputs `[N, D]`.
    """
    record = trace(setup)
    first = next((call for call in record.calls if isinstance(call.module, nn.Linear)), None)
    inputs = next(iter(floating_inputs(gather(setup.train.head(SAMPLES)))), None)
    if first is None or inputs is None or inputs.dim() != 2:
        raise RemedyError("the model does not begin with a linear layer on a table of features")
    if first is not record.calls[0] or first.module.in_features != inputs.shape[1] or record.times(first.name) != 1:
        raise RemedyError("the model does not begin with a linear layer on a table of features")
    layer, name = Derived(inputs.detach().float(), formula), first.name
    sizes = inputs.shape[1] + len(layer.centre), width(first.module)

    def apply(model: nn.Module) -> nn.Module:
        host = model.get_submodule(name)
        resize(host, sizes)
        insert_before(host, "features", layer)
        return model

    edit = Edit(f"model: in front of {name}", "", f"{formula} ({len(layer.centre)})", apply)
    return with_checked_edit(setup, edit, "no features could be put in")
