"""What a diagnosis is made of: one record, one file a rule."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from unstuck.report import FAMILY_BRANCH, Applies, Branch, Outcome
from unstuck.setup import Setup


class Aim(enum.Enum):
    """What a remedy is meant to lower, and what its trial therefore compares."""

    TRAINING = "training loss"
    HELD_OUT = "held-out loss"
    TEST = "test loss"
    BALANCED = "balanced held-out error"


@final
@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do, and the function that does it.

    Attributes:
        says: An imperative sentence.
        apply: Takes the set-up, and by its annotations any measurements; gives one changed set-up or several to
            be tried, the smallest change first. Raises `RemedyError` where it does not apply.
            None where the remedy is advice only.
        applies: How freely it may be applied.
    """

    says: str
    apply: Callable[..., Setup | tuple[Setup, ...]] | None
    applies: Applies


@final
@dataclass(frozen=True, slots=True)
class Case:
    """A patient whose verdict is known.

    Attributes:
        patient: A clause that says what it is.
        setup: Makes it; quick to train.
        outcome: What the rule must come to, its trial included.
    """

    patient: str
    setup: Callable[[], Setup]
    outcome: Outcome


@final
@dataclass(frozen=True, slots=True)
class Rule:
    """A diagnosis. `name`, title and sections come from its file.

    Attributes:
        code: Such as "OPT001".
        judge: Pure; takes the measurements that its annotations name and gives a `Verdict`.
        fault: Makes a healthy set-up sick with this; raises `RemedyError` where it makes no sense. None where the
            fault cannot be injected into an arbitrary set-up.
        remedy: What to do.
        cases: The first one is sick; at least one healthy and one near miss.
        aim: What the remedy lowers.
        explained_by: Codes of causes of which this is a mere consequence where both are found.
        evidence_suffices: Whether the verdict is proof enough where the remedy cannot be tried: a property of the
            data or the program that was measured itself.
        is_cure_all: Whether the remedy changes how the network learns, as normalisation does, and so mends much that
            the rule does not name: no quick proof.
        module: Where it is; filled in when it is loaded.
    """

    code: str
    judge: Callable[..., Any]
    fault: Callable[[Setup], Setup] | None
    remedy: Remedy
    cases: tuple[Case, ...]
    aim: Aim = Aim.TRAINING
    explained_by: tuple[str, ...] = ()
    evidence_suffices: bool = False
    is_cure_all: bool = False
    module: str = ""

    @property
    def branch(self) -> Branch | None:
        """The branch of the guide that it blames, by the family of its code; None for a family that is unknown."""
        return FAMILY_BRANCH.get(self.code[:3])

    @property
    def name(self) -> str:
        """The public name, from the file: "learning-rate-too-high"."""
        return self.module.rpartition(".")[2].replace("_", "-")
