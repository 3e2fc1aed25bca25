"""DropConnect: single weights are left out while training, not whole units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from torch import nn
from torch.nn import functional

from unstuck.edits.passes import with_checked_edit
from unstuck.edits.structure import AFFINE
from unstuck.edits.tracing import trace
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup

_HELD: Final = "weight_held_back"
"""Attribute of a layer that keeps its whole weight while a part of it runs."""


def with_dropped_weights(setup: Setup, p: float) -> Setup:
    """Leave out a share of the weights of every affine layer but the first, drawn anew at each training step.

    L. Wan et al., "Regularization of neural networks using DropConnect", 2013. What is left is scaled by 1 / (1 − p),
    so that evaluation takes the whole weights as they are.

    Args:
        setup: What is trained.
        p: Share of the weights that is left out, in (0, 1).

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the model has no affine layer behind another.
    """
    record = trace(setup)
    affine = list(dict.fromkeys(call.name for call in record.calls if isinstance(call.module, AFFINE)))
    names = affine[1:]
    if not names:
        raise RemedyError("the model has no affine layer behind another whose weights could be left out")

    def apply(model: nn.Module) -> nn.Module:
        for name in names:
            layer = model.get_submodule(name)
            layer.register_forward_pre_hook(_Thin(p))
            layer.register_forward_hook(_Restore(), always_call=True)
        return model

    edit = Edit("weights left out", "none", f"{p:g} of {', '.join(names)}, at each step anew", apply)
    return with_checked_edit(setup, edit, "weights could not be left out")


@final
@dataclass(frozen=True)
class _Thin:
    p: float

    def __call__(self, layer: nn.Module, inputs: Any) -> None:
        weight = layer._parameters.get("weight")
        if layer.training and weight is not None:
            layer.__dict__[_HELD] = weight
            # The layer reads its weight by name: for the length of one call it finds the thinned one there.
            layer._parameters["weight"] = functional.dropout(weight, self.p)  # type: ignore[assignment]


@final
@dataclass(frozen=True)
class _Restore:
    def __call__(self, layer: nn.Module, inputs: Any, output: Any) -> None:
        held = layer.__dict__.pop(_HELD, None)
        if held is not None:
            layer._parameters["weight"] = held
