"""The axis of the samples: layers that take it to be another one, and calls that move it."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from unstuck.edits.insertion import insert_behind, leaves, put
from unstuck.edits.interception import Interception, unchanged, with_interception
from unstuck.edits.passes import checked, forward, sample, with_checked_edit
from unstuck.edits.structure import AFFINE, layer_exits
from unstuck.edits.tracing import trace
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup
from unstuck.setup.randomness import isolated, one_thread

SEQUENTIAL: Final = (nn.RNNBase, nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
"""Layers that take the samples as their second axis, unless told otherwise."""

VIEWS: Final = frozenset({"view", "reshape"})


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
    found = _swapping_views(setup)
    if not found:
        raise RemedyError("the forward makes no view whose first two axes have changed places")
    in_model = all(inside is not None for _, inside in found)
    numbers = frozenset(inside if in_model and inside is not None else number for number, inside in found)
    plan = Interception(VIEWS, only=numbers, replacement=lambda tensor: tensor.transpose(0, 1))
    edit = Edit("model: view of the axes in another order", "view", "transpose(0, 1)", unchanged)
    return checked(setup, with_interception(setup, edit, plan, in_model=in_model), "the view could not be changed")


class _Views(TorchFunctionMode):
    """Numbers the views, and notes those that give the first two axes in the other order.

    Attributes:
        running: How many forward passes of the model are under way.
        swapping: Number of each among all views, and among those inside the model's own forward where it is one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.running = self.seen = self.seen_inside = 0
        self.swapping: list[tuple[int, int | None]] = []

    def enter(self, *_: Any) -> None:
        """The model's forward begins."""
        self.running += 1

    def leave(self, *_: Any) -> None:
        """It ends."""
        self.running -= 1

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "__name__", "") in VIEWS and args and isinstance(result, Tensor):
            before, after, inside = tuple(args[0].shape), tuple(result.shape), self.running > 0
            if len(before) > 1 and before[0] != before[1] and after == (before[1], before[0], *before[2:]):
                self.swapping.append((self.seen, self.seen_inside if inside else None))
            self.seen += 1
            self.seen_inside += inside
        return result


def _swapping_views(setup: Setup) -> list[tuple[int, int | None]]:
    batch, views = sample(setup), _Views()
    with isolated(setup.seed), one_thread(), torch.no_grad():
        model, optimizer = setup.build()
        model.register_forward_pre_hook(views.enter)
        model.register_forward_hook(views.leave)
        with views:
            forward(setup, model, optimizer, batch)
    return views.swapping


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
