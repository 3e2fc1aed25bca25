"""Deeper networks: further layers of the same width behind the hidden ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from torch import nn

from unstuck.edits.insertion import insert_behind
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
