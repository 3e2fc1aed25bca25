"""One forward pass with hooks on: which layers and functions ran, in which order, on what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.overrides import TorchFunctionMode

from unstuck.edits.graph import Graph
from unstuck.edits.insertion import leaves
from unstuck.edits.passes import forward, sample
from unstuck.loop.stages import stage
from unstuck.setup import Setup
from unstuck.setup.batch import map_tensors, tensors
from unstuck.setup.randomness import isolated, one_thread

DROPOUTS: Final = frozenset(
    "dropout dropout_ dropout1d dropout2d dropout3d alpha_dropout alpha_dropout_ feature_dropout "
    "feature_alpha_dropout".split()
)
"""Names of the functions that drop units."""


@final
@dataclass(frozen=True, eq=False)
class LeafCall:
    """One call of a leaf module.

    Attributes:
        name: Of the module.
        module: The module.
        entries: Nodes of its inputs.
        exits: Nodes of what it gave, before any hook changed it.
        input_shape: Of its first tensor.
        output_shape: Likewise.
    """

    name: str
    module: nn.Module
    entries: tuple[Node, ...]
    exits: tuple[Node, ...]
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]


@final
@dataclass(frozen=True, eq=False)
class FunctionCall:
    """One call of a function of torch that is not inside another one.

    Attributes:
        name: Such as "softmax".
        node: Of its result, or None where nothing differentiable came out.
        leaf: Name of the leaf module that it was called in, or None.
        inside: Whether it ran inside the model's own forward rather than the user's `forward` function.
    """

    name: str
    node: Node | None
    leaf: str | None
    inside: bool


@final
@dataclass(eq=False)
class Trace:
    """What ran in one forward pass.

    Attributes:
        model: The model that ran; thrown away afterwards.
        calls: Of leaf modules, in order of execution.
        functions: Of torch, likewise.
        outputs: What came out, or None where only the user's own step runs the model.
        emitters: Modules, by name, that gave each tensor, in the order in which they finished.
        root_calls: How often the model itself was called.
    """

    model: nn.Module
    calls: list[LeafCall] = field(default_factory=list)
    functions: list[FunctionCall] = field(default_factory=list)
    outputs: Any = None
    emitters: list[tuple[str, Tensor]] = field(default_factory=list)
    root_calls: int = 0
    _inputs: frozenset[int] = frozenset()
    _kept: list[Tensor] = field(default_factory=list)
    _graph: Graph | None = None

    @property
    def graph(self) -> Graph:
        """The graph behind the outputs."""
        if self._graph is None:
            roots = [tensor.grad_fn for tensor in tensors(self.outputs) if tensor.grad_fn is not None]
            if not roots:  # the user's own step keeps its outputs to itself: take what the model gave
                given = [tensor.grad_fn for name, tensor in self.emitters if not name]
                roots = [node for node in given if node is not None]
            if not roots and self.calls:
                roots = list(self.calls[-1].exits)
            self._graph = Graph(roots, self._inputs)
        return self._graph

    def times(self, name: str) -> int:
        """How often a leaf module was called."""
        return sum(call.name == name for call in self.calls)


def trace(setup: Setup) -> Trace:
    """Run the set-up's model once on a few training samples, in training mode, dropout left out.

    Args:
        setup: What is trained.

    Returns:
        What ran.
    """
    batch = sample(setup)
    with isolated(setup.seed), one_thread(), torch.enable_grad():
        try:
            return _traced(setup, batch, marked=True)
        except Exception:  # user code that leaves torch (`.numpy()`) refuses inputs that require a gradient
            with stage("forward"):
                return _traced(setup, batch, marked=False)


def _traced(setup: Setup, batch: Any, *, marked: bool) -> Trace:
    model, optimizer = setup.build()
    model.train()
    for module in model.modules():
        if getattr(module, "inplace", False) is True:
            setattr(module, "inplace", False)  # noqa: B010  # in place on a view, autograd would rewrite the nodes that were noted
    record = Trace(model)
    if marked:
        batch = map_tensors(batch, lambda tensor: _mark(tensor, record))
        record._inputs = frozenset(id(tensor) for tensor in record._kept)
    reader = _Reader(record)
    handles = reader.attach(model)
    try:
        with reader:
            record.outputs = forward(setup, model, optimizer, batch)
    finally:
        for handle in handles:
            handle.remove()
    return record


def _mark(tensor: Tensor, record: Trace) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    leaf = tensor.detach().requires_grad_()
    record._kept.append(leaf)
    return leaf.clone()  # a leaf itself could not be changed in place by the user's forward


@final
class _Reader(TorchFunctionMode):
    """Hooks for modules, and a mode for functions."""

    def __init__(self, record: Trace) -> None:
        super().__init__()
        self.record = record
        self.running: list[str] = []
        self.depth = 0

    def attach(self, model: nn.Module) -> list[Any]:
        """Set the hooks. Exits are taken before, entries after what earlier edits have hooked in."""
        handles: list[Any] = []
        for name, module in leaves(model).items():
            entries: list[tuple[tuple[Node, ...], tuple[int, ...]]] = []
            handles.append(module.register_forward_pre_hook(self._enter(name, entries), with_kwargs=True))
            handles.append(module.register_forward_hook(self._leave(name, entries), prepend=True))
        for name, module in model.named_modules():
            handles.append(module.register_forward_hook(self._emit(name)))
        handles.append(model.register_forward_pre_hook(self._enter_root, prepend=True))
        handles.append(model.register_forward_hook(self._leave_root))
        return handles

    def _enter_root(self, *_: Any) -> None:
        self.depth += 1
        self.record.root_calls += 1

    def _leave_root(self, *_: Any) -> None:
        self.depth -= 1

    def _enter(self, name: str, entries: list[Any]) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any) -> None:
            given = [*tensors(args), *tensors(kwargs)]
            nodes = tuple(tensor.grad_fn for tensor in given if tensor.grad_fn is not None)
            entries.append((nodes, tuple(given[0].shape) if given else ()))
            self.running.append(name)

        return hook

    def _leave(self, name: str, entries: list[Any]) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            self.running.pop()
            nodes, shape = entries.pop()
            made = list(tensors(output))
            exits = tuple(tensor.grad_fn for tensor in made if tensor.grad_fn is not None)
            self.record._kept.extend(made)
            self.record.calls.append(LeafCall(name, module, nodes, exits, shape, tuple(made[0].shape) if made else ()))

        return hook

    def _emit(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                self.record.emitters.append((name, output))

        return hook

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in DROPOUTS and args:
            self._note(name, None)
            return args[0]
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and name != "__get__":
            self._note(name, result.grad_fn)
        return result

    def _note(self, name: str, node: Node | None) -> None:
        leaf = self.running[-1] if self.running else None
        self.record.functions.append(FunctionCall(name, node, leaf, self.depth > 0))
