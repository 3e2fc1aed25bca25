"""Deeper networks: further layers of the same width behind the hidden ones, or blocks in front of linear ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from torch import Tensor, nn

from unstuck.edits.insertion import insert_before, insert_behind
from unstuck.edits.passes import with_checked_edit
from unstuck.edits.structure import Layer, read_structure
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup

KINDS: Final = ("Linear", "Conv2d")


def deepened(setup: Setup, count: int, activation: Callable[[], nn.Module]) -> Setup:
    """Put further layers behind each hidden one that an activation follows, an activation before each of them.

    Args:
        setup: What is trained.
        count: Layers behind each.
        activation: Makes the activation.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no hidden affine layer with an activation.
    """
    hidden = {
        layer.name: layer
        for layer in read_structure(setup).layers
        if layer.followed_by is not None and layer.kind in KINDS
    }
    if not hidden:
        raise RemedyError("no affine layer is followed by an activation, so there is nothing to deepen")

    def apply(model: nn.Module) -> nn.Module:
        for name, layer in hidden.items():
            blocks = [module for _ in range(count) for module in (activation(), _alike(layer))]
            insert_behind(model.get_submodule(name), "deeper", nn.Sequential(*blocks))
        return model

    edit = Edit(f"model: behind {', '.join(hidden)}", "", f"{count} further layers each", apply)
    return with_checked_edit(setup, edit, "no layers could be put in")


def _alike(layer: Layer) -> nn.Module:
    if layer.kind == "Conv2d":
        return nn.Conv2d(layer.output_shape[1], layer.output_shape[1], 3, padding=1)
    return nn.Linear(layer.output_shape[-1], layer.output_shape[-1])


@final
class ResidualBlock(nn.Module):
    """A hidden layer with a skip connection around it, which begins as the identity (H. Zhang et al., 2019).

    Args:
        size: Of what goes in and out, `[…, size]`.
        hidden: Units between.
    """

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.wide, self.back = nn.Linear(size, hidden), nn.Linear(hidden, size)
        nn.init.zeros_(self.back.weight)
        nn.init.zeros_(self.back.bias)

    def forward(self, values: Tensor) -> Tensor:
        """Add what the hidden layer makes, shape `[…, size]` to the same."""
        changed: Tensor = self.back(nn.functional.relu(self.wide(values)))
        return values + changed


def with_blocks(setup: Setup, hidden: int) -> Setup:
    """Put a residual block in front of each linear layer, so that even a linear model becomes a network.

    Args:
        setup: What is trained.
        hidden: Units of each block's hidden layer.

    Returns:
        The changed set-up; it begins as the function that it was.

    Raises:
        RemedyError: If no linear layer runs exactly once.
    """
    layers = [layer for layer in read_structure(setup).layers if layer.kind == "Linear"]
    names = [layer.name for layer in layers]
    sizes = {layer.name: layer.input_shape[-1] for layer in layers if names.count(layer.name) == 1}
    if not sizes:
        raise RemedyError("there is no linear layer in front of which a block could be put")

    def apply(model: nn.Module) -> nn.Module:
        for name, size in sizes.items():
            insert_before(model.get_submodule(name), "block", ResidualBlock(size, hidden))
        return model

    edit = Edit(f"model: in front of {', '.join(sizes)}", "", f"a hidden layer of {hidden} units", apply)
    return with_checked_edit(setup, edit, "no blocks could be put in")
