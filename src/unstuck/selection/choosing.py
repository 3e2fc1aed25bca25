"""`select`: judge candidates by cross-validation, choose one, and say how far its score can be believed."""

from __future__ import annotations

import hashlib
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from unstuck import candidate_log
from unstuck.choice import Choice
from unstuck.errors import SetupError
from unstuck.measure.fingerprint import fingerprint
from unstuck.progress import Listener, Progress, nobody
from unstuck.selection.cross_validation import LOWEST, ONE_STANDARD_ERROR, Field, Settings, cross_validate
from unstuck.selection.figures import honesty_of
from unstuck.selection.folds import Rounds, rows_of
from unstuck.selection.nested import nested_scores
from unstuck.selection.searching import MOST, Named, Point, Searched, Source, Space, checked_space, made
from unstuck.selection.standings import standings_of
from unstuck.setup import Setup
from unstuck.setup.describe import describe
from unstuck.setup.randomness import isolated

Candidates = Mapping[str, Setup | Callable[[], Setup]] | Callable[..., Setup]


@final
@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """What was chosen, ready to be trained.

    Attributes:
        setup: The chosen candidate on all of its training split; `unstuck.fit` trains it.
        choice: The record of the choice: plain data.
    """

    setup: Setup
    choice: Choice

    def __str__(self) -> str:
        """The choice as plain text, 80 columns, no colour."""
        return str(self.choice)


def select(
    candidates: Candidates,
    *,
    space: Space | None = None,
    search: str = "random",
    trials: int = MOST,
    folds: int = 5,
    groups: Sequence[Any] | None = None,
    times: Sequence[Any] | None = None,
    nested: bool = False,
    by: str | None = None,
    rule: str = ONE_STANDARD_ERROR,
    jobs: int = 1,
    seed: int = 0,
    budget: float = math.inf,
    wished: float = 0.02,
    log: str | Path | None = candidate_log.DEFAULT,
    progress: Listener = nobody,
) -> Selection:
    """Choose a model by cross-validation, and say how far the score of the winner can be believed.

    Nothing of the user's is touched, and every random generator is where it was afterwards.

    Args:
        candidates: Name → set-up, or → a function that makes it; or, with `space`, one function of hyper-parameters.
        space: Name of a hyper-parameter → `Between(low, high)` or a list of choices; needs Optuna.
        search: "grid", "random" or "tpe": how the space is searched, the whole of it first, then around the best.
        trials: Candidates that a search makes at most.
        folds: Number of folds of the training split; 1 to judge on the set-up's own validation split.
        groups: Group of each training sample; none is on both sides.
        times: Time of each training sample; only later ones are judged.
        nested: Whether the whole choice is also run inside each fold, which costs as many times as much.
        by: "loss" or "error"; where not given, the error for classes and the loss for other tasks.
        rule: "one-standard-error": the smallest candidate that is as good as the best within its error; or "lowest".
        jobs: Processes.
        seed: Seeds folds and search.
        budget: Seconds after which no candidate is begun.
        wished: The distance between score and truth for which the number of samples is told.
        log: Where the candidates tried on these samples are kept; None for nowhere.
        progress: Told what is being done.

    Returns:
        The chosen set-up and the record of the choice.

    Raises:
        SetupError: If an argument is not what it must be, or no candidate could be trained.
    """
    start = time.monotonic()
    deadline = start + budget

    def tell(doing: str) -> None:
        now = time.monotonic()
        progress(Progress(doing, now - start, max(0.0, deadline - now), None))

    source = _source(candidates, space, search, trials, seed)
    settings = Settings(folds, groups, times, by or "", rule, jobs, seed, deadline)
    _check(settings, wished)
    with warnings.catch_warnings(), isolated(seed):
        warnings.simplefilter("ignore")  # what the user's code warns of, it warns of in every run
        field, rounds, task, settings = cross_validate(source(), settings, tell)
        standings = standings_of(field, settings.by, settings.is_sparing)
        outside = nested_scores(source, rounds, task, settings, tell) if nested else None
    point, best = field.points[standings.chosen], field.points[standings.best]
    assert point.setup is not None  # what was chosen was trained
    mark, known, notes = _logged(field, rounds, log)
    scores, by = standings.scores, settings.by
    choice = Choice(
        sentence=_sentence(point, best, len(field.points)),
        chosen=point.name,
        best=best.name,
        by=by,
        rule="one standard error" if settings.is_sparing else "lowest",
        splitting=rounds.described,
        candidates=standings.ranked(),
        honesty=honesty_of(standings.matrix, scores, field.points, by, task, known, wished, rounds, outside),
        notes=(*field.notes, *notes),
        seconds=time.monotonic() - start,
        fingerprint=mark,
        complete=field.complete,
    )
    return Selection(point.setup, choice)


def _sentence(chosen: Point, best: Point, count: int) -> str:
    if count == 1:
        return f"{chosen.name} is judged."
    if chosen is best:
        return f"{chosen.name} is chosen among {count} candidates."
    return f"{chosen.name} is chosen among {count} candidates, the smallest within one standard error of {best.name}."


def _source(candidates: Candidates, space: Space | None, search: str, trials: int, seed: int) -> Callable[[], Source]:
    """A fresh source of candidates each time it is called: a nested choice searches anew."""
    if space is not None:
        if not callable(candidates):
            got = type(candidates).__name__
            raise SetupError("`candidates` must be a function where a space is given", got, "Give setup(**hyper).")
        if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
            raise SetupError("`trials` must be a whole number of at least 1", repr(trials), "Use 20.")
        checked, make = checked_space(space, search), candidates
        return lambda: Searched(make, checked, search, trials, seed)
    if not isinstance(candidates, Mapping) or not candidates:
        got = type(candidates).__name__ if not isinstance(candidates, Mapping) else "an empty one"
        advice = "Give {'small': setup, 'large': other}, or a function with `space`."
        raise SetupError("`candidates` must map names to set-ups", got, advice)
    points = [_named(str(name), one) for name, one in candidates.items()]
    return lambda: Named(points)


def _named(name: str, one: object) -> Point:
    if isinstance(one, Setup):
        return Point(name, {}, one)
    if not callable(one):
        advice = "Make one with `unstuck.Setup.of`."
        raise SetupError(f"candidate {name!r} must be an unstuck.Setup", type(one).__name__, advice)
    return made(name, {}, one)


def _check(settings: Settings, wished: float) -> None:
    if settings.by not in ("", "loss", "error"):
        raise SetupError("`by` must be 'loss' or 'error'", repr(settings.by), "Leave it out.")
    if settings.rule not in (ONE_STANDARD_ERROR, LOWEST):
        raise SetupError(f"`rule` must be {ONE_STANDARD_ERROR!r} or {LOWEST!r}", repr(settings.rule), "Leave it out.")
    if isinstance(settings.jobs, bool) or not isinstance(settings.jobs, int) or settings.jobs == 0:
        raise SetupError("`jobs` must be a number of processes", repr(settings.jobs), "Use 2.")
    if not wished > 0.0:
        raise SetupError("`wished` must be above 0", repr(wished), "Use 0.02.")


def _logged(field: Field, rounds: Rounds, log: str | Path | None) -> tuple[str, int, list[str]]:
    """Fingerprint of the samples, different candidates known for them, and notes."""
    setup = next(point.setup for point in field.points if point.setup is not None)
    mark = fingerprint(rows_of(setup, "train" if rounds.splits else "validation"))
    keys = [_key(point) for point in field.points]
    if log is None:
        return mark, len(set(keys)), ["no log of candidates was asked for, so earlier choices do not count"]
    known = candidate_log.read(mark, Path(log))
    problem = candidate_log.append(mark, [key for key in dict.fromkeys(keys) if key not in known.candidates], Path(log))
    notes = [problem] if problem else []
    if known.unreadable:
        notes.append(f"{known.unreadable} lines of the log {log} could not be read, so more may have been tried")
    return mark, len(known.candidates | set(keys)), notes


def _key(point: Point) -> str:
    what = "" if point.setup is None else repr(sorted(describe(point.setup).items()))
    return hashlib.sha256(f"{point.name} {sorted(point.hyper.items())!r} {what}".encode()).hexdigest()[:24]
