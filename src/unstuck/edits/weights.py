"""The weights of a model's layers: drawn as fits their activations, drawn each in its own way, scaled to unit variance.

All of it draws from the ambient random state and changes the model in place. Layers without a trainable parameter,
or with a parametrisation, keep theirs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from unstuck.edits.insertion import OPAQUE, leaves
from unstuck.edits.passes import kept_buffers
from unstuck.edits.structure import AFFINE
from unstuck.setup import Batch, Setup
from unstuck.setup.batch import map_tensors

LARGEST_ORTHOGONAL: Final = 1024
"""Smaller side up to which a matrix is drawn orthogonal: that costs its cube."""

RECTIFIERS: Final = frozenset("Relu LeakyRelu Gelu Silu Mish PreluKernel RreluWithNoise Hardswish Hardtanh".split())
EMBEDDINGS: Final = (nn.Embedding, nn.EmbeddingBag)


def trainable_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Leaf modules with a trainable parameter and no parametrisation, by name."""
    return {
        name: layer
        for name, layer in leaves(model).items()
        if any(parameter.requires_grad for parameter in layer.parameters()) and not hasattr(layer, "parametrizations")
    }


def draw_soundly(model: nn.Module, followers: Mapping[str, str | None]) -> None:
    """Draw all trainable layers as fits what follows them: orthogonal or He's where it is an activation, else Xavier's.

    Args:
        model: Changed in place.
        followers: Name of an affine layer → family of the activation behind it, None where there is none.
    """
    counts = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    for name, layer in trainable_layers(model).items():
        if isinstance(layer, AFFINE):
            _draw_affine(layer, followers.get(name), orthogonal=True)
        elif isinstance(layer, EMBEDDINGS):
            # A table that is also the weight of an affine layer must suit that one.
            tied = counts[id(layer.weight)] > 1
            nn.init.normal_(layer.weight, std=layer.embedding_dim**-0.5 if tied else 1.0)
            if layer.padding_idx is not None:
                with torch.no_grad():
                    layer.weight[layer.padding_idx].zero_()
        elif isinstance(layer, (nn.RNNBase, nn.RNNCellBase)):
            _draw_recurrent(layer)
        else:
            _reset(layer)


def draw_for_activations(model: nn.Module, followers: Mapping[str, str | None]) -> None:
    """Draw the trainable affine layers of a model as fits the activation that follows each.

    Args:
        model: Changed in place.
        followers: Name of a layer → family of that activation, None where there is none.
    """
    for name, layer in trainable_layers(model).items():
        if isinstance(layer, AFFINE):
            _draw_affine(layer, followers.get(name), orthogonal=False)


def draw_by_default(model: nn.Module) -> None:
    """Draw all trainable layers anew, each in its own default way; loose parameters as `nn.Linear` draws its weights.

    Args:
        model: Changed in place.
    """
    for layer in trainable_layers(model).values():
        if not _reset(layer):
            _kaiming(layer.parameters(recurse=False))
    loose = [m for m in model.modules() if any(True for _ in m.children()) and not isinstance(m, OPAQUE)]
    for module in loose:
        _kaiming(module.parameters(recurse=False))


def sound_deviation(weight: Tensor, follower: str | None) -> float:
    """Standard deviation of the weights that He's draw (behind it a rectifier) or Xavier's gives such a layer.

    Args:
        weight: Of an affine layer.
        follower: Family of the activation that follows.

    Returns:
        √(2 / fan-in) (He et al. 2015) or √(2 / (fan-in + fan-out)) (Glorot and Bengio 2010).
    """
    receptive = weight[0][0].numel() if weight.dim() > 2 else 1
    fan_in, fan_out = weight.shape[1] * receptive, weight.shape[0] * receptive
    return math.sqrt(2.0 / fan_in if follower in RECTIFIERS else 2.0 / (fan_in + fan_out))


def scale_to_unit_variance(setup: Setup, model: nn.Module, batch: Batch, names: tuple[str, ...]) -> None:
    """Scale layers so that their outputs have unit variance (Mishkin and Matas, 2016).

    They are scaled in the order in which they run, all in one pass: without biases a layer scales like its weight.

    Args:
        setup: Tells how the model is called.
        model: Changed in place.
        batch: Samples on which the variance is measured.
        names: Of the affine layers that are scaled.
    """
    modes = {module: module.training for module in model.modules()}
    frozen = {id(parameter) for parameter in model.parameters() if not parameter.requires_grad}
    done: set[nn.Module] = set()

    def scale(module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        deviation = output.float().std()
        weight = module.weight
        assert isinstance(weight, Tensor)  # affine layers have one
        if module in done or id(weight) in frozen or not 1e-12 < float(deviation) < 1e12:
            return None
        done.add(module)
        weight.div_(deviation.to(weight.dtype))
        return output / deviation.to(output.dtype)

    layers = [model.get_submodule(name) for name in names]
    handles = [layer.register_forward_hook(scale, prepend=True) for layer in layers if layer in modes]
    place = next(iter(model.parameters())).device
    try:
        for module in model.modules():
            module.training = "Norm" in type(module).__name__  # without dropout, but with the batch's statistics
        with kept_buffers(model), torch.no_grad():
            setup.outputs(model, map_tensors(batch, lambda tensor: tensor.to(place)))
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes.items():
            module.training = training


def _reset(layer: nn.Module) -> bool:
    """Draw a layer in its own default way; whether it has one."""
    reset: Any = getattr(layer, "reset_parameters", None) or getattr(layer, "_reset_parameters", None)
    if not callable(reset):
        return False
    reset()
    return True


def _kaiming(parameters: Iterable[nn.Parameter]) -> None:
    for parameter in parameters:
        if parameter.requires_grad and parameter.dim() > 1:
            nn.init.kaiming_uniform_(parameter, a=math.sqrt(5))


def _draw_affine(layer: nn.Module, follower: str | None, *, orthogonal: bool) -> None:
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)  # affine layers have one
    small = min(weight.shape[0], weight[0].numel()) <= LARGEST_ORTHOGONAL
    if follower is None or not orthogonal or not small:
        if follower in RECTIFIERS:
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
        else:
            nn.init.xavier_normal_(weight)
    else:
        nn.init.orthogonal_(weight, math.sqrt(2.0) if follower in RECTIFIERS else 1.0)
    if isinstance(bias, Tensor):
        nn.init.zeros_(bias)


def _draw_recurrent(layer: nn.Module) -> None:
    """Each gate by itself: Xavier's way from the input, orthogonal from the state, forget gates open."""
    for name, parameter in layer.named_parameters(recurse=False):
        gates = {"LSTM": 4, "LSTMCell": 4, "GRU": 3, "GRUCell": 3}.get(type(layer).__name__, 1)
        if parameter.dim() < 2:
            nn.init.zeros_(parameter)
            if gates == 4 and name.startswith("bias_ih"):
                with torch.no_grad():
                    parameter.chunk(4)[1].fill_(1.0)
            continue
        draw: Callable[[Tensor], Any] = nn.init.orthogonal_ if "_hh" in name else nn.init.xavier_uniform_
        parts = (parameter,) if "_hr" in name else parameter.detach().chunk(gates)
        for part in parts:
            draw(part)
