"""Larger and smaller hidden layers, input and output sizes kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from torch import nn
from torch.autograd.graph import Node

from unstuck.edits.graph import TABLES, VIEWS, family, parents
from unstuck.edits.insertion import leaves
from unstuck.edits.passes import forward, sample, with_checked_edit
from unstuck.edits.resizing import Sizes, is_follower, is_producer, resize, sizes_for, sizes_of, width
from unstuck.edits.tracing import LeafCall, Trace, trace
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup
from unstuck.setup.batch import tensors
from unstuck.setup.randomness import isolated, one_thread

MERGES: Final = frozenset({"Cat"})
"""Families whose operands may have different widths."""


def widened(setup: Setup, factor: float) -> Setup:
    """Enlarge every hidden layer that can be, by the same factor.

    Args:
        setup: What is trained.
        factor: Of the widths, above 1.

    Returns:
        The changed set-up; layers whose sizes change are drawn anew.

    Raises:
        RemedyError: If there is no hidden layer, or its structure could not be enlarged.
    """
    return _resized(setup, lambda size: max(size + 1, round(size * factor)), "its structure could not be enlarged")


def narrowed(setup: Setup, width: int) -> Setup:
    """Shrink every hidden layer that can be to at most this width: the fault of a model that is too small.

    Args:
        setup: What is trained.
        width: Units or channels.

    Returns:
        The changed set-up; layers whose sizes change are drawn anew.

    Raises:
        RemedyError: If there is no hidden layer above that width, or its structure could not be shrunk.
    """
    return _resized(setup, lambda size: min(size, width), "its structure could not be shrunk")


def thinned(setup: Setup, factor: float) -> Setup:
    """Shrink every hidden layer that can be, by the same factor.

    Args:
        setup: What is trained.
        factor: Of the widths, below 1; one unit is left at least.

    Returns:
        The changed set-up; layers whose sizes change are drawn anew.

    Raises:
        RemedyError: If there is no hidden layer, or its structure could not be shrunk.
    """
    return _resized(setup, lambda size: max(1, round(size * factor)), "its structure could not be shrunk")


@final
@dataclass(frozen=True)
class HiddenWidth:
    """Layers that share one width, as a residual sum makes them.

    Attributes:
        names: Of the layers, in the order in which they run.
        width: Units or channels.
        views: Whether something on the way is given another shape, so that the width may be written into the forward.
    """

    names: tuple[str, ...]
    width: int
    views: bool


def hidden_widths(setup: Setup) -> tuple[HiddenWidth, ...]:
    """The widths of hidden layers that are free to change, in the order in which the layers run."""
    return _hidden_widths(trace(setup))


def with_width(setup: Setup, names: tuple[str, ...], width: int) -> Setup:
    """Give some hidden layers that share a width another one, and fit what takes their outputs.

    Args:
        setup: What is trained.
        names: As in a `HiddenWidth`.
        width: Units or channels.

    Returns:
        The changed set-up; layers whose sizes change are drawn anew.

    Raises:
        RemedyError: If its structure does not allow it.
    """
    return _resized(setup, lambda size: width, "its structure could not be changed", names)


def _resized(setup: Setup, change: Callable[[int], int], refusal: str, only: tuple[str, ...] | None = None) -> Setup:
    record = trace(setup)
    free = [group for group in _hidden_widths(record) if only is None or group.names == only]
    # A single unit may be a factor that is broadcast, and a size may be written into the forward (`x.view(-1, 400)`):
    # where it does not run otherwise, leave those out.
    attempts = (
        free,
        [group for group in free if group.width > 1],
        [group for group in free if not group.views],
        [group for group in free if group.width > 1 and not group.views],
    )
    reason = "it has no hidden layer whose width is free"
    for number, groups in enumerate(attempts):
        if groups in attempts[:number]:
            continue
        wanted = {name: change(group.width) for group in groups for name in group.names}
        if not wanted:
            continue
        if all(width(record.model.get_submodule(name)) == size for name, size in wanted.items()):
            reason = "its hidden layers are no wider than that as they are"
            continue
        try:
            sizes = _fitting_sizes(setup, wanted)
            return with_checked_edit(setup, _edit(record, sizes), refusal)
        except RemedyError as error:
            reason = str(error).removeprefix(f"{refusal}: ")
        except Exception as error:  # the user's forward may raise anything on other sizes
            reason = " ".join(str(error).split())[:300]
    raise RemedyError(f"{refusal}: {reason}")


def _edit(record: Trace, sizes: dict[str, Sizes]) -> Edit:
    def apply(model: nn.Module) -> nn.Module:
        for name, size in sizes.items():
            resize(model.get_submodule(name), size)
        return model

    changed = [
        name
        for name, size in sizes.items()
        if is_producer(record.model.get_submodule(name)) and size[1] != sizes_of(record.model.get_submodule(name))[1]
    ]
    kinds = [type(record.model.get_submodule(name)).__name__ for name in changed]
    before = [str(sizes_of(record.model.get_submodule(name))[1]) for name in changed]
    after = [str(sizes[name][1]) for name in changed]
    where = changed[0] if len(changed) == 1 else f"{changed[0]}..{changed[-1]}"
    return Edit(f"model.{where}", _widths(kinds, before), _widths(kinds, after), apply)


def _widths(kinds: list[str], sizes: list[str]) -> str:
    """Such as "Conv2d 8-16, Linear 32"."""
    runs: list[tuple[str, list[str]]] = []
    for kind, size in zip(kinds, sizes, strict=True):
        if runs and runs[-1][0] == kind:
            runs[-1][1].append(size)
        else:
            runs.append((kind, [size]))
    return ", ".join(f"{kind} {'-'.join(run)}" for kind, run in runs)


def _fitting_sizes(setup: Setup, wanted: dict[str, int]) -> dict[str, Sizes]:
    """Set output widths, run once, and fit each layer to what arrives at it: the sizes of all that changed."""
    batch, sizes = sample(setup), {}
    with isolated(setup.seed), one_thread(), torch.no_grad():
        model, optimizer = setup.build()
        model.train()

        def fit(name: str) -> Callable[..., None]:
            def hook(module: Any, args: Any, kwargs: Any) -> None:
                arriving = next(tensors((args, kwargs)))
                outputs = wanted.get(name, width(module)) if is_producer(module) else None
                new = sizes_for(module, arriving, outputs)
                if new != sizes_of(module):
                    resize(module, new)
                    sizes[name] = new

            return hook

        for name, module in leaves(model).items():
            if is_producer(module) or is_follower(module):
                module.register_forward_pre_hook(fit(name), with_kwargs=True)
        forward(setup, model, optimizer, batch)
    return sizes


@final
@dataclass(eq=False)
class _Component:
    """Places in the graph whose widths must agree.

    Attributes:
        producers: Layers whose output width it is.
        fixed: Whether something else determines it: inputs, outputs, tables, parameters of other modules.
        views: Whether something in it is given another shape.
    """

    producers: set[str]
    fixed: bool = False
    views: bool = False


def _hidden_widths(record: Trace) -> tuple[HiddenWidth, ...]:
    """Layers whose output width may change, those together that must agree."""
    graph, calls = record.graph, record.calls
    exits = {node: call for call in calls if is_producer(call.module) for node in call.exits}
    own = {
        id(p)
        for call in calls
        if is_producer(call.module) or is_follower(call.module)
        for p in call.module.parameters()
    }
    group: dict[Node, Node] = {}

    def root(node: Node) -> Node:
        while group.setdefault(node, node) is not node:
            group[node] = group[group[node]]
            node = group[node]
        return node

    foreign = {node for call in calls if not is_producer(call.module) for node in _foreign(record, call)}
    starts = [*graph.roots, *(node for call in calls for node in call.entries)]
    reached = _outside_producers(starts, exits)
    for node in reached:
        # Operands of a concatenation may differ in width, unless one is a parameter (a class token among words).
        apart = family(node) in MERGES and len(graph.data_parents(node)) == len(parents(node))
        if node not in exits and not apart:
            for parent in parents(node):
                group[root(parent)] = root(node)
    found: dict[Node, _Component] = {}
    for node in {*reached, *exits}:
        part = found.setdefault(root(node), _Component(set()))
        part.fixed |= node in graph.roots or node in foreign or graph.is_input(node) or _is_loose(node, own)
        if node in exits:
            part.producers.add(exits[node].name)
        else:
            part.views |= family(node) in VIEWS
            part.fixed |= family(node) in TABLES and not graph.data_parents(node)
    shared = Counter(id(p) for _, p in record.model.named_parameters(remove_duplicate=False))
    order = list(dict.fromkeys(call.name for call in calls if is_producer(call.module)))
    fixed = {name for part in found.values() if part.fixed for name in part.producers}
    groups: dict[str, HiddenWidth] = {}
    for part in found.values():
        free = part.producers - fixed
        names = tuple(name for name in order if name in free and _is_alone(record.model.get_submodule(name), shared))
        for size in dict.fromkeys(width(record.model.get_submodule(name)) for name in names):
            alike = tuple(name for name in names if width(record.model.get_submodule(name)) == size)
            groups.setdefault(alike[0], HiddenWidth(alike, size, part.views))
    return tuple(groups[name] for name in order if name in groups)


def _is_alone(module: nn.Module, shared: Counter[int]) -> bool:
    """Whether a layer shares no weights and has none that are parametrised."""
    return not hasattr(module, "parametrizations") and all(shared[id(p)] == 1 for p in module.parameters())


def _outside_producers(starts: list[Node], exits: dict[Node, LeafCall]) -> set[Node]:
    """All nodes but those inside producers."""
    seen, stack = set(starts), list(starts)
    while stack:
        node = stack.pop()
        if node not in exits:
            new = [parent for parent in parents(node) if parent not in seen]
            seen.update(new)
            stack.extend(new)
    return seen


def _foreign(record: Trace, call: LeafCall) -> list[Node]:
    """Nodes around a layer that has parameters but cannot be given another width (attention, cells, tables)."""
    rigid = not is_follower(call.module) and any(True for _ in call.module.parameters())
    return [*call.entries, *call.exits] if rigid else []


def _is_loose(node: Node, own: set[int]) -> bool:
    """Whether a node is a parameter that no layer that can be resized owns."""
    variable = getattr(node, "variable", None)
    return variable is not None and variable.numel() > 1 and id(variable) not in own
