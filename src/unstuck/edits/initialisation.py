"""Drawing weights: soundly, anew, or (a fault) all alike.

Every edit draws from the ambient random state when the model is made, so that each seed starts from other
weights and the same seed from the same ones. Layers without a trainable parameter keep theirs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from unstuck.edits.insertion import OPAQUE, leaves
from unstuck.edits.passes import sample, with_checked_edit
from unstuck.edits.structure import AFFINE, Structure, structure_of
from unstuck.edits.tracing import Trace, trace
from unstuck.errors import RemedyError
from unstuck.setup import Batch, Edit, Setup
from unstuck.setup.batch import map_tensors

SAMPLES: Final = 64
"""Training samples on which variances are brought to one."""

LARGEST_ORTHOGONAL: Final = 1024
"""Smaller side up to which a matrix is drawn orthogonal: that costs its cube."""

RECTIFIERS: Final = frozenset("Relu LeakyRelu Gelu Silu Mish PreluKernel RreluWithNoise Hardswish Hardtanh".split())
EMBEDDINGS: Final = (nn.Embedding, nn.EmbeddingBag)
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
    drawn = _trainable(record.model)
    scaled = tuple(dict.fromkeys(name for name in affine if name != affine[-1] and name in drawn))
    batch = sample(setup, SAMPLES)

    def apply(model: nn.Module) -> nn.Module:
        _draw(model, followers)
        _unit_variance(setup, model, batch, scaled)
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


def draw_for_activations(model: nn.Module, followers: Mapping[str, str | None]) -> None:
    """Draw the trainable affine layers of a model as fits the activation that follows each.

    Args:
        model: Changed in place.
        followers: Name of a layer → family of that activation, None where there is none.
    """
    for name, layer in _trainable(model).items():
        if isinstance(layer, AFFINE):
            _draw_affine(layer, followers.get(name), orthogonal=False)


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
        for layer in _trainable(model).values():
            if not _reset(layer):
                _kaiming(layer.parameters(recurse=False))
        loose = [m for m in model.modules() if any(True for _ in m.children()) and not isinstance(m, OPAQUE)]
        for module in loose:
            _kaiming(module.parameters(recurse=False))
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
            for layer in _trainable(model).values():
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
    names = [name for name in affine[:-1] if name in _trainable(record.model) and name not in undone]
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


def _trainable(model: nn.Module) -> dict[str, nn.Module]:
    """Leaf modules with a trainable parameter and no parametrisation, by name."""
    return {
        name: layer
        for name, layer in leaves(model).items()
        if any(parameter.requires_grad for parameter in layer.parameters()) and not hasattr(layer, "parametrizations")
    }


def _require_layers(record: Trace) -> None:
    if not _trainable(record.model):
        raise RemedyError("no layer of the model has trainable weights that can be drawn anew")


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


def _draw(model: nn.Module, followers: Mapping[str, str | None]) -> None:
    counts = Counter(id(p) for _, p in model.named_parameters(remove_duplicate=False))
    for name, layer in _trainable(model).items():
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


def _unit_variance(setup: Setup, model: nn.Module, batch: Batch, names: tuple[str, ...]) -> None:
    """Scale layers in the order in which they run, all in one pass: without biases a layer scales like its weight."""
    modes = {module: module.training for module in model.modules()}
    kept = {name: buffer.clone() for name, buffer in model.named_buffers()}
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
        with torch.no_grad():
            setup.outputs(model, map_tensors(batch, lambda tensor: tensor.to(place)))
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes.items():
            module.training = training
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(kept[name])
