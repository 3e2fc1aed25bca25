"""Gradients before and after clipping, at the start of the run and at its end."""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np
from torch.overrides import TorchFunctionMode

from unstuck.measure.first_steps import observe
from unstuck.measure.ledger import Ledger
from unstuck.measure.preparation import Trained
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated, one_thread, trainable
from unstuck.setup.source import calling_line

WANTED: Final = 6
"""Optimizer steps that are looked at, at the start and at the end."""

CUT: Final = 0.999
"""What is left of a gradient that is not clipped, rounding aside."""

ALIKE: Final = 1e-2
"""Relative spread of norms that were clipped at the same number."""


@final
@dataclass(frozen=True, slots=True)
class Clipping:
    """How far the gradients that the optimizer gets are below those of the backward passes.

    Attributes:
        steps: Optimizer steps that were looked at.
        clipped: Share of them whose gradient was cut down to the same number as that of the others.
        threshold: That number: the norm left; NaN where nothing is clipped.
        low: Tenth percentile of the norms before clipping.
        high: Ninetieth percentile.
        line: Line of the user's source that clips, or "".
    """

    cost: ClassVar[float] = 1.0

    steps: int
    clipped: float
    threshold: float
    low: float
    high: float
    line: str

    @classmethod
    def measure(cls, trained: Trained) -> Clipping:
        """Take some steps from the weights that the run began with, and some from those that it ended with."""
        setup, weights = trained.run.setup, trained.run.model.state_dict()
        raw: list[float] = []
        used: list[float] = []
        raw_largest: list[float] = []
        largest: list[float] = []
        lines = _Line()
        for state in (None, weights):
            ledger = _observed(setup, state, lines)
            raw += ledger.raw_norms
            used += ledger.norms
            raw_largest += ledger.raw_largest
            largest += ledger.largest
        finite = [math.isfinite(norm) and norm > 0.0 for norm in raw]
        by_norm, by_value = _same(raw, used), _same(raw_largest, largest)
        cut = by_norm if sum(by_norm) >= sum(by_value) else by_value
        norms = [norm for norm, known in zip(raw, finite, strict=True) if known]
        clipped = [norm for norm, each in zip(used, cut, strict=True) if each]
        return cls(
            steps=len(used),
            clipped=len(clipped) / max(1, len(used)),
            threshold=statistics.median(clipped) if clipped else math.nan,
            low=float(np.percentile(norms, 10)) if norms else math.nan,
            high=float(np.percentile(norms, 90)) if norms else math.nan,
            line=lines.found if clipped else "",
        )


def _observed(setup: Setup, weights: dict[str, Any] | None, lines: _Line) -> Ledger:
    with trainable(), isolated(setup.seed), one_thread():
        own, model, optimizer = setup.fresh()
        if weights is not None:
            model.load_state_dict(weights)
        if not model.training:
            model.train()
        ledger = Ledger(model, optimizer)
        with lines:
            observe(own, ledger, WANTED)
    return ledger


def _same(raw: Sequence[float], used: Sequence[float]) -> list[bool]:
    """Which sizes were cut down to one and the same: a factor, as of loss scaling, leaves them different."""
    cut = [0.0 < after < CUT * before < math.inf for before, after in zip(raw, used, strict=True)]
    left = [after for after, each in zip(used, cut, strict=True) if each]
    if len(left) < 2 or max(left) > (1.0 + ALIKE) * min(left):
        return [False] * len(used)
    return cut


_CLIPS: Final = frozenset(
    {"_foreach_norm", "linalg_vector_norm", "vector_norm", "_foreach_clamp_min_", "clamp_", "mul_"}
)


@final
class _Line(TorchFunctionMode):
    """Finds the line that calls one of torch's functions for clipping."""

    def __init__(self) -> None:
        super().__init__()
        self.found = ""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not self.found and getattr(func, "__name__", "") in _CLIPS:
            frame = sys._getframe(1)
            while frame.f_back is not None and "torch" in frame.f_code.co_filename:
                if frame.f_code.co_filename.endswith("clip_grad.py"):
                    self.found = calling_line()
                    break
                frame = frame.f_back
        return func(*args, **(kwargs or {}))
