"""Drawing weights: soundly, anew, or (a fault) all alike.

Every edit draws from the ambient random state when the model is made, so that each seed starts from other
weights and the same seed from the same ones. Layers without a trainable parameter keep theirs.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from unstuck.edits.insertion import OPAQUE
from unstuck.edits.passes import sample, with_checked_edit
from unstuck.edits.structure import AFFINE, Structure, structure_of
from unstuck.edits.tracing import Trace, trace
from unstuck.edits.weights import (
    draw_by_default,
    draw_for_activations,
    draw_soundly,
    scale_to_unit_variance,
    trainable_layers,
)
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup

SAMPLES: Final = 64
"""Training samples on which variances are brought to one."""

REFUSAL: Final = "the weights could not be drawn anew"


def initialise_soundly(setup: Setup) -> Setup:
    """Draw all weights as fits their activations, then bring each layer's output variance to one.

    Orthogonal matrices (He's where they are large) for layers followed by an activation, Xavier's for the others,
    biases 0, norms reset, recurrent weights orthogonal; then layer-sequential unit variance (Mishkin and Matas,
    2016) on a batch of training data, for affine layers but the last. Standardise the inputs before it.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the model has no trainable layer that can be drawn anew.
    """
    record = trace(setup)
    structure = structure_of(record)
    _require_layers(record)
    followers = _followers(structure)
    affine = [call.name for call in record.calls if isinstance(call.module, AFFINE)]
    drawn = trainable_layers(record.model)
    scaled = tuple(dict.fromkeys(name for name in affine if name != affine[-1] and name in drawn))
    batch = sample(setup, SAMPLES)

    def apply(model: nn.Module) -> nn.Module:
        draw_soundly(model, followers)
        scale_to_unit_variance(setup, model, batch, scaled)
        return model

    edit = Edit("initial weights", "as given", "orthogonal, He or Xavier, with unit variance in every layer", apply)
    return with_checked_edit(setup, edit, REFUSAL)


def initialise_for_activations(setup: Setup) -> Setup:
    """Draw affine layers as fits the activation that follows: He's way or Xavier's, without data.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the model has no trainable layer that can be drawn anew.
    """
    record = trace(setup)
    _require_layers(record)
    followers = _followers(structure_of(record))

    def apply(model: nn.Module) -> nn.Module:
        draw_for_activations(model, followers)
        return model

    edit = Edit("initial weights", "as given", "He or Xavier, as fits each activation", apply)
    return with_checked_edit(setup, edit, REFUSAL)


def draw_initialisation(setup: Setup) -> Setup:
    """Draw all weights anew, each layer in its own default way.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the model has no trainable layer that can be drawn anew.
    """
    _require_layers(trace(setup))

    def apply(model: nn.Module) -> nn.Module:
        draw_by_default(model)
        return model

    edit = Edit("initial weights", "as given", "drawn at random", apply)
    return with_checked_edit(setup, edit, REFUSAL)


def make_units_equal(setup: Setup, value: float | None = None) -> Setup:
    """Give all units of a layer equal weights: the fault of a symmetric initialisation.

    Args:
        setup: What is trained.
        value: Of every weight; one over the number of inputs where not given.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the model has no hidden layer, whose units could be equal.
    """
    record = trace(setup)
    kinds = (*AFFINE, nn.RNNBase, nn.RNNCellBase, *OPAQUE)
    if len({call.name for call in record.calls if isinstance(call.module, kinds)}) < 2:
        raise RemedyError("it has no hidden layer, so there are no units that could be equal")

    def apply(model: nn.Module) -> nn.Module:
        with torch.no_grad():
            for layer in trainable_layers(model).values():
                if isinstance(layer, kinds):
                    for parameter in layer.parameters():
                        fan = parameter[0].numel() if parameter.dim() > 1 else 0
                        parameter.fill_(0.0 if not fan else 1.0 / fan if value is None else value)
        return model

    after = "all alike, one over the number of inputs" if value is None else f"all {value:g}"
    return with_checked_edit(setup, Edit("initial weights", "as given", after, apply), REFUSAL)


def scale_weights(setup: Setup, factor: float) -> Setup:
    """Multiply the weights of all trainable affine layers but the last: the fault of a wrong initial scale.

    Layers with a norm behind them are left alone: it would undo their scale.

    Args:
        setup: What is trained.
        factor: Multiplies them.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no hidden layer.
    """
    record = trace(setup)
    affine = list(dict.fromkeys(call.name for call in record.calls if isinstance(call.module, AFFINE)))
    undone = {layer.name for layer in structure_of(record).layers if layer.normalised}
    names = [name for name in affine[:-1] if name in trainable_layers(record.model) and name not in undone]
    if not names:
        raise RemedyError("it has no hidden affine layer whose weights could be of a wrong scale")

    def apply(model: nn.Module) -> nn.Module:
        with torch.no_grad():
            for weight in {id(w): w for w in (model.get_submodule(name).weight for name in names)}.values():
                assert isinstance(weight, Tensor)  # affine layers have one
                weight.mul_(factor)
        return model

    edit = Edit("initial weights", "as given", f"times {factor:g} in all affine layers but the last", apply)
    return with_checked_edit(setup, edit, REFUSAL)


def _followers(structure: Structure) -> dict[str, str | None]:
    return {layer.name: layer.followed_by for layer in structure.layers}


def _require_layers(record: Trace) -> None:
    if not trainable_layers(record.model):
        raise RemedyError("no layer of the model has trainable weights that can be drawn anew")
