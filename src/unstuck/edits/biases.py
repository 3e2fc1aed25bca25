"""Moving biases so far that activations leave the range in which they respond (a fault)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from unstuck.edits.initialisation import REFUSAL
from unstuck.edits.passes import kept_buffers, sample, with_checked_edit
from unstuck.edits.structure import AFFINE, read_structure
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup
from unstuck.setup.batch import map_tensors

SAMPLES = 64
"""Training samples on which the spread of a layer's outputs is measured."""


def shift_biases(setup: Setup, families: frozenset[str], deviations: float, *, alternate: bool = False) -> Setup:
    """Move the biases in front of some activations by multiples of the spread of what they are added to.

    Args:
        setup: What is trained.
        families: Of the activations, such as "Relu".
        deviations: Standard deviations of the layer's output; below 0 for a shift down.
        alternate: Whether every other unit is moved the other way.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If no layer with a trainable bias is followed by such an activation without a norm between.
    """
    names = tuple(
        dict.fromkeys(
            layer.name
            for layer in read_structure(setup).layers
            if layer.followed_by in families and not layer.normalised
        )
    )
    with torch.random.fork_rng():
        model, _ = setup.build()
    names = tuple(name for name in names if _is_movable(model.get_submodule(name)))
    if not names:
        named = ", ".join(sorted(families))
        raise RemedyError(f"no layer with a bias is followed, without a norm between, by any of: {named}")
    batch = sample(setup, SAMPLES)

    def apply(model: nn.Module) -> nn.Module:
        shifts: dict[str, Tensor] = {}

        def see(name: str) -> Callable[..., None]:
            def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
                shifts.setdefault(name, output.detach().float().std())

            return hook

        place = next(iter(model.parameters())).device
        handles = [model.get_submodule(name).register_forward_hook(see(name), prepend=True) for name in names]
        try:
            with kept_buffers(model), torch.no_grad():
                setup.outputs(model, map_tensors(batch, lambda tensor: tensor.to(place)))
        finally:
            for handle in handles:
                handle.remove()
        with torch.no_grad():
            for name, shift in shifts.items():
                bias = model.get_submodule(name).bias
                assert isinstance(bias, Tensor)  # only such layers are chosen
                signs = torch.ones_like(bias)
                if alternate:
                    signs[1::2] = -1.0
                bias.add_(signs * (deviations * shift).to(bias.dtype))
        return model

    direction = "moved both ways" if alternate else "moved down" if deviations < 0.0 else "moved up"
    edit = Edit(f"bias of {', '.join(names)}", "as given", f"{direction} by {abs(deviations):g} deviations", apply)
    return with_checked_edit(setup, edit, REFUSAL)


def _is_movable(layer: nn.Module) -> bool:
    bias = getattr(layer, "bias", None)
    return isinstance(layer, AFFINE) and isinstance(bias, Tensor) and bias.requires_grad
