"""Findings while a run goes on: few, never twice, and never of a run that trains."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, final

from unstuck import catalogue
from unstuck.recorded import alarms, warm_up
from unstuck.recording import Notice, open_record

FIRST_LOOK: Final = 100
"""Steps before which no curve is judged: a loss that can fall has begun to by then, in every healthy set-up of
bench/healthy."""

NEXT_LOOK: Final = 1.4
"""Factor on the steps from one look to the next."""

TWICE: Final = 2
"""Looks in a row that must agree before a curve is accused."""


FULL: Final = 10.0
"""What a look at a long record costs over one at the few steps that are judged to load everything."""


class FindingWarning(UserWarning):
    """Something that `watch` has found while the run goes on."""


@final
class TrainingStopped(Exception):
    """Leaves the loop after a severe finding, where `watch(stop=True)` was asked for; the `with` block ends quietly."""


@final
class Live:
    """Judges a record from time to time.

    Attributes:
        ignore: Codes that are not wanted.
        stop: Whether a severe finding ends the loop.
        cost: Seconds that the last look took; before the first, what it is expected to.
    """

    def __init__(self, ignore: Sequence[str], stop: bool) -> None:
        """Start with nothing found.

        Args:
            ignore: Codes that are not wanted.
            stop: Whether a severe finding ends the loop.
        """
        warm_up()  # now, not in the middle of the training
        self.ignore, self.stop = frozenset(ignore), stop
        self._told: set[str] = set()
        self._agreed: dict[str, int] = {}
        self._due = FIRST_LOOK
        begun = time.thread_time()
        warm_up()
        self.cost = FULL * (time.thread_time() - begun)

    def is_due(self, step: int) -> bool:
        """Whether enough steps have gone by for another look."""
        return step >= self._due

    def look(self, path: Path, step: int) -> list[Notice]:
        """Judge what has been recorded.

        Args:
            path: Of the record.
            step: Steps done.

        Returns:
            What is new, and was seen at the look before as well.
        """
        self._due = math.ceil(step * NEXT_LOOK)
        with open_record(path) as record:
            found = alarms(record)
        codes = {notice.code for notice in found}
        self._agreed = {code: self._agreed.get(code, 0) + 1 for code in codes}
        return self._new(notice for notice in found if self._agreed[notice.code] >= TWICE)

    def non_finite(self, step: int) -> list[Notice]:
        """The loss was no finite number: no look is needed."""
        if "OPT001" in self._told or "OPT001" in self.ignore:
            return []
        entry = catalogue.entry("OPT001")
        sentence = f"The loss was no longer a finite number at step {step}."
        return self._new([Notice(step, time.time(), entry.code, entry.name, "severe", sentence)])

    def announce(self, notice: Notice, may_stop: bool) -> None:
        """Warn of a finding.

        Args:
            notice: The finding.
            may_stop: Whether the loop can be stopped here.

        Raises:
            TrainingStopped: If it is severe and stopping was asked for.
        """
        message = f"unstuck: {notice.code} {notice.name}: {notice.sentence} (`unstuck explain {notice.code}`)"
        warnings.warn(message, FindingWarning, stacklevel=2)
        if self.stop and may_stop and notice.severity == "severe":
            raise TrainingStopped(message)

    def _new(self, notices: Iterable[Notice]) -> list[Notice]:
        found = [each for each in notices if each.code not in self._told and each.code not in self.ignore]
        self._told.update(each.code for each in found)
        return found
