"""Watching the layers of a model while it trains, without changing the training by a bit.

Only sampled steps are looked at. All hooks are forward hooks that return nothing, and gradient hooks that
only read; no random number is drawn. A sample spans one step of the optimizer: where a `train_step` accumulates
gradients over several calls, it spans those calls.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from unstuck.loop.layers import own_parameters, parametrised_layers
from unstuck.loop.norms import norm, norms, square, zero_share
from unstuck.loop.record import LayerTrace
from unstuck.loop.window import Window, stale_share

LONGEST_ACCUMULATION: Final = 32
"""Calls of a `train_step` without a step of the optimizer after which it is taken to make none."""

READ_TOGETHER: Final = 64
"""Steps whose gradient norms are read from the device at once."""

SAMPLED: Final = 24
"""Steps of a run that are sampled."""


def sampled_steps(total: int, wanted: int = SAMPLED) -> frozenset[int]:
    """Which steps of a run to sample: the first three, then evenly, then the last."""
    if total <= wanted:
        return frozenset(range(total))
    spaced = torch.linspace(0, total - 1, wanted - 2).round().long().tolist()
    return frozenset({0, 1, 2, *spaced})


@final
class Watcher:
    """Samples the layers of one model during one run.

    Attributes:
        sampled: Number of the training call at which each sample ended, shape `[K]`.
        seconds: Wall time spent in watching.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Watch nothing yet.

        Args:
            model: The model being trained.
            optimizer: Its optimizer.
        """
        self.model, self.optimizer = model, optimizer
        self.sampled: list[int] = []
        self.seconds = 0.0
        self._layers: dict[str, list[nn.Parameter]] = {}
        self._order: dict[str, int] = {}
        self._values: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._window: Window | None = None
        self._is_due = False
        self._at_boundary = True  # whether the optimizer stepped in the last call, so that a sample may begin
        self._never_steps = False
        self._norms: list[float] = []
        self._parts: list[tuple[Tensor, ...]] = []  # norms of each parameter's gradient, not yet read from the device

    @contextmanager
    def step(self, index: int, due: bool) -> Iterator[None]:
        """Surround one training call; watch it where a sample is due or under way.

        Args:
            index: Its number.
            due: Whether a sample is to be taken from here on.
        """
        self._is_due |= due
        if self._window is None and self._is_due and self._at_boundary:
            self._window, self._is_due = Window(), False
        stepped: list[bool] = []
        handles = [
            self.optimizer.register_step_pre_hook(self._see_whole_gradient),
            self.optimizer.register_step_post_hook(lambda *_: stepped.append(True)),
        ]
        if self._window is not None:
            with self._timed():
                handles.extend(self._hook(self._window))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
        self._at_boundary = bool(stepped) or self._never_steps
        if self._window is not None:
            self._window.calls += 1
            if self._window.stepped or self._never_steps or self._window.calls >= LONGEST_ACCUMULATION:
                self.close(index)

    def close(self, index: int) -> None:
        """Record the sample under way, if any; it made no step where the optimizer has not stepped."""
        window, self._window = self._window, None
        if window is None:
            return
        with self._timed():
            if not window.stepped:
                self._never_steps |= window.calls >= LONGEST_ACCUMULATION
                self._at_boundary |= self._never_steps
                self._see_weights(window)
                self._see_gradients(window)
                self._see_update(window)
            for name, (size, zeros) in window.outputs.items():
                self._values[name, "output_rms"].append(size)
                self._values[name, "output_zero_share"].append(zeros)
            self.sampled.append(index)

    def gradient_norms(self) -> tuple[float, ...]:
        """Norm of the whole gradient at each step of the optimizer, shape `[S]`."""
        self._read_norms()
        return tuple(self._norms)

    def traces(self) -> tuple[LayerTrace, ...]:
        """What was seen, in the order in which the layers run."""
        layers = parametrised_layers(self.model)
        places = {name: self._place(name) for name in layers}
        ran = sorted((place, name) for name, place in places.items() if place >= 0)
        depths = {name: depth for depth, (_, name) in enumerate(ran)}
        made = [
            LayerTrace(
                name,
                type(layer).__name__
                if not is_parametrized(layer)
                else type(layer).__name__.removeprefix("Parametrized"),
                depths.get(name, -1),
                *(tuple(self._values[name, key]) for key in _KEYS),
            )
            for name, layer in layers.items()
        ]
        return tuple(sorted(made, key=lambda trace: trace.depth))

    def _place(self, name: str) -> float:
        """Where in the forward pass a layer ran; one whose parent used its weights ran right after the parent."""
        if name in self._order:
            return self._order[name]
        parent = name.rpartition(".")[0]
        used = any(self._values[name, "gradient_norm"])
        return self._order[parent] + 0.5 if used and parent in self._order else -1.0

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start

    def _hook(self, window: Window) -> list[RemovableHandle]:
        layers = parametrised_layers(self.model)
        self._layers = {name: own_parameters(layer) for name, layer in layers.items()}
        handles = [
            layer.register_forward_hook(self._see_output(name, window))
            for name, layer in layers.items()
            if not isinstance(layer, torch.jit.ScriptModule)  # which takes no hooks
        ]
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                handles.append(parameter.register_hook(self._see_arrival(parameter, window)))
        handles.append(self.optimizer.register_step_pre_hook(self._before_step(window)))
        handles.append(self.optimizer.register_step_post_hook(self._after_step(window)))
        return handles

    def _see_output(self, name: str, window: Window) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            start = time.perf_counter()
            tensor = output[0] if isinstance(output, tuple) and output else output
            if isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.numel():
                self._order.setdefault(name, len(self._order))
                seen = tensor.detach()  # at once: an in-place activation may overwrite it
                window.outputs[name] = (square(seen) / seen.numel()) ** 0.5, zero_share(seen)
            self.seconds += time.perf_counter() - start

        return hook

    def _see_arrival(self, parameter: Tensor, window: Window) -> Any:
        """Note what gradient was there when the first of this step arrives: nothing, if it had been cleared."""
        key = id(parameter)

        def hook(gradient: Tensor) -> None:
            start = time.perf_counter()
            if key not in window.reached:
                window.reached.add(key)
                if parameter.grad is not None:
                    window.stale[key] = parameter.grad.detach().clone()
            if key in window.stale:
                known = window.fresh.get(key)
                window.fresh[key] = gradient.detach().clone() if known is None else known + gradient.detach()
            self.seconds += time.perf_counter() - start

        return hook

    def _before_step(self, window: Window) -> Any:
        def hook(optimizer: Optimizer, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            if window.before:  # of several steps in one call, as a GAN's, the first is sampled
                return
            with self._timed():
                self._see_weights(window)
                computes_gradients = any(each is not None for each in (*arguments[1:], *keywords.values()))
                if not computes_gradients:  # no closure
                    self._see_gradients(window)

        return hook

    def _after_step(self, window: Window) -> Any:
        def hook(*_: Any) -> None:
            if not window.stepped:
                with self._timed():
                    window.stepped = True
                    self._see_gradients(window)
                    self._see_update(window)

        return hook

    def _see_whole_gradient(self, optimizer: Optimizer, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        """Every step: one kernel over the parameters costs at most 2 % of a step, and a spike is not to be missed."""
        if any(each is not None for each in (*arguments[1:], *keywords.values())):
            return  # a closure: the gradients are not there yet
        with self._timed():
            held = [each.grad for group in optimizer.param_groups for each in group["params"] if each.grad is not None]
            if held:
                self._parts.append(norms(held))
            if len(self._parts) >= READ_TOGETHER:
                self._read_norms()

    def _read_norms(self) -> None:
        """One synchronisation for many steps."""
        for _, alike in groupby(self._parts, key=len):  # of other length where gradients come and go
            whole = torch.stack([torch.stack(parts) for parts in alike])
            self._norms += torch.linalg.vector_norm(whole, dim=1, dtype=torch.float64).tolist()
        self._parts.clear()

    def _see_weights(self, window: Window) -> None:
        for name, parameters in self._layers.items():
            for parameter in parameters:
                window.before[id(parameter)] = parameter.detach().clone()
            self._values[name, "weight_norm"].append(norm(parameters))

    def _see_gradients(self, window: Window) -> None:
        if window.gradients_seen:
            return
        window.gradients_seen = True
        for name, parameters in self._layers.items():
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            self._values[name, "gradient_norm"].append(norm(gradients))
            self._values[name, "stale_share"].append(stale_share(window, parameters))

    def _see_update(self, window: Window) -> None:
        for name, parameters in self._layers.items():
            moved = [parameter.detach() - window.before[id(parameter)] for parameter in parameters]
            self._values[name, "update_norm"].append(norm(moved))


_KEYS: Final = ("gradient_norm", "weight_norm", "update_norm", "output_rms", "output_zero_share", "stale_share")
