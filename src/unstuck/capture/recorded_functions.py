"""The functions of a set-up that are programs cut out of a script: they prepare batches, give outputs and a loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, final

from torch import Tensor, nn

from unstuck.capture.program import Program, Reference
from unstuck.capture.tape import at
from unstuck.setup import Batch


@final
@dataclass(frozen=True, eq=False)
class Prepare:
    """What a script does with a batch before the model and the loss get it: `batch -> (inputs …, targets)`.

    Attributes:
        program: Gives the parts.
        paths: Key of a leaf → where in the batch it is.
    """

    program: Program
    paths: Mapping[int, tuple[Any, ...]]

    def __call__(self, batch: Batch) -> Batch:
        """Prepare a batch."""
        leaves = {key: at(batch, path) for key, path in self.paths.items()}
        return tuple(self.program.run(leaves, None, {}, size_of(leaves.values())))


@final
@dataclass(frozen=True, eq=False)
class Forward:
    """What a script does between a batch and the outputs that its loss takes.

    Attributes:
        program: From inputs to outputs.
        inputs: What the parts of a batch but the last stand for.
        constants: Tensors from outside that are no part of the batch.
        in_training_mode: Whether it runs in training mode in evaluation too.
    """

    program: Program
    inputs: tuple[Reference, ...]
    constants: Mapping[int, Tensor]
    in_training_mode: bool = False

    def __call__(self, model: nn.Module, batch: Batch) -> Any:
        """Run it."""
        if self.in_training_mode:
            model.train()
        known = dict(zip(self.inputs, batch[:-1], strict=False))
        return self.program.run(self.constants, model, known, size_of(known.values()))


@final
@dataclass(frozen=True, eq=False)
class RecordedLoss:
    """What a script does with outputs and targets.

    Attributes:
        program: From them to the loss.
        outputs: What the outputs stand for: one reference, or several where they are a tuple.
        targets: Likewise.
        constants: Tensors from outside.
        __name__: How a report calls it.
    """

    program: Program
    outputs: tuple[Reference, ...]
    targets: tuple[Reference, ...]
    constants: Mapping[int, Tensor]
    __name__: str = field(default="loss")

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        """Compute it."""
        given = (outputs,) if len(self.outputs) == 1 else tuple(outputs)
        aims = (targets,) if len(self.targets) == 1 else tuple(targets)
        known = dict(zip((*self.outputs, *self.targets), (*given, *aims), strict=True))
        return self.program.run(self.constants, None, known, size_of([*aims, *given]))  # type: ignore[no-any-return]


def size_of(parts: Iterable[Any]) -> int:
    """Samples in a batch: the first dimension of the first tensor that has one."""
    return next((part.shape[0] for part in parts if isinstance(part, Tensor) and part.dim() > 0), 1)
