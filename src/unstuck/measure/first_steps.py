"""The first optimizer steps: what each of them is made of."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.loop.stages import take_step
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup.randomness import isolated, one_thread

WANTED: Final = 5
"""Optimizer steps that are looked at; the first cannot hold anything old."""

MOST_CALLS: Final = 80
LONGEST_SECONDS: Final = 1.0


@final
@dataclass(frozen=True, slots=True)
class FirstSteps:
    """The gradients that the first optimizer steps used.

    Attributes:
        calls: Batches that were read.
        steps: Optimizer steps that were taken on them.
        stale_shares: Per optimizer step, the share of its gradient (Euclidean norm) that was there before the
            first backward pass after the step before it, shape `[steps]`; the first is 0.
        gradient_norms: Norm of the gradient of each step, shape `[steps]`.
    """

    cost: ClassVar[float] = 0.0

    calls: int
    steps: int
    stale_shares: tuple[float, ...]
    gradient_norms: tuple[float, ...]

    @classmethod
    def measure(cls, prepared: Prepared) -> FirstSteps:
        """Take a few steps of the set-up, and keep account of the gradients.

        Args:
            prepared: The set-up.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If no two optimizer steps were taken.
        """
        setup, deadline, calls = prepared.setup, time.monotonic() + LONGEST_SECONDS, 0
        with isolated(setup.seed), one_thread():
            model, optimizer = setup.build()
            model.train()
            ledger = _Ledger(model, optimizer)
            generator = torch.Generator().manual_seed(setup.seed)
            for _ in range(setup.epochs):
                for batch in setup.train.batches(generator):
                    take_step(setup, model, optimizer, setup.placed(batch))
                    calls += 1
                    if len(ledger.shares) >= WANTED or calls >= MOST_CALLS or time.monotonic() > deadline:
                        break
                else:
                    continue
                break
        if len(ledger.shares) < 2:
            raise NotMeasurable(f"the optimizer took {len(ledger.shares)} steps on {calls} batches")
        return cls(calls, len(ledger.shares), tuple(ledger.shares), tuple(ledger.norms))


@final
@dataclass
class _Ledger:
    """Adds up what the backward passes since the last optimizer step have given."""

    model: nn.Module
    optimizer: Optimizer
    shares: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    _fresh: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                parameter.register_hook(self._add(parameter))
        self.optimizer.register_step_pre_hook(self._enter)

    def _add(self, parameter: Tensor) -> Any:
        def hook(gradient: Tensor) -> None:
            part, known = gradient.detach(), self._fresh.get(id(parameter))
            self._fresh[id(parameter)] = part.clone() if known is None else known + part

        return hook

    def _enter(self, *_: Any) -> None:
        pairs = [
            (parameter.grad, self._fresh[id(parameter)])
            for parameter in self.model.parameters()
            if parameter.grad is not None and id(parameter) in self._fresh and not parameter.grad.is_sparse
        ]
        self._fresh = {}
        whole = sum(float(gradient.square().sum()) for gradient, _ in pairs)
        fresh = sum(float(part.square().sum()) for _, part in pairs)
        self.norms.append(whole**0.5)
        if whole <= 0.0 or fresh <= 0.0:
            self.shares.append(0.0)
            return
        # Clipping and loss scaling multiply the fresh gradient; only what is no multiple of it is old.
        factor = sum(float((gradient * part).sum()) for gradient, part in pairs) / fresh
        residual = sum(float((gradient - factor * part).square().sum()) for gradient, part in pairs)
        self.shares.append((residual / whole) ** 0.5)
