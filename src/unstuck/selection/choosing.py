"""`select`: judge candidates by cross-validation, choose one, and say how far its score can be believed."""

from __future__ import annotations

import hashlib
import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch

from unstuck import candidate_log
from unstuck.choice import CandidateScore, Choice
from unstuck.errors import SetupError
from unstuck.examine import Examination
from unstuck.honesty import one_standard_error
from unstuck.measure.fingerprint import fingerprint
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.task import Kind, Task
from unstuck.progress import Listener, Progress, nobody
from unstuck.selection.figures import honesty_of, standard_error_of
from unstuck.selection.folds import Rounds, rounds_of, rows_of
from unstuck.selection.judging import Judged, judge, judge_all
from unstuck.selection.searching import MOST, Named, Point, Searched, Source, Space, checked_space, made
from unstuck.setup import Setup
from unstuck.setup.describe import describe
from unstuck.setup.randomness import isolated

Array = np.ndarray[Any, Any]
Candidates = Mapping[str, Setup | Callable[[], Setup]] | Callable[..., Setup]

ONE_STANDARD_ERROR: Final = "one-standard-error"
LOWEST: Final = "lowest"


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


@final
@dataclass(frozen=True, slots=True)
class Settings:
    """How candidates are judged and chosen; as the arguments of `select`."""

    folds: int
    groups: Sequence[Any] | None
    times: Sequence[Any] | None
    by: str
    rule: str
    jobs: int
    seed: int
    deadline: float


@final
@dataclass
class Field:
    """Candidates with what came of them.

    Attributes:
        points: The candidates.
        judged: Per candidate, what came of each round so far.
        pruned: Whether it was given up.
        notes: What went otherwise than asked.
        complete: Whether all were judged.
    """

    points: list[Point]
    judged: list[list[Judged]]
    pruned: list[bool]
    notes: list[str]
    complete: bool = True


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
    source = _source(candidates, space, search, trials, seed)
    settings = Settings(folds, groups, times, by or "", rule, jobs, seed, start + budget)
    _check(settings, wished)
    with warnings.catch_warnings(), isolated(seed):
        warnings.simplefilter("ignore")  # what the user's code warns of, it warns of in every run
        first = source()
        field, rounds, task, settings = _judged(first, settings, progress, start)
        chosen, best, scores, matrix = _chosen(field, settings)
        outside = _nested(source, rounds, task, settings, progress, start) if nested else None
    point = field.points[chosen]
    assert point.setup is not None  # what was chosen was trained
    mark, known, notes = _logged(field, rounds, log)
    figures = honesty_of(matrix, scores, field.points, settings.by, task, known, wished, rounds, outside)
    order = np.argsort([score if math.isfinite(score) else math.inf for score in _values(scores, settings.by)])
    same = chosen == best
    what = (
        f"{point.name} is chosen among {len(field.points)} candidates"
        if len(field.points) > 1
        else f"{point.name} is judged"
    )
    why = (
        ""
        if same or len(field.points) == 1
        else f", the smallest within one standard error of {field.points[best].name}"
    )
    choice = Choice(
        sentence=f"{what}{why}.",
        chosen=point.name,
        best=field.points[best].name,
        by=settings.by,
        rule="one standard error" if settings.rule == ONE_STANDARD_ERROR else "lowest",
        splitting=rounds.described,
        candidates=tuple(scores[place] for place in order),
        honesty=figures,
        notes=(*field.notes, *notes),
        seconds=time.monotonic() - start,
        fingerprint=mark,
        complete=field.complete,
    )
    return Selection(point.setup, choice)


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


def _judged(
    source: Source, settings: Settings, progress: Listener, start: float, within: Array | None = None
) -> tuple[Field, Rounds, Task | None, Settings]:
    """Judge every candidate of a source, fold by fold, on all samples or `within` some."""
    field = Field([], [], [], [])
    rounds: Rounds | None = None
    task: Task | None = None
    reference: Setup | None = None
    while points := source.ask(max(1, abs(settings.jobs))):
        if time.monotonic() > settings.deadline and field.points:
            field.complete = False
            field.notes.append("the time was up before all candidates were judged")
            break
        points = [_within(point, within) for point in points]
        usable = [point for point in points if point.setup is not None]
        if rounds is None and usable:
            reference = usable[0].setup
            assert reference is not None  # chosen as such
            task = _task(reference)
            by = settings.by or ("error" if task is not None and task.kind is not Kind.VALUES else "loss")
            settings = replace(settings, by=by)
            rounds = rounds_of(reference, task, settings.folds, settings.groups, settings.times, settings.seed)
        for point in usable:
            _check_alike(point, reference, settings.folds)
        _run(points, field, source, rounds, task, settings, progress, start)
    if rounds is None or not any(each and not each[0].problem for each in field.judged):
        reasons = [point.problem for point in field.points] + [one.problem for each in field.judged for one in each]
        got = next((reason for reason in reasons if reason), "none")
        raise SetupError("At least one candidate must train", got, "See its message.")
    return field, rounds, task, settings


def _run(
    points: list[Point],
    field: Field,
    source: Source,
    rounds: Rounds | None,
    task: Task | None,
    settings: Settings,
    progress: Listener,
    start: float,
) -> None:
    """Judge some candidates; after each fold the hopeless ones are given up."""
    places = range(len(field.points), len(field.points) + len(points))
    field.points += points
    field.judged += [[] for _ in points]
    field.pruned += [False] * len(points)
    alive = [place for place in places if field.points[place].setup is not None]
    searching = isinstance(source, Searched)
    steps = [[number] for number in range(rounds.count)] if rounds is not None and searching else None
    if rounds is not None:
        for numbers in steps or [list(range(rounds.count))]:
            elapsed = time.monotonic() - start
            doing = f"judging {len(alive)} of {len(field.points)} candidates"
            progress(Progress(doing, elapsed, max(0.0, settings.deadline - time.monotonic()), None))
            wanted = [(field.points[place].setup, number) for place in alive for number in numbers]
            found, note = judge_all([(one, n) for one, n in wanted if one is not None], rounds, task, settings.jobs)
            if note and note not in field.notes:
                field.notes.append(note)
            for place, rest in zip(alive, range(0, len(found), len(numbers)), strict=True):
                field.judged[place] += found[rest : rest + len(numbers)]
            alive = [place for place in alive if not _is_given_up(field, source, place, numbers[-1], settings.by)]
    for place in places:
        value = _mean(field.judged[place], settings.by) if place in alive else math.nan
        if field.points[place].trial is not None:
            source.tell(field.points[place], value, field.pruned[place])


def _is_given_up(field: Field, source: Source, place: int, number: int, by: str) -> bool:
    if any(one.problem for one in field.judged[place]):
        return True
    if source.should_stop(field.points[place], number, _mean(field.judged[place], by)):
        field.pruned[place] = True
    return field.pruned[place]


def _task(setup: Setup) -> Task | None:
    found = Examination(setup).get(Task)
    return None if isinstance(found, Unmeasured) else found


def _within(point: Point, within: Array | None) -> Point:
    if within is None or point.setup is None:
        return point
    train = rows_of(point.setup, "train").subset(torch.from_numpy(within))
    return Point(point.name, point.hyper, replace(point.setup, train=train), point.trial, point.problem)


def _check_alike(point: Point, reference: Setup | None, folds: int) -> None:
    """Candidates are judged on the same samples, whatever they make of the inputs."""
    assert point.setup is not None and reference is not None  # callers have asked
    name = "train" if folds > 1 else "validation"
    own, first = rows_of(point.setup, name), rows_of(reference, name)
    if own.size != first.size:
        got = f"{own.size} in {point.name!r} and {first.size} in another"
        raise SetupError(f"all candidates must have the same `{name}` samples", got, "Give them the same data.")


def _mean(judged: Sequence[Judged], by: str) -> float:
    parts = [one.losses if by == "loss" else one.errors for one in judged]
    joined = np.concatenate(parts) if parts else np.empty(0)
    return float(joined.mean()) if joined.size else math.nan


def _values(scores: Sequence[CandidateScore], by: str) -> list[float]:
    whole = [score.loss if by == "loss" else score.error for score in scores]
    return [math.nan if score.pruned or score.problem else value for score, value in zip(scores, whole, strict=True)]


def _chosen(field: Field, settings: Settings) -> tuple[int, int, list[CandidateScore], Array]:
    """Place of the chosen and of the best candidate, all scores, and the matrix `[H, N]` of those judged in full."""
    scores = [
        _score(point, judged, pruned, settings.by)
        for point, judged, pruned in zip(field.points, field.judged, field.pruned, strict=True)
    ]
    means = np.asarray(_values(scores, settings.by))
    if not np.isfinite(means).any():
        raise SetupError("At least one candidate must end in a finite score", "none", "Lower the rates, say.")
    best = int(np.nanargmin(means))
    if settings.rule == ONE_STANDARD_ERROR:
        sizes = np.asarray([score.parameters for score in scores], dtype=float)
        chosen = one_standard_error(means, scores[best].standard_error, sizes)
    else:
        chosen = best
    rows = [
        np.concatenate([one.losses if settings.by == "loss" else one.errors for one in judged])
        for judged, mean in zip(field.judged, means, strict=True)
        if math.isfinite(mean)
    ]
    alike = len({len(row) for row in rows}) == 1
    return chosen, best, scores, np.stack(rows) if alike else np.empty((0, 0))


def _score(point: Point, judged: Sequence[Judged], pruned: bool, by: str) -> CandidateScore:
    problem = point.problem or next((one.problem for one in judged if one.problem), "")
    folds = tuple(_mean([one], by) for one in judged if not one.problem)
    return CandidateScore(
        name=point.name,
        hyper={key: value if isinstance(value, (bool, int, float, str)) else repr(value)
               for key, value in point.hyper.items()},
        loss=math.nan if problem else _mean(judged, "loss"),
        error=math.nan if problem else _mean(judged, "error"),
        standard_error=standard_error_of(judged, folds, by),
        folds=folds,
        parameters=_parameters(point),
        pruned=pruned,
        problem=problem,
        training_curve=_curve([one.training_curve for one in judged]),
        validation_curve=_curve([one.validation_curve for one in judged]),
    )  # fmt: skip


def _curve(curves: Sequence[tuple[float, ...]]) -> tuple[float, ...]:
    shortest = min((len(curve) for curve in curves if curve), default=0)
    return tuple(float(np.mean([curve[place] for curve in curves if curve])) for place in range(shortest))


def _parameters(point: Point) -> int:
    if point.setup is None:
        return 0
    with isolated(point.setup.seed):
        model, _ = point.setup.build()
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _nested(
    source: Callable[[], Source],
    rounds: Rounds,
    task: Task | None,
    settings: Settings,
    progress: Listener,
    start: float,
) -> Array | None:
    """Scores of the whole procedure: in each round the choice is made on the training part alone.

    Varma & Simon, "Bias in error estimation when using cross-validation for model selection", BMC Bioinformatics 7
    (2006).

    Returns:
        Score of each sample by the candidate that was chosen without it, `[N]`.

    Raises:
        SetupError: If there are no folds, or in one of them no candidate trains.
    """
    if not rounds.splits:
        raise SetupError("`nested` must have folds", "one validation split", "Use folds=5.")
    scores = list[Array]()
    for first, second in rounds.splits:
        picked = _at(settings, first)
        field, _, _, _ = _judged(source(), picked, progress, start, within=first)
        point = field.points[_chosen(field, picked)[0]]
        whole = next(one for one in _again(source, point) if one.setup is not None)
        assert whole.setup is not None  # asked for
        rows = rows_of(whole.setup, "train")
        found = judge(whole.setup, rows.subset(torch.from_numpy(first)), rows.subset(torch.from_numpy(second)), task)
        scores.append(found.losses if settings.by == "loss" else found.errors)
    return np.concatenate(scores)


def _again(source: Callable[[], Source], point: Point) -> list[Point]:
    """The candidate on all samples: made anew where it was searched for."""
    fresh = source()
    if isinstance(fresh, Searched):
        return [made(point.name, point.hyper, lambda: fresh.make(**point.hyper))]
    return [one for one in fresh.ask(1) if one.name == point.name]


def _at(settings: Settings, rows: Array) -> Settings:
    """The settings for some samples only."""
    groups = None if settings.groups is None else [settings.groups[place] for place in rows]
    times = None if settings.times is None else [settings.times[place] for place in rows]
    return replace(settings, groups=groups, times=times)


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
