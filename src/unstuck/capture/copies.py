"""Copies of a script's model, optimizer and scheduler as they were before the first step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import final

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from unstuck.capture.search import model_of, place_of, scheduler_of
from unstuck.capture.sightings import Slice, Trainer
from unstuck.capture.swapping import said
from unstuck.setup.model import copy_together
from unstuck.setup.private import Memo


@final
class Copies:
    """Copies each model once, before it first runs in training.

    Attributes:
        memo: The copies, as `copy.deepcopy` keeps them.
    """

    def __init__(self, remark: Callable[[str], None]) -> None:
        """Hold none yet.

        Args:
            remark: Takes a note of what could not be copied.
        """
        self.memo: Memo = {}
        self._remark = remark
        self._live: list[nn.Module] = []
        self._copied: set[int] = set()

    def has(self, module: nn.Module) -> bool:
        """Whether a module was copied."""
        return id(module) in self._copied

    def tensors(self) -> set[int]:
        """Ids of the parameters and buffers of what was copied."""
        return {id(each) for module in self._live for each in (*module.parameters(), *module.buffers())}

    def parameters(self) -> list[Tensor]:
        """The script's own parameters of what was copied."""
        return [each for module in self._live for each in module.parameters()]

    def called(self, slices: Sequence[Slice]) -> list[nn.Module]:
        """Those of the copied modules that losses have come from."""
        return [module for piece in slices for module in piece.modules.values() if self.has(module)]

    def is_due(self, module: nn.Module) -> bool:
        """Whether a module is trained and was not copied yet."""
        return not self.has(module) and any(each.requires_grad and not is_lazy(each) for each in module.parameters())

    def take(self, module: nn.Module) -> None:
        """Copy a module."""
        self._copied.add(id(module))
        self._live.append(module)
        try:
            copy_together(module, None, self.memo)
        except Exception as error:  # whatever a foreign object raises
            self._remark(f"the model {type(module).__name__} could not be copied: {said(error)}")

    def prepare(self, trainer: Trainer, called: list[nn.Module]) -> None:
        """Copy an optimizer, its model and its scheduler, before the first step.

        Args:
            trainer: Gets the copies.
            called: The modules that the loss came from.
        """
        try:
            trainer.place = place_of(trainer.optimizer)
            trainer.model = model_of(trainer.optimizer, called)
            if trainer.model is not None:
                self._live.append(trainer.model)
                self._copied.add(id(trainer.model))
                trainer.model_place = place_of(trainer.model)
                trainer.model_copy, trainer.copy = copy_together(trainer.model, trainer.optimizer, self.memo)
            trainer.scheduler = scheduler_of(trainer.optimizer)
            if trainer.scheduler is not None and trainer.copy is not None:
                trainer.scheduler_place = place_of(trainer.scheduler)
                trainer.scheduler_copy = copy.deepcopy(trainer.scheduler, self.memo)
        except Exception as error:  # whatever a foreign object raises
            self._remark(f"the {type(trainer.optimizer).__name__} could not be copied: {said(error)}")
