"""Watching the layers of a model while it trains, without changing the training by a bit.

Only sampled steps are looked at. All hooks are forward hooks that return nothing, and gradient hooks that
only read; no random number is drawn.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from unstuck.loop.record import LayerTrace


def parametrised_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Modules that own parameters themselves, by name, each once."""
    return {name: module for name, module in model.named_modules() if any(True for _ in module.parameters(False))}


def sampled_steps(total: int, wanted: int = 24) -> frozenset[int]:
    """Which steps of a run to sample: the first three, then evenly, then the last."""
    if total <= wanted:
        return frozenset(range(total))
    spaced = torch.linspace(0, total - 1, wanted - 2).round().long().tolist()
    return frozenset({0, 1, 2, *spaced})


@final
@dataclass
class Watcher:
    """Samples the layers of one model during one run.

    Attributes:
        model: The model being trained.
        optimizer: Its optimizer.
        seconds: Wall time spent in watching.
    """

    model: nn.Module
    optimizer: Optimizer
    seconds: float = 0.0
    _order: dict[str, int] = field(default_factory=dict)
    _values: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    _fresh: dict[int, Tensor] = field(default_factory=dict)
    _before: dict[int, Tensor] = field(default_factory=dict)

    @contextmanager
    def sample(self) -> Iterator[None]:
        """Watch the step that is taken inside."""
        start = time.perf_counter()
        layers = parametrised_layers(self.model)
        handles: list[RemovableHandle] = []
        outputs: dict[str, Tensor] = {}
        inside = 0.0
        for name, layer in layers.items():
            handles.append(layer.register_forward_hook(self._keep_output(name, outputs)))
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                handles.append(parameter.register_hook(self._add_fresh(parameter)))
        self._fresh.clear()
        self._before.clear()
        handles.append(self.optimizer.register_step_pre_hook(lambda *_: self._before_step(layers)))
        self.seconds += time.perf_counter() - start
        try:
            yield
        finally:
            start = time.perf_counter()
            for handle in handles:
                handle.remove()
            self._after_step(layers, outputs)
            self.seconds += time.perf_counter() - start + inside
            self._fresh.clear()
            self._before.clear()

    def traces(self) -> tuple[LayerTrace, ...]:
        """What was seen, in the order in which the layers run."""
        made = [
            LayerTrace(
                name,
                type(layer).__name__,
                self._order.get(name, -1),
                *(tuple(self._values[name, key]) for key in _KEYS),
            )
            for name, layer in parametrised_layers(self.model).items()
        ]
        return tuple(sorted(made, key=lambda trace: trace.depth))

    def _keep_output(self, name: str, outputs: dict[str, Tensor]) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            tensor = output[0] if isinstance(output, tuple) and output else output
            if isinstance(tensor, Tensor) and tensor.is_floating_point():
                outputs[name] = tensor.detach()
                self._order.setdefault(name, len(self._order))

        return hook

    def _add_fresh(self, parameter: Tensor) -> Any:
        def hook(gradient: Tensor) -> None:
            known = self._fresh.get(id(parameter))
            self._fresh[id(parameter)] = gradient.detach().clone() if known is None else known + gradient.detach()

        return hook

    def _before_step(self, layers: dict[str, nn.Module]) -> None:
        if self._before:  # a step with several inner steps, such as a GAN's, is sampled at the first
            return
        start = time.perf_counter()
        for name, layer in layers.items():
            owned = [parameter for parameter in layer.parameters(False) if parameter.requires_grad]
            for parameter in owned:
                self._before[id(parameter)] = parameter.detach().clone()
            gradients = [parameter.grad for parameter in owned if parameter.grad is not None]
            norm = _norm(gradients)
            self._values[name, "gradient_norm"].append(norm)
            self._values[name, "weight_norm"].append(_norm(owned))
            self._values[name, "stale_share"].append(self._stale_share(owned))
        self.seconds += time.perf_counter() - start

    def _stale_share(self, parameters: list[nn.Parameter]) -> float:
        """How much of the gradient was there before this step's backward passes.

        Clipping and loss scaling multiply the fresh gradient by a number; only what is no multiple of it is
        stale: the norm of the residual of the least-squares fit grad ≈ c·fresh, over the norm of grad.
        """
        pairs = [
            (parameter.grad, self._fresh[id(parameter)])
            for parameter in parameters
            if parameter.grad is not None and id(parameter) in self._fresh and not parameter.grad.is_sparse
        ]
        whole = sum(float((gradient * gradient).sum()) for gradient, _ in pairs)
        fresh = sum(float((part * part).sum()) for _, part in pairs)
        if not pairs or whole <= 0.0 or fresh <= 0.0:
            return 0.0
        factor = sum(float((gradient * part).sum()) for gradient, part in pairs) / fresh
        residual = sum(float((gradient - factor * part).square().sum()) for gradient, part in pairs)
        return float((residual / whole) ** 0.5)

    def _after_step(self, layers: dict[str, nn.Module], outputs: dict[str, Tensor]) -> None:
        for name, layer in layers.items():
            owned = [parameter for parameter in layer.parameters(False) if id(parameter) in self._before]
            if self._before:
                moved = [parameter.detach() - self._before[id(parameter)] for parameter in owned]
                self._values[name, "update_norm"].append(_norm(moved))
            if name in outputs and outputs[name].numel():
                output = outputs[name].float()
                rms = float(torch.linalg.vector_norm(output)) / output.numel() ** 0.5
                self._values[name, "output_rms"].append(rms)
                self._values[name, "output_zero_share"].append(float((output == 0).float().mean()))


_KEYS = ("gradient_norm", "weight_norm", "update_norm", "output_rms", "output_zero_share", "stale_share")


def _norm(tensors: Any) -> float:
    dense = [tensor.detach() for tensor in tensors if not tensor.is_sparse]
    if not dense:
        return 0.0
    return float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(dense))))
