"""Training set-ups for one examination, each set-up and seed once, in this process or in several."""

from __future__ import annotations

import math
import os
import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, final

from unstuck.errors import UnstuckError
from unstuck.loop import Run, fit
from unstuck.loop.batched import can_train_together, fit_together
from unstuck.measure.preparation import Prepared
from unstuck.measure.scores import Scores, scores_of_run
from unstuck.measure.task import Task
from unstuck.setup import Setup

WORTH_PROCESSES: Final = 12.0
"""Seconds of training from which worker processes are started; starting two takes four (a bare `import torch`)."""

LONGER: Final = 2.0
"""How many times as long as the control a run may take; what has not done as many steps by then is no fair match."""

TRIED: Final = 2
"""Runs that a suspicion takes: remedies have between one and six candidates, and most are refuted by the first."""

PAIRED: Final = 6
"""Runs that the proof takes: three seeds, with and without the remedy."""

SPENT: Final = 0.8
"""Share of the time left that trials are planned for; the rest is for what they measure besides."""

SHORTEST: Final = 0.125
"""Share of the steps below which a run shows little of what the whole one would."""

WORTH_BATCHING: Final = 4
"""Runs from which one batched run is quicker than one after the other (measured in `loop.batched`)."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """One set-up trained from one seed.

    Attributes:
        run: The run.
        scores: Its scores, on the yardstick of the set-up as given.
    """

    run: Run
    scores: Scores


@final
class Laboratory:
    """Trains set-ups, and remembers what came of them.

    Attributes:
        prepared: The set-up as given, with its splits.
        trainings: Number of runs so far.
        steps: Steps that every run is cut to; None where they are run to their end.
        whole: The run as given to its end, where the others are cut to fewer steps.
    """

    def __init__(
        self, prepared: Prepared, task: Task | None, run_seconds: float = math.inf, deadline: float = math.inf
    ) -> None:
        """Start with no runs.

        Args:
            prepared: The set-up as given; gives the yardstick.
            task: The task, where it is known.
            run_seconds: Wall time after which a run is cut short.
            deadline: `time.monotonic()` value after which no run is started.
        """
        self.prepared = prepared
        self.trainings = 0
        self._task, self._run_seconds, self._deadline = task, run_seconds, deadline
        self.steps: int | None = None
        self.whole: Attempt | None = None
        self._fewest = 0
        self._expected = 0.0
        self._processes = max(1, min(8, os.cpu_count() or 1))
        # Set-ups are kept beside what came of them, so that the ids of their parts stay their own.
        self._runs: dict[tuple[int, ...], tuple[Setup, Run]] = {}
        self._results: dict[tuple[int, int], tuple[Setup, Attempt | UnstuckError]] = {}

    def keep(self, run: Run, scores: Scores, steps: int | None = None) -> None:
        """Remember the run as given, and cut every other to its length where it was cut short by time.

        Args:
            run: The run as given.
            scores: Its scores.
            steps: Cut every run to so many steps; a longer run as given is then only what a remedy has to beat.
        """
        given, taken = self.prepared.setup, len(run.losses)
        self.steps = taken if run.record.stopped == "time" else None
        self._run_seconds = max(self._run_seconds, LONGER * run.record.seconds)
        if steps is not None and steps < (self.steps or math.inf):
            self.steps = steps
        length = min(taken, self.steps or taken)
        self._fewest = length
        self._expected = run.record.seconds * (self.steps or taken) / max(1, taken)
        if length < taken:
            self.whole = Attempt(run, scores)
            return
        self._results[id(given), run.setup.seed] = (given, Attempt(run, scores))
        self._runs[_what_is_trained(given, run.setup.seed)] = (given, run)

    @property
    def exhausted(self) -> bool:
        """Whether the time for further runs is used up."""
        return time.monotonic() > self._deadline

    def attempt(self, setup: Setup, seed: int) -> Attempt:
        """Train a set-up from a seed, or recall that it was.

        Args:
            setup: What to train.
            seed: From which seed.

        Returns:
            The run with its scores.

        Raises:
            UnstuckError: If it could not be trained.
        """
        result = self.attempt_all([(setup, seed)])[0]
        if isinstance(result, UnstuckError):
            raise result
        return result

    def attempt_all(self, wanted: Sequence[tuple[Setup, int]]) -> list[Attempt | UnstuckError]:
        """Train several set-ups, at once where that is worth starting processes for.

        Args:
            wanted: Set-ups with their seeds.

        Returns:
            What came of each; an error where it could not be trained, and for what the time did not allow.
        """
        for setup, seed in wanted:
            self._score_again(setup, seed)
        missing = [(setup, seed) for setup, seed in wanted if (id(setup), seed) not in self._results]
        done = self._batched(missing) or self._in_processes(missing)
        if done is None:
            done = [self._one(setup, seed) for setup, seed in missing]
        for (setup, seed), result in zip(missing, done, strict=True):
            self._results[id(setup), seed] = (setup, result)
            if isinstance(result, Attempt):
                self._runs[_what_is_trained(setup, seed)] = (setup, result.run)
        return [self._results[id(setup), seed][1] for setup, seed in wanted]

    def at_once(self, setups: Sequence[Setup]) -> int:
        """How many of some set-ups to train before looking at the first: all where they cost little more than one."""
        if len(setups) >= WORTH_BATCHING and can_train_together(setups):
            return len(setups)
        return self._processes if self._expected * self._processes >= WORTH_PROCESSES else 1

    def _score_again(self, setup: Setup, seed: int) -> None:
        """A set-up that differs only in the splits it is scored on needs no new run."""
        known = self._runs.get(_what_is_trained(setup, seed))
        if known is not None and (id(setup), seed) not in self._results:
            self._results[id(setup), seed] = (setup, _scored(self.prepared, self._task, setup, known[1]))

    def _one(self, setup: Setup, seed: int) -> Attempt | UnstuckError:
        if self.exhausted:
            return UnstuckError("the time budget was used up before it was tried")
        self.trainings += 1
        return _train(self.prepared, self._task, setup, seed, self._limit(), self.steps, self._fewest)

    def _batched(self, missing: Sequence[tuple[Setup, int]]) -> list[Attempt | UnstuckError] | None:
        """As one batched run; None where that is not worth it, or where the set-ups do not allow it."""
        if len(missing) < WORTH_BATCHING or self.exhausted:
            return None
        runs = fit_together(missing, seconds=self._limit(len(missing)), steps=self.steps)
        if runs is None:
            return None
        self.trainings += len(runs)
        return [_finished(self.prepared, self._task, run.setup, run, self._fewest) for run in runs]

    def _limit(self, runs: int = 1) -> float:
        """Wall time for each of some runs, so that all of them together end by the deadline."""
        return max(0.2 / runs, min(self._run_seconds, (self._deadline - time.monotonic()) / runs))

    def _in_processes(self, missing: Sequence[tuple[Setup, int]]) -> list[Attempt | UnstuckError] | None:
        """None where it is not worth it, or where the set-up cannot be sent to another process."""
        if self._processes < 2 or len(missing) < 2 or self._expected * len(missing) < WORTH_PROCESSES:
            return None
        if self.exhausted or self.prepared.setup.device.type != "cpu":
            return None
        from joblib import Parallel, delayed  # only long examinations need it

        try:
            found: list[Attempt | UnstuckError] = Parallel(n_jobs=min(self._processes, len(missing)))(
                delayed(_train)(self.prepared, self._task, setup, seed, self._limit(), self.steps, self._fewest)
                for setup, seed in missing
            )
        except (pickle.PicklingError, TypeError, AttributeError, OSError, RuntimeError):
            self._processes = 1  # something in the set-up belongs to this process
            return None
        self.trainings += len(missing)
        return found


def affordable_steps(run: Run, suspicions: int, left: float) -> int | None:
    """How many steps every run may take, so that each suspicion can be tried and one be proven in the time left.

    Args:
        run: The run as given, perhaps ended early by its own divergence.
        suspicions: How many causes are to be tried.
        left: Seconds.

    Returns:
        The steps, an eighth of all at least; None where runs need not be cut.
    """
    taken = max(1, len(run.losses))
    planned = run.setup.epochs * (run.setup.train.batches_per_epoch or taken)
    steps = taken if run.record.stopped == "time" else max(taken, planned)
    wanted = run.record.seconds * steps / taken * (TRIED * suspicions + PAIRED)
    share = SPENT * left / wanted if wanted > 0.0 else 1.0
    return None if share >= 1.0 else math.ceil(steps * max(share, SHORTEST))


def _what_is_trained(setup: Setup, seed: int) -> tuple[int, ...]:
    """The ids of everything that a run depends on; the test split is no part of it."""
    parts = [getattr(setup, part.name) for part in fields(setup) if part.name not in ("test", "seed", "described")]
    return (seed, *(hash(part) if isinstance(part, (bool, int, str)) else id(part) for part in parts))


def _train(
    prepared: Prepared, task: Task | None, setup: Setup, seed: int, seconds: float, steps: int | None, fewest: int
) -> Attempt | UnstuckError:
    try:
        run = fit(setup, seed=seed, seconds=seconds, steps=steps)
    except UnstuckError as error:
        return error
    return _finished(prepared, task, setup, run, fewest)


def _finished(prepared: Prepared, task: Task | None, setup: Setup, run: Run, fewest: int) -> Attempt | UnstuckError:
    """A run with its scores; an error where the time was up before it had done as many steps as the control."""
    if run.record.stopped == "time" and len(run.losses) < fewest:
        return UnstuckError(f"the time allowed only {len(run.losses)} of the {fewest} steps that the control took")
    return _scored(prepared, task, setup, run)


def _scored(prepared: Prepared, task: Task | None, setup: Setup, run: Run) -> Attempt | UnstuckError:
    try:
        return Attempt(run, scores_of_run(prepared, task, setup, run))
    except UnstuckError as error:
        return error
