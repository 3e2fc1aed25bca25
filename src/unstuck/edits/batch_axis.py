"""The axis of the samples: layers that take it to be another one, and calls that move it."""

from __future__ import annotations

from typing import Any, Final

from torch import Tensor, nn

from unstuck.edits.calls import NumberedCall, numbered_calls, with_calls_answered
from unstuck.edits.insertion import insert_behind, leaves, put
from unstuck.edits.passes import with_checked_edit
from unstuck.edits.structure import AFFINE, layer_exits
from unstuck.edits.tracing import trace
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup
from unstuck.setup.randomness import isolated

SEQUENTIAL: Final = (nn.RNNBase, nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
"""Layers that take the samples as their second axis, unless told otherwise."""

VIEWS: Final = frozenset({"view", "reshape"})
SAMPLES: Final = 13
"""Samples that views are looked at on: no usual size of another axis."""


def with_batch_first(setup: Setup, first: bool) -> Setup:
    """Let recurrent and attention layers take the samples as their first axis, or as their second.

    Args:
        setup: What is trained.
        first: Whether as their first.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no layer that takes them otherwise.
    """
    with isolated(setup.seed):
        model, _ = setup.build()
    names = [name for name, module in model.named_modules() if _takes(module, not first)]
    if not names:
        raise RemedyError(f"no recurrent or attention layer has batch_first={not first}")

    def apply(model: nn.Module) -> nn.Module:
        for name in names:
            module: Any = model.get_submodule(name)
            module.batch_first = first
        return model

    edit = Edit(f"model.{names[0]}", f"batch_first={not first}", f"batch_first={first}", apply)
    return with_checked_edit(setup, edit, "the layer could not take its samples along another axis")


def _takes(module: Any, first: bool) -> bool:
    return isinstance(module, SEQUENTIAL) and getattr(module, "batch_first", first) is first


def transpose_for_view(setup: Setup) -> Setup:
    """Swap the first two axes where the forward makes a view of the swapped shape, which tears the samples apart.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no such view.
    """
    found = [call for call in numbered_calls(setup, VIEWS, SAMPLES) if _swaps(call)]
    if not found:
        raise RemedyError("the forward makes no view whose first two axes have changed places")
    words = "view of the axes in another order", "transpose(0, 1)"
    return with_calls_answered(setup, VIEWS, found, lambda tensor: tensor.transpose(0, 1), words)


def _swaps(call: NumberedCall) -> bool:
    before, after = call.shape, call.made
    return len(before) > 1 and before[0] != before[1] and after == (before[1], before[0], *before[2:])


class TornSamples(nn.Module):
    """A view of `[F, N]` where a transpose was meant, and back: every sample gets parts of several."""

    def forward(self, values: Tensor) -> Tensor:
        """Features of all samples in a wrong order, `[N, …]`."""
        rows = values.reshape(len(values), -1)
        return rows.reshape(rows.shape[1], rows.shape[0]).T.reshape(values.shape)


def tear_samples(setup: Setup) -> Setup:
    """Tear the samples apart behind the first hidden layer.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no hidden affine layer.
    """
    record = trace(setup)
    calls = [call for call in layer_exits(record).values() if isinstance(call.module, AFFINE)]
    hidden = [call.name for call in calls if record.times(call.name) == 1][:-1]
    if not hidden:
        raise RemedyError("there is no hidden linear or convolutional layer to tear samples apart behind")

    def apply(model: nn.Module) -> nn.Module:
        insert_behind(model.get_submodule(hidden[0]), "view", TornSamples())
        return model

    edit = Edit(f"model.{hidden[0]}", "as given", "followed by a view that tears samples apart", apply)
    return with_checked_edit(setup, edit, "no view could be put in")


def without_module(setup: Setup, name: str) -> Setup:
    """Leave a module out that has no weights and gives the shape that it takes.

    Args:
        setup: What is trained.
        name: Of the module.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no such module, or it has weights.
    """
    with isolated(setup.seed):
        model, _ = setup.build()
    module = leaves(model).get(name)
    if module is None or any(True for _ in module.parameters()):
        raise RemedyError(f"`{name}` is no module without weights, which could be left out")
    edit = Edit(f"model.{name}", repr(module), "left out", lambda model: put(model, name, nn.Identity()))
    return with_checked_edit(setup, edit, f"`{name}` could not be left out")
