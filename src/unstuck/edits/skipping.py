"""Shallower versions of a deep network, and skip connections in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from torch import Tensor, nn

from unstuck.edits.graph import family
from unstuck.edits.insertion import put
from unstuck.edits.passes import with_checked_edit
from unstuck.edits.structure import AFFINE, HIDDEN_ACTIVATIONS
from unstuck.edits.tracing import LeafCall, Trace, trace
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup

NORMS: Final = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LayerNorm", "GroupNorm")


@final
@dataclass(frozen=True)
class _Skip:
    """Adds what a layer was given to a small share of what it gives."""

    share: float

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        given = inputs[0]
        assert isinstance(given, Tensor)  # only layers of one tensor are chosen
        return given + self.share * output


def halve_depth(setup: Setup) -> Setup:
    """Leave out every second of the hidden layers that are as wide as what feeds them, with norm and activation.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there are fewer than two such layers, or skip connections already lead past them.
    """
    record = trace(setup)
    even = _even_layers(record)
    if len(even) < 2:
        raise RemedyError("it has no two hidden layers as wide as what feeds them, of which one could be left out")
    dropped = even[1::2]
    names = tuple(name for layer in dropped for name in (layer, *_attached(record, layer)))

    def apply(model: nn.Module) -> nn.Module:
        for name in names:
            model = put(model, name, nn.Identity())
        return model

    edit = Edit("model: every second hidden layer", f"{len(even)} layers of equal width", "left out", apply)
    return with_checked_edit(setup, edit, "its layers could not be left out")


def insert_skips(setup: Setup) -> Setup:
    """Lead what feeds each hidden layer past it, where it is as wide as what it gives (He et al. 2016).

    What the layer gives is divided by the root of the number of such layers, so that the sum of all keeps the scale of
    one (Zhang, Dauphin and Ma 2019).

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no such layer, or skip connections are there already.
    """
    even = _even_layers(trace(setup))
    if not even:
        raise RemedyError("it has no hidden layer as wide as what feeds it, past which a skip could lead")

    share = len(even) ** -0.5

    def apply(model: nn.Module) -> nn.Module:
        for name in even:
            model.get_submodule(name).register_forward_hook(_Skip(share))
        return model

    edit = Edit(f"model: past {', '.join(even)}", "nothing", "skip connections", apply)
    return with_checked_edit(setup, edit, "no skip connections could be put in")


def _even_layers(record: Trace) -> tuple[str, ...]:
    """Hidden affine layers that run once and give the shape that they are given, in order; none in a residual net."""
    graph = record.graph
    if any(family(node) == "Add" and len(graph.data_parents(node)) > 1 for node in graph.order):
        raise RemedyError("skip connections lead past its layers already")
    affine = [call for call in record.calls if isinstance(call.module, AFFINE)]
    return tuple(
        call.name
        for call in affine[:-1]
        if call.input_shape == call.output_shape and record.times(call.name) == 1 and len(call.output_shape) > 1
    )


def _attached(record: Trace, layer: str) -> tuple[str, ...]:
    """The norm and the activation modules that run right behind a layer, each once."""
    calls: list[LeafCall] = record.calls
    start = next(number for number, call in enumerate(calls) if call.name == layer)
    found = []
    for call in calls[start + 1 :]:
        belongs = isinstance(call.module, HIDDEN_ACTIVATIONS) or type(call.module).__name__ in NORMS
        if not belongs or record.times(call.name) != 1:
            break
        found.append(call.name)
    return tuple(found)
