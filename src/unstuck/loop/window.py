"""What is seen of one step of the optimizer while it is sampled, and how much of its gradient was left over."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from torch import Tensor, nn

from unstuck.loop.norms import square


@final
@dataclass
class Window:
    """What is seen of the step that is being sampled.

    Attributes:
        calls: Training calls that it spans so far.
        reached: Parameters that a gradient has reached, by id.
        stale: Gradient that was there before the first of them did, by id.
        fresh: Gradient that has come since, by id; kept only where there was a stale one.
        before: Weights before the step, by id.
        gradients_seen: Whether the gradients of the step have been recorded.
        stepped: Whether the optimizer has stepped.
        outputs: Root mean square and share of zeros of each layer's last output.
    """

    calls: int = 0
    reached: set[int] = field(default_factory=set)
    stale: dict[int, Tensor] = field(default_factory=dict)
    fresh: dict[int, Tensor] = field(default_factory=dict)
    before: dict[int, Tensor] = field(default_factory=dict)
    gradients_seen: bool = False
    stepped: bool = False
    outputs: dict[str, tuple[float, float]] = field(default_factory=dict)


def stale_share(window: Window, parameters: list[nn.Parameter]) -> float:
    """Norm of the gradient that was there before the step's backward passes, over that of the whole.

    The whole is taken before clipping, which a clipped norm cannot be compared with.

    Args:
        window: What was seen of the step.
        parameters: Of one layer.

    Returns:
        The share, 0 where there is no gradient.
    """
    stale = whole = 0.0
    for parameter in parameters:
        key = id(parameter)
        if key in window.stale:
            stale += square(window.stale[key])
            whole += square(window.stale[key] + window.fresh[key])
        elif parameter.grad is not None:
            size = square(parameter.grad)
            whole += size
            stale += size if key not in window.reached else 0.0
    return float((stale / whole) ** 0.5) if whole > 0.0 else 0.0
