"""One look at one step of the optimizer: fused norms, running sums on the device, one synchronisation.

Which kernels are used decides the cost: `vector_norm`, `sum` and `amax` read a tensor at memory speed, where `std` or
`count_nonzero` take ten to a hundred times as long. Weights are not copied: how far a step moved them is told from up
to a few thousand evenly spaced elements of each parameter. Of large outputs as many are looked at as tell their size
to a percent or two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from unstuck.loop.norms import HALF, norms
from unstuck.watching.elements import Compared, compared_of, row_of, some_of
from unstuck.watching.layers import Layers, local
from unstuck.watching.ranks import combined

LOOKED_AT: Final = 16_384
"""Elements of an output that are looked at; all where there are no more."""

OUTPUT_RUN: Final = 32
"""Elements of an output that are looked at in a row."""

Row = dict[tuple[str, str], float]


@final
class Sampler:
    """Takes samples of one model.

    Attributes:
        seconds: Time spent in hooks, by the clock.
        is_open: Whether the hooks are in place.
        order: Layers in the order in which they first ran, by number.
        watches_leftovers: Whether it is looked for gradient that an earlier step has left.
    """

    def __init__(self, layers: Layers, over_ranks: bool, clock: Callable[[], float]) -> None:
        """Look at nothing yet.

        Args:
            layers: Of the model.
            over_ranks: Whether other processes take the same sample of the same model.
            clock: By which the hooks take their time, in seconds.
        """
        self._clock = clock
        self.layers = layers
        self.over_ranks = over_ranks
        self.seconds = 0.0
        self.order: dict[int, int] = {}
        self.watches_leftovers = True
        self.is_open = False
        self._handles: list[RemovableHandle] = []
        self._leftover_handles: list[RemovableHandle] = []
        self._outputs: list[tuple[int, int, Tensor, Tensor, Tensor]] = []
        self._leftovers: dict[int, Tensor | None] = {}
        self._norms: list[Tensor] = []
        self._held: list[int] = []
        self._compared = Compared((), (), torch.zeros(0), torch.zeros(0))
        self._before: Tensor | None = None
        self._problem: Exception | None = None

    def open(self) -> None:
        """Put the hooks in place, for the step to come."""
        self.is_open = True
        if self.layers.hookable and not self._handles:
            for number, module in enumerate(self.layers.modules):
                if not isinstance(module, torch.jit.ScriptModule):  # which takes no hooks
                    self._handles.append(module.register_forward_hook(self._see_output(number)))
        if self.watches_leftovers and not self._leftover_handles:
            seen: set[int] = set()
            for number, parameter in enumerate(self.layers.parameters):
                owner = self.layers.owners[number]
                if parameter.requires_grad and not self.layers.sharded[number] and owner not in seen:
                    seen.add(owner)
                    self._leftover_handles.append(parameter.register_hook(self._see_arrival(number, parameter)))

    def close(self) -> None:
        """Take the hooks away."""
        self.is_open = False
        for handle in (*self._handles, *self._leftover_handles):
            handle.remove()
        self._handles.clear()
        self._leftover_handles.clear()
        self.forget()

    def leave_leftovers(self) -> None:
        """Look no more for gradient that an earlier step has left."""
        self.watches_leftovers = False
        for handle in self._leftover_handles:
            handle.remove()
        self._leftover_handles.clear()

    def forget(self) -> None:
        """Drop what was seen of a step."""
        self._outputs.clear()
        self._leftovers.clear()
        self._norms, self._held, self._before = [], [], None

    @torch.no_grad()
    def before_step(self, optimizer: Optimizer, has_gradients: bool) -> None:
        """Take the norms of weights and gradients, and some of the weights.

        Args:
            optimizer: About to step.
            has_gradients: Whether the gradients are there yet; a closure makes them later.
        """
        weights = self.layers.held()
        self._compared = compared_of(weights, self._compared)
        self._before = row_of(self._compared.places)
        self._norms = list(norms(weights))
        if has_gradients:
            self._see_gradients(optimizer)

    @torch.no_grad()
    def after_step(self, optimizer: Optimizer, ahead: int) -> tuple[Row, int]:
        """Finish the sample.

        Args:
            optimizer: Has stepped.
            ahead: Steps after which this process would look again.

        Returns:
            What was seen, by name and layer; and after how many steps all processes look again.

        Raises:
            Exception: Whatever a hook has met with.
        """
        if self._problem is not None:
            raise self._problem
        if not self._held:
            self._see_gradients(optimizer)
        assert self._before is not None
        compared = self._compared
        squares = (row_of(compared.places) - self._before).double().square_()
        moved = torch.zeros_like(compared.scale).index_add_(0, compared.owners, squares).mul_(compared.scale).sqrt_()
        leftovers = [norm for norm in self._leftovers.values() if norm is not None]
        outputs = [part for output in self._outputs for part in output[2:]]
        values, updates_made = _read([*self._norms, *outputs, *leftovers]), moved.tolist()
        layers, held = self.layers, len(self._held)
        count = len(layers.parameters)
        weights, gradients = values[:count], [0.0] * count
        for place, number in enumerate(self._held):
            gradients[number] = values[count + place]
        rest = iter(values[count + held :])
        sums = self._summed(rest)
        left = {number: (0.0 if norm is None else next(rest)) for number, norm in self._leftovers.items()}
        if self.over_ranks:
            device = layers.parameters[0].device if count else torch.device("cpu")
            together = combined([weights, gradients, updates_made], layers.sharded, sums, ahead, device)
            (weights, gradients, updates_made), sums, ahead = together
        row = _by_layer(layers, weights, gradients, updates_made, sums, left)
        self.forget()
        return row, ahead

    def _see_gradients(self, optimizer: Optimizer) -> None:
        found = [(number, each.grad) for number, each in enumerate(self.layers.parameters) if each.grad is not None]
        self._held = [number for number, _ in found]
        sizes = list(norms([gradient if type(gradient) is Tensor else local(gradient) for _, gradient in found]))
        scale = getattr(optimizer, "grad_scale", None)  # a fused optimizer undoes the loss scaling itself
        self._norms += [size / scale for size in sizes] if isinstance(scale, Tensor) else sizes

    def _summed(self, rest: Any) -> list[list[float]]:
        """Count, sum, sum of squares and greatest value of each layer's outputs, `[L, 4]`."""
        sums = [[0.0, 0.0, 0.0, -math.inf] for _ in self.layers.names]
        for number, size, *_ in self._outputs:
            total, norm, greatest = next(rest), next(rest), next(rest)
            of = sums[number]
            of[0] += size
            of[1] += total
            of[2] += norm * norm
            of[3] = greatest if greatest != greatest else max(of[3], greatest)
        return sums

    def _see_output(self, number: int) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if not torch.is_grad_enabled():
                return  # an evaluation
            start = self._clock()
            tensor = output[0] if isinstance(output, (tuple, list)) and output else output
            if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.numel():
                self.order.setdefault(number, len(self.order))
                try:
                    seen = some_of(local(tensor), LOOKED_AT, OUTPUT_RUN)  # at once: it may be overwritten in place
                    wide = torch.float32 if seen.dtype in HALF else None
                    norm = torch.linalg.vector_norm(seen, dtype=wide)
                    self._outputs.append((number, seen.numel(), seen.sum(dtype=wide), norm, seen.amax()))
                except Exception as error:  # of the user's forward pass, this must not be the end
                    self._problem = error
            self.seconds += self._clock() - start

        return hook

    def _see_arrival(self, number: int, parameter: Tensor) -> Any:
        """Note what gradient was there when the first of a step arrives: nothing, if it had been cleared."""

        def hook(_: Tensor) -> None:
            if number not in self._leftovers:
                start = self._clock()
                old = parameter.grad
                try:
                    self._leftovers[number] = None if old is None else norms([local(old)])[0]
                except Exception as error:
                    self._problem = error
                self.seconds += self._clock() - start

        return hook


def _read(scalars: Sequence[Tensor]) -> list[float]:
    """All numbers at once: the one moment at which the device is waited for."""
    if not scalars:
        return []
    kind, device = scalars[0].dtype, scalars[0].device
    try:
        together = torch.stack(list(scalars))
    except RuntimeError:  # from several devices
        together = torch.stack([each.to(device, kind) for each in scalars])
    values: list[float] = together.tolist()
    return values


def _by_layer(
    layers: Layers,
    weights: Sequence[float],
    gradients: Sequence[float],
    updates: Sequence[float],
    sums: Sequence[Sequence[float]],
    left: dict[int, float],
) -> Row:
    squares = [[0.0, 0.0, 0.0] for _ in layers.names]
    whole = 0.0
    for number, owner in enumerate(layers.owners):
        of = squares[owner]
        of[0] += weights[number] ** 2
        of[1] += gradients[number] ** 2
        of[2] += updates[number] ** 2
        whole += gradients[number] ** 2
    row: Row = {("gradient_norm", ""): math.sqrt(whole)}
    for number, name in enumerate(layers.names):
        weight, gradient, update = squares[number]
        row["weight_norm", name] = math.sqrt(weight)
        row["gradient_norm", name] = math.sqrt(gradient)
        row["update_norm", name] = math.sqrt(update)
        size, total, square, greatest = sums[number]
        if size:
            row["output_rms", name] = math.sqrt(square / size)
            row["output_mean", name] = total / size
            row["output_max", name] = greatest
    for number, norm in left.items():
        used = gradients[number]
        row["stale_share", layers.names[layers.owners[number]]] = min(1.0, norm / used) if used > 0.0 else 0.0
    return row
