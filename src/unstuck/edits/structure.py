"""The structure of a model as it runs: its layers in order, its last activation, what lies between layers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, final

from torch import nn
from torch.autograd.graph import Node

from unstuck.edits.graph import ACTIVATIONS, LINEAR, NORMS, POOLS, family
from unstuck.edits.tracing import FunctionCall, LeafCall, Trace, trace
from unstuck.setup import Setup

AFFINE: Final = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
RECURRENT: Final = (nn.RNNBase, nn.RNNCellBase)

HIDDEN_ACTIVATIONS: Final = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.RReLU,
    nn.ELU,
    nn.SELU,
    nn.CELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Sigmoid,
    nn.Tanh,
    nn.Hardtanh,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Softplus,
    nn.Softsign,
    nn.LogSigmoid,
    nn.Softshrink,
    nn.Hardshrink,
    nn.Tanhshrink,
    nn.Threshold,
)
OUTPUT_ACTIVATIONS: Final = (nn.Softmax, nn.LogSoftmax, nn.Softmax2d, nn.Softmin)


@final
@dataclass(frozen=True, slots=True)
class Layer:
    """One call of a leaf module.

    Attributes:
        name: Of the module, as in `named_modules`.
        kind: Its class, such as "Linear".
        input_shape: Shape of its first input, `[N, …]`.
        output_shape: Shape of its first output, before anything that an edit has put behind it.
        followed_by: Family of the activation that comes next behind an affine layer ("Relu", "Tanh", …),
            through linear operations, norms and pooling only; None where there is none.
        normalised: Whether a norm lies between it and that activation.
    """

    name: str
    kind: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    followed_by: str | None = None
    normalised: bool = False


@final
@dataclass(frozen=True, slots=True)
class FinalActivation:
    """The last operation that makes the outputs, views and constant factors left aside.

    Attributes:
        operation: As autograd calls it, such as "SoftmaxBackward0".
        layer: Name of the activation module that it comes from, or None where it is a function.
        function: Name of that function ("softmax"), also inside a module; None where it is not known.
        in_model: Whether it runs inside the model's own forward, not in the user's `forward` function.
    """

    operation: str
    layer: str | None
    function: str | None
    in_model: bool


@final
@dataclass(frozen=True, slots=True)
class Structure:
    """A model as it runs.

    Attributes:
        layers: In order of execution; a module that runs twice is there twice.
        final_activation: None where the outputs are affine in the last layer.
        affine_pairs: (first, second): affine layers of which the second takes nothing but linear functions of
            such firsts.
    """

    layers: tuple[Layer, ...]
    final_activation: FinalActivation | None
    affine_pairs: tuple[tuple[str, str], ...]


def read_structure(setup: Setup) -> Structure:
    """Run the set-up's model once on a few training samples and read its structure.

    Args:
        setup: What is trained.

    Returns:
        The structure.
    """
    return structure_of(trace(setup))


def structure_of(record: Trace) -> Structure:
    """The structure of what ran."""
    exits = layer_exits(record)
    layers = []
    for call in record.calls:
        affine = isinstance(call.module, AFFINE)
        follower, normalised = _follower(record, call, exits) if affine else (None, False)
        layers.append(
            Layer(
                call.name,
                type(call.module).__name__,
                call.input_shape,
                call.output_shape,
                follower,
                normalised,
            )
        )
    return Structure(tuple(layers), final_activation_of(record), affine_pairs_of(record))


def layer_exits(record: Trace) -> dict[Node, LeafCall]:
    """Node → the call of an affine, recurrent or attention layer that gave it."""
    kinds = (*AFFINE, *RECURRENT, nn.MultiheadAttention)
    return {node: call for call in record.calls if isinstance(call.module, kinds) for node in call.exits}


def final_call(record: Trace) -> FunctionCall | None:
    """The function call that made the last operation, where there is one."""
    node = record.graph.final() if record.outputs is not None else None
    return next((call for call in reversed(record.functions) if node is not None and call.node is node), None)


def final_activation_of(record: Trace) -> FinalActivation | None:
    """The last operation that makes the outputs, or None where it is linear or no outputs are known."""
    if record.outputs is None:
        return None
    node = record.graph.final()
    if node is None or node in layer_exits(record) or hasattr(node, "variable"):
        return None
    if record.graph.is_linear(node) or family(node).endswith("RnnLayer"):
        return None
    call = final_call(record)
    layer = None
    for leaf in record.calls:
        if node in leaf.exits and isinstance(leaf.module, (*HIDDEN_ACTIVATIONS, *OUTPUT_ACTIVATIONS)):
            layer = leaf.name
    return FinalActivation(node.name(), layer, call.name if call else None, call.inside if call else layer is not None)


def affine_pairs_of(record: Trace, *, through_pools: bool = False) -> tuple[tuple[str, str], ...]:
    """Pairs of affine layers with nothing non-linear between them, or nothing but the maximum over neighbours."""
    exits = layer_exits(record)
    pairs: dict[tuple[str, str], None] = {}
    for call in record.calls:
        if isinstance(call.module, AFFINE):
            for source in _affine_sources(record, call.entries, exits, POOLS if through_pools else frozenset()):
                pairs[source, call.name] = None
    return tuple(pairs)


def _affine_sources(
    record: Trace, start: Iterable[Node], exits: dict[Node, LeafCall], passed: frozenset[str]
) -> list[str]:
    """Affine layers of which some nodes are a linear function; none where anything else comes in too."""
    # A residual sum of a linear and a non-linear branch is thus no pair: nothing is missing there.
    found: dict[str, None] = {}
    stack, seen = list(start), set(start)
    while stack:
        node = stack.pop()
        if node in exits:
            if not isinstance(exits[node].module, AFFINE):
                return []
            found[exits[node].name] = None
            continue
        if record.graph.is_input(node) or family(node).startswith("Embedding") or hasattr(node, "variable"):
            continue
        if not record.graph.is_linear(node) and family(node) not in passed:
            return []
        new = [parent for parent in record.graph.data_parents(node) if parent not in seen]
        seen.update(new)
        stack.extend(new)
    return list(found)


def _follower(record: Trace, call: LeafCall, exits: dict[Node, LeafCall]) -> tuple[str | None, bool]:
    """The activation that comes next behind a layer, and whether a norm lies between."""
    queue: list[tuple[Node, bool]] = [(node, False) for node in call.exits[:1]]
    seen = {node for node, _ in queue}
    for node, normalised in queue:
        for consumer in record.graph.consumers.get(node, ()):
            kind = family(consumer)
            if kind in ACTIVATIONS:
                return kind, normalised
            if consumer in seen or consumer in exits or kind not in LINEAR | NORMS | POOLS:
                continue
            seen.add(consumer)
            queue.append((consumer, normalised or kind in NORMS))
    return None, False
