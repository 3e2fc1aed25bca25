"""How long the optimizer's momentum remembers, against the length of the run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

from torch.optim import Optimizer

from unstuck.edits.schedule import steps_of
from unstuck.measure.preparation import Prepared
from unstuck.setup.randomness import isolated


@final
@dataclass(frozen=True, slots=True)
class Momentum:
    """The momentum of the optimizer.

    Attributes:
        value: The highest of all groups: `momentum`, or the first of `betas`; NaN where there is no such setting.
        steps: Steps of the whole run.
    """

    cost: ClassVar[float] = 0.0

    value: float
    steps: int

    @classmethod
    def measure(cls, prepared: Prepared) -> Momentum:
        """Read it from a fresh optimizer."""
        with isolated(prepared.setup.seed):
            _, optimizer = prepared.setup.build()
        return cls(momentum_of(optimizer), steps_of(prepared.setup))

    @property
    def memory(self) -> float:
        """Steps after which a gradient still counts for 1/e: 1 / (1 − β)."""
        return 1.0 / (1.0 - self.value) if self.value < 1.0 else math.inf if self.value >= 1.0 else math.nan


def momentum_of(optimizer: Optimizer) -> float:
    """The highest momentum of all groups; NaN where there is no such setting."""
    found = [value for group in optimizer.param_groups for value in (group.get("momentum"), _first(group.get("betas")))]
    return max((float(value) for value in found if value is not None), default=math.nan)


def _first(betas: object) -> float | None:
    if isinstance(betas, (tuple, list)) and len(betas) >= 2:
        return float(betas[0])
    return None
