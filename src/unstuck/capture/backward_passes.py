"""The backward passes of a script: the loss of each, and of some what it was computed from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, final

from torch import Tensor

from unstuck.capture.batches import Batches
from unstuck.capture.copies import Copies
from unstuck.capture.sightings import Backward
from unstuck.capture.slicing import cut
from unstuck.capture.swapping import said
from unstuck.capture.tape import Tape, leaves

MOST_ANSWERS: Final = 64
"""Tensors that networks gave without gradients, of one step, that are kept to be found again."""

READ_TOGETHER: Final = 64
"""Losses that are read from a device at once."""


@final
class BackwardPasses:
    """Sees them begin.

    Attributes:
        losses: Loss of every backward pass, as it was given to it, as far as they have been read.
        close: Those since the last step that were looked at closely.
    """

    def __init__(self, tape: Tape, copies: Copies, batches: Batches, remark: Callable[[str], None]) -> None:
        """See none yet.

        Args:
            tape: What ran since the last step; a pass is looked at closely while it is awake.
            copies: Tell which tensors are weights.
            batches: Tell where data come from.
            remark: Told what went wrong.
        """
        self.losses: list[float] = []
        self.close: list[Backward] = []
        self._tape, self._copies, self._batches, self._remark = tape, copies, batches, remark
        self._pending: list[Tensor] = []
        self._answers: list[tuple[Tensor, str]] = []

    @property
    def count(self) -> int:
        """Backward passes so far."""
        return len(self.losses) + len(self._pending)

    def see(self, tensors: Any, line: str) -> None:
        """Note the loss that a backward pass is about to start from; one that is no single number is passed over.

        Args:
            tensors: What the pass starts from.
            line: Line of the user's source, as "file.py:12", or ""; used where it is looked at closely.
        """
        root = tensors if isinstance(tensors, Tensor) else next(iter(tensors), None)
        if not isinstance(root, Tensor) or root.numel() != 1:
            return
        if self._tape.awake:
            self._look_closely(root, line)
        if root.is_cpu and not self._pending:
            self.losses.append(float(root.item()))
            return
        self._pending.append(root.detach())
        if root.is_cpu or len(self._pending) >= READ_TOGETHER:
            self.read()

    def read(self) -> None:
        """Read the losses that still wait on a device."""
        self.losses += [float(each) for each in self._pending]
        self._pending.clear()

    def note_answer(self, output: Any, line: str) -> None:
        """Keep what a network gave without gradients, at a line: a loss may take it as a target."""
        self._answers += [(tensor, line) for _, tensor in leaves(output)]
        del self._answers[:-MOST_ANSWERS]

    def forget(self) -> None:
        """Drop what was seen closely: a step has been taken."""
        self.close, self._answers = [], []

    def _look_closely(self, root: Tensor, line: str) -> None:
        calls = [*self._tape.calls]
        awake, self._tape.awake = self._tape.awake, False
        try:
            answers = {id(tensor): line for tensor, line in self._answers}
            found = cut(calls, root, self._batches.origins(), self._copies.tensors(), answers)
            held = self._copies.parameters()
            stale = {id(each) for each in held if each.grad is not None and bool(each.grad.detach().any())}
            trained = [] if found is None else self._copies.called([found])
            random = next((call.random for call in calls if call.function in trained), None) if trained else None
            self.close.append(
                Backward(
                    float(root.detach()),
                    found,
                    frozenset(stale),
                    all(module.training for module in trained),
                    random,
                    line,
                    self._batches.last,
                )
            )
        except Exception as error:  # a script is never stopped by what we fail to see
            self._remark(f"a loss could not be followed: {said(error)}")
        finally:
            self._tape.awake = awake
