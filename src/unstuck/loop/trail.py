"""Where the weights of a run were, at some of its steps: what the plane that it moved in is found from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

MEMORY: Final = 64 * 2**20
"""Bytes that the places of one run may take together; a model that needs more leaves no trail."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Trail:
    """Places in the space of the trainable weights.

    Attributes:
        steps: Steps done at each place, shape `[K]`.
        weights: The weights there on the CPU, each of shape `[P]`; empty where there were too many to keep.
    """

    steps: tuple[int, ...] = ()
    weights: tuple[Tensor, ...] = ()


def place_of(model: nn.Module) -> Tensor | None:
    """The trainable weights, each once, as one vector.

    Args:
        model: It is only read.

    Returns:
        A copy of shape `[P]` on the CPU; None where none is trainable, or some are not made yet.
    """
    parts = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parts or any(is_lazy(part) for part in parts):
        return None
    return torch.cat([part.detach().reshape(-1).cpu() for part in parts])


@final
class TrailKeeper:
    """Notes where a model is, for as long as all places fit into memory."""

    def __init__(self, places: int) -> None:
        """Nothing is noted yet.

        Args:
            places: How many there will be at most.
        """
        self._places = max(1, places)
        self._kept: list[tuple[int, Tensor]] = []
        self._full = False

    def note(self, step: int, model: nn.Module) -> None:
        """Keep the weights as they are before a step."""
        if self._full:
            return
        here = place_of(model)
        if here is not None and here.numel() * here.element_size() * self._places > MEMORY:
            self._full = True
            self._kept.clear()
        elif here is not None:
            self._kept.append((step, here))

    def trail(self) -> Trail:
        """What was noted."""
        return Trail(tuple(step for step, _ in self._kept), tuple(place for _, place in self._kept))
