"""Moving what feeds a layer away from zero (a fault), or back around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from unstuck.edits.initialisation import REFUSAL
from unstuck.edits.insertion import PREFIX, insert_before
from unstuck.edits.passes import kept_buffers, sample, with_checked_edit
from unstuck.edits.structure import AFFINE
from unstuck.edits.tracing import trace
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup
from unstuck.setup.batch import map_tensors

SAMPLES: Final = 256
"""Training samples on which means and deviations are measured."""


@final
class Shift(nn.Module):
    """Adds a fixed vector, one number for each feature or channel; zero until it is set."""

    def __init__(self, axis: int) -> None:
        """Shift nothing yet.

        Args:
            axis: Of the features.
        """
        super().__init__()
        self.axis = axis
        self.register_buffer("by", torch.zeros(()))
        self.by: Tensor

    def forward(self, values: Tensor) -> Tensor:
        """Shape `[N, ...]` to the same."""
        if self.by.dim() == 0:
            return values
        shape = [1] * values.dim()
        shape[self.axis] = -1
        return values + self.by.to(values.dtype).reshape(shape)


def move_activations(setup: Setup, deviations: float) -> Setup:
    """Add a constant to all that feeds an affine layer behind the first: the fault of activations off centre.

    Args:
        setup: What is trained.
        deviations: The constant, in standard deviations of what feeds the layer.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no second layer.
    """

    def shift(rows: Tensor) -> Tensor:
        return torch.full_like(rows[0], deviations * float(rows.std()))

    return _shifted(setup, shift, f"moved up by {deviations:g} deviations")


def centre_activations(setup: Setup) -> Setup:
    """Subtract from what feeds each affine layer behind the first its mean at the start, feature by feature.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no second layer.
    """
    return _shifted(setup, lambda rows: -rows.mean(0), "less its mean at the start")


def _shifted(setup: Setup, shift: Callable[[Tensor], Tensor], after: str) -> Setup:
    affine = [call for call in trace(setup).calls if isinstance(call.module, AFFINE)]
    names = [name for name in dict.fromkeys(call.name for call in affine) if name != affine[0].name] if affine else []
    if not names:
        raise RemedyError("it has no second affine layer, which activations could feed")
    batch = sample(setup, SAMPLES)

    def apply(model: nn.Module) -> nn.Module:
        with kept_buffers(model):
            put = [_put(model.get_submodule(name)) for name in names]
            place = next(iter(model.parameters())).device
            measured: dict[Shift, Tensor] = {}

            def see(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
                assert isinstance(module, Shift)  # hooked on these only
                if module not in measured:
                    rows = output.detach().movedim(module.axis, -1)
                    measured[module] = shift(rows.reshape(-1, rows.shape[-1]).float())
                module.by = measured[module]
                return Shift.forward(module, output)  # so that the layers behind are measured on what they will get

            handles = [each.register_forward_hook(see) for each in put]
            try:
                with torch.no_grad():
                    setup.outputs(model, map_tensors(batch, lambda tensor: tensor.to(place)))
            finally:
                for handle in handles:
                    handle.remove()
        return model

    edit = Edit(f"model: what feeds {', '.join(names)}", "as given", after, apply)
    return with_checked_edit(setup, edit, REFUSAL)


def _put(layer: nn.Module) -> Shift:
    """Put a shift in front of a layer, and give it."""
    insert_before(layer, "shift", Shift(-1 if isinstance(layer, nn.Linear) else 1))
    added = [module for name, module in layer.named_children() if name.startswith(PREFIX) and isinstance(module, Shift)]
    return added[-1]
