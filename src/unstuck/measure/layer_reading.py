"""Reading what happens inside a model: every affine layer and every hidden activation, over enough data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from unstuck.edits.activations import FUNCTIONS
from unstuck.edits.insertion import leaves
from unstuck.edits.passes import kept_buffers
from unstuck.edits.structure import AFFINE
from unstuck.edits.tracing import DROPOUTS
from unstuck.loop.clock import WorkClock
from unstuck.loop.stages import compute_loss
from unstuck.setup import Batch, Setup
from unstuck.setup.batch import length

SATURATED: Final = 0.05
"""Share of its largest derivative below which an activation is flat: σ' is there beyond ±4.4, tanh' beyond ±2.2."""

MOSTLY: Final = 0.5
"""Share of the samples on which a unit has to be flat to count as saturated: most of them."""

RECTIFIED: Final = frozenset({"relu", "relu6", "threshold"})
"""Functions that are exactly zero, and so is their derivative, on one side."""

SLOPES: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "sigmoid": lambda output: 4.0 * output * (1.0 - output),
    "special_expit": lambda output: 4.0 * output * (1.0 - output),
    "tanh": lambda output: 1.0 - output.square(),
    "hardtanh": lambda output: ((output > -1.0) & (output < 1.0)).float(),
    "hardsigmoid": lambda output: ((output > 0.0) & (output < 1.0)).float(),
    "softsign": lambda output: (1.0 - output.abs()).square(),
}
"""Derivative of each bounded function, as a share of its largest, from its output."""

MOST_WAITING: Final = 30.0
"""Seconds of wall time that count as one: what is read is so little that a busy machine would cut it short."""


@final
@dataclass
class Moments:
    """Sums over samples and places for each unit, shape `[U]`, in double precision."""

    count: int = 0
    total: Tensor | None = None
    squares: Tensor | None = None
    positive: int = 0
    negative: int = 0

    def add(self, values: Tensor) -> None:
        """Take in values `[S, U]`."""
        values = values.detach()
        total, squares = values.sum(0, dtype=torch.float64), values.double().square().sum(0)
        self.count += len(values)
        self.total = total if self.total is None else self.total + total
        self.squares = squares if self.squares is None else self.squares + squares
        self.positive += int((values > 0).sum())
        self.negative += int((values < 0).sum())

    @property
    def means(self) -> Tensor:
        """Mean of each unit, `[U]`."""
        assert self.total is not None  # made together with the first values
        return self.total / self.count

    @property
    def variances(self) -> Tensor:
        """Variance of each unit over the samples, `[U]`."""
        assert self.squares is not None
        return (self.squares / self.count - self.means.square()).clamp_min(0.0)


@final
@dataclass
class LayerSeen:
    """One affine layer.

    Attributes:
        name: In the model.
        module: It.
        inputs: Moments of what feeds it, by feature or channel.
        outputs: Moments of what it gives, by unit.
        gradient: Root mean square of the loss's gradient with respect to its outputs; None where there is none.
    """

    name: str
    module: nn.Module
    inputs: Moments = field(default_factory=Moments)
    outputs: Moments = field(default_factory=Moments)
    gradient: float | None = None


@final
@dataclass
class ActivationSeen:
    """One call of a hidden activation.

    Attributes:
        name: Of its module, or of the function with the number of its call.
        function: Such as "relu".
        layer: Name of the affine layer that ran last before it, "" where none had.
        zero: Whether each unit was zero on every sample, shape `[U]`; None where it never is by construction.
        zero_on_batch: Likewise on the first batch.
        flat: Number of values of each unit at which the derivative is a small share of its largest, `[U]`; None for
            functions that do not saturate.
        count: Number of values of each unit.
    """

    name: str
    function: str
    layer: str
    zero: Tensor | None = None
    zero_on_batch: Tensor | None = None
    flat: Tensor | None = None
    count: int = 0


@final
@dataclass
class Reading:
    """What was seen, in the order of the forward pass.

    Attributes:
        layers: Affine layers by name.
        activations: Calls of activations by their number.
        samples: Samples that were run.
    """

    layers: dict[str, LayerSeen] = field(default_factory=dict)
    activations: dict[int, ActivationSeen] = field(default_factory=dict)
    samples: int = 0


@final
class _Reader(TorchFunctionMode):
    """Hooks on affine layers, and a mode that sees the calls of activations, as modules or as functions."""

    def __init__(self, reading: Reading, hidden: frozenset[int] | None) -> None:
        super().__init__()
        self.reading, self.hidden = reading, hidden
        self.number = 0
        self.axis = -1
        self.last = ""
        self.running: list[str] = []
        self.first = True

    def enter(self, name: str) -> Callable[..., None]:
        return lambda *_: self.running.append(name)

    def leave(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            self.running.pop()
            if isinstance(module, AFFINE) and isinstance(output, Tensor) and output.is_floating_point():
                self.see_layer(name, module, inputs[0] if inputs else None, output)

        return hook

    def see_layer(self, name: str, module: nn.Module, given: Any, output: Tensor) -> None:
        seen = self.reading.layers.setdefault(name, LayerSeen(name, module))
        self.last, self.axis = name, -1 if isinstance(module, nn.Linear) else 1
        seen.outputs.add(by_unit(output, self.axis))
        if isinstance(given, Tensor):
            seen.inputs.add(by_unit(given, self.axis))
        if output.requires_grad and self.first:
            size = output.numel()

            def arrive(gradient: Tensor) -> None:
                seen.gradient = float(torch.linalg.vector_norm(gradient.detach().float())) / size**0.5

            output.register_hook(arrive)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in DROPOUTS and args:
            return args[0]
        result = func(*args, **(kwargs or {}))
        if name in FUNCTIONS:
            number, self.number = self.number, self.number + 1
            if isinstance(result, Tensor) and (self.hidden is None or number in self.hidden):
                self.see_activation(number, name.rstrip("_"), result)
        return result

    def see_activation(self, number: int, function: str, output: Tensor) -> None:
        where = self.running[-1] if self.running else f"{function} (call {number + 1})"
        seen = self.reading.activations.setdefault(number, ActivationSeen(where, function, self.last))
        values = by_unit(output.detach(), self.axis if output.dim() > 2 else -1)
        seen.count += len(values)
        if function in RECTIFIED:
            zero = values.abs().amax(0) == 0.0
            if seen.zero is None or seen.zero.shape != zero.shape:
                seen.zero = seen.zero_on_batch = zero
            else:
                seen.zero = seen.zero & zero
        if function in SLOPES:
            flat = (SLOPES[function](values.float()) < SATURATED).sum(0)
            seen.flat = flat if seen.flat is None or seen.flat.shape != flat.shape else seen.flat + flat


def by_unit(values: Tensor, axis: int) -> Tensor:
    """Values as `[S, U]`: units last, samples and places together."""
    if values.dim() < 2:
        return values.reshape(-1, 1)
    values = values.movedim(axis, -1)
    return values.reshape(-1, values.shape[-1])


def read(
    setup: Setup,
    model: nn.Module,
    batches: Sequence[Batch],
    *,
    hidden: frozenset[int] | None,
    backward: bool,
    seconds: float,
) -> Reading:
    """Run a model over some batches and look at every layer; dropout is left out.

    Modes and buffers are put back, so that a trained model stays as it is. Gradients are left on the parameters where
    `backward` is asked for.

    Args:
        setup: Runs the model.
        model: On the set-up's device, in the mode that it is to run in.
        batches: At least one is run.
        hidden: Numbers of the calls of `FUNCTIONS` that are hidden activations; None for all.
        backward: Whether the gradient of the loss on the first batch is taken.
        seconds: Work of this thread after which no further batch is begun.

    Returns:
        What was seen.
    """
    reading, clock = Reading(), WorkClock(MOST_WAITING)
    reader = _Reader(reading, hidden)
    with _hooked(model, reader), kept_buffers(model):
        for batch in batches:
            reader.number, reader.last = 0, ""
            with torch.set_grad_enabled(backward and reader.first), reader:
                outputs = setup.outputs(model, setup.placed(batch))
            if backward and reader.first:
                loss = compute_loss(setup, outputs, setup.placed(batch))
                if loss.requires_grad:
                    loss.backward()
            reader.first = False
            reading.samples += length(batch)
            if clock() > seconds:
                break
    return reading


@contextmanager
def _hooked(model: nn.Module, reader: _Reader) -> Iterator[None]:
    handles = []
    for name, module in leaves(model).items():
        if not isinstance(module, torch.jit.ScriptModule):  # which takes no hooks
            handles.append(module.register_forward_pre_hook(reader.enter(name)))
            handles.append(module.register_forward_hook(reader.leave(name), prepend=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
