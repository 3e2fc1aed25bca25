"""What a script turned out to train, and what could not be told of it."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from typing import Any, final

from torch.optim import Optimizer

from unstuck.setup import Setup


@final
@dataclass(frozen=True, slots=True)
class Part:
    """A part of a set-up that was recovered.

    Attributes:
        name: Argument of `Setup.of`, such as "loss".
        what: What it is, in a few words.
        line: Line of the user's source, as "file.py:12", or "".
    """

    name: str
    what: str
    line: str = ""


@final
@dataclass(frozen=True, eq=False)
class Recovered:
    """What a script turned out to train.

    Attributes:
        setup: The set-up, or None where it could not be made.
        parts: What was recovered.
        missing: What was not, each as a sentence with the line that would help.
        notes: What else a reader should know.
    """

    setup: Setup | None
    parts: tuple[Part, ...] = ()
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Unclear(Exception):
    """Something could not be recovered; the message says what, and what would help."""


@final
@dataclass(frozen=True, eq=False)
class SchedulerLike:
    """Makes the like of a script's scheduler for another optimizer.

    Attributes:
        held: A copy as before the first step, that holds no optimizer.
    """

    held: Any

    def __call__(self, optimizer: Optimizer) -> Any:
        """Make it."""
        made = copy.deepcopy(self.held)
        for each in (made, *getattr(made, "_schedulers", ())):
            each.optimizer = optimizer
        _track_steps(optimizer)
        return made


def _track_steps(optimizer: Optimizer) -> None:
    """Let an optimizer tell whether it has stepped, as a scheduler's making does; else its first step warns."""
    step = optimizer.step

    @functools.wraps(step)
    def tracked(*arguments: Any, **keywords: Any) -> Any:
        vars(optimizer)["_opt_called"] = True
        return step(*arguments, **keywords)

    vars(tracked)["_wrapped_by_lr_sched"] = True
    vars(optimizer)["step"] = tracked
