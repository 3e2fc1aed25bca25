"""Where candidates come from: named ones, or points of a space found by coarse-to-fine search through Optuna."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, final

from unstuck.choice import Between
from unstuck.errors import SetupError
from unstuck.setup import Setup

Space = Mapping[str, Between | Sequence[Any]]

COARSE: Final = 0.6
"""Share of the candidates that search the whole space; the rest searches around the best of them."""

NARROWED: Final = 1 / 3
"""Width of the fine range over that of the coarse one."""

GRID_POINTS: Final = 3
MOST: Final = 20
WARM_UP: Final = 4
"""Candidates that are judged in full before any is given up (as Optuna's median pruner has it)."""


@final
@dataclass
class Point:
    """A candidate that is being judged.

    Attributes:
        name: Its name.
        hyper: Its hyper-parameters.
        setup: What is trained, or None where it could not be made.
        trial: Optuna's trial, or None.
        problem: Why it could not be made, or "".
    """

    name: str
    hyper: Mapping[str, Any]
    setup: Setup | None
    trial: Any = None
    problem: str = ""


class Source(Protocol):
    """Gives candidates, and is told how they did."""

    def ask(self, count: int) -> list[Point]:
        """The next candidates; none where there are no more."""

    def should_stop(self, point: Point, fold: int, mean: float) -> bool:
        """Whether a candidate is hopeless after some folds."""

    def tell(self, point: Point, value: float, pruned: bool) -> None:
        """What a candidate came to; NaN where it failed."""


@final
class Named:
    """Candidates that were given by name."""

    def __init__(self, points: Sequence[Point]) -> None:
        """Start with all of them waiting."""
        self._waiting = list(points)

    def ask(self, count: int) -> list[Point]:
        """All of them at once."""
        found, self._waiting = self._waiting, []
        return found

    def should_stop(self, point: Point, fold: int, mean: float) -> bool:
        """Never: each was asked for."""
        return False

    def tell(self, point: Point, value: float, pruned: bool) -> None:
        """Nothing depends on it."""


@final
@dataclass
class Searched:
    """Points of a space, the whole of it first, then the neighbourhood of the best.

    Attributes:
        make: `make(**hyper)` gives the set-up.
        space: What is searched.
        search: "grid", "random" or "tpe".
        trials: Candidates in all.
        seed: Seeds the search.
    """

    make: Callable[..., Setup]
    space: Space
    search: str
    trials: int
    seed: int
    _told: list[tuple[float, Mapping[str, Any]]] = field(default_factory=list)
    _studies: Iterator[tuple[Any, int, Space]] | None = None
    _open: tuple[Any, int, Space] | None = None

    def ask(self, count: int) -> list[Point]:
        """The next candidates of this stage, then those of the next."""
        if self._studies is None:
            self._studies = self._stages()
        while self._open is None or self._open[1] <= 0:
            self._open = next(self._studies, None)
            if self._open is None:
                return []
        study, left, space = self._open
        points = [self._point(study.ask(), space) for _ in range(min(count, left))]
        self._open = (study, left - len(points), space)
        return points

    def should_stop(self, point: Point, fold: int, mean: float) -> bool:
        """By the median of the others after as many folds (Golovin et al. 2017, as in Optuna)."""
        if not math.isfinite(mean):
            return True
        point.trial.report(mean, fold)
        return bool(point.trial.should_prune())

    def tell(self, point: Point, value: float, pruned: bool) -> None:
        """Keep it for the search, and for where the fine stage begins."""
        from optuna.trial import TrialState

        study = point.trial.study
        if pruned:
            study.tell(point.trial, state=TrialState.PRUNED)
        elif math.isfinite(value):
            study.tell(point.trial, value)
            self._told.append((value, point.hyper))
        else:
            study.tell(point.trial, state=TrialState.FAIL)

    def _stages(self) -> Iterator[tuple[Any, int, Space]]:
        coarse = self.trials if self.search == "grid" else max(1, round(COARSE * self.trials))
        size = math.prod(len(values) for values in grid_of(self.space).values())
        first = min(coarse, size) if self.search == "grid" else coarse
        yield self._study(self.space, 0), first, self.space
        left = self.trials - first
        if left > 0 and self._told and any(isinstance(axis, Between) for axis in self.space.values()):
            near = narrowed(self.space, min(self._told, key=lambda pair: pair[0])[1])
            if self.search == "grid":
                left = min(left, math.prod(len(values) for values in grid_of(near).values()))
            yield self._study(near, 1), left, near

    def _study(self, space: Space, stage: int) -> Any:
        optuna = _optuna()
        samplers = optuna.samplers
        seed = self.seed + stage
        sampler = samplers.TPESampler(seed=seed) if self.search == "tpe" else samplers.RandomSampler(seed)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=WARM_UP, n_warmup_steps=1)
        study = optuna.create_study(sampler=sampler, pruner=pruner)
        if self.search == "grid":  # Optuna's own grid sampler cannot be asked: it stops a loop that is not there
            axes = grid_of(space)
            points = list(itertools.product(*axes.values()))
            for point in random.Random(seed).sample(points, len(points)):
                study.enqueue_trial(dict(zip(axes, point, strict=True)))
        return study

    def _point(self, trial: Any, space: Space) -> Point:
        hyper = {name: _suggested(trial, name, axis) for name, axis in space.items()}
        name = " ".join(f"{key}={_short(value)}" for key, value in hyper.items())
        return made(name, hyper, lambda: self.make(**hyper), trial)


def made(name: str, hyper: Mapping[str, Any], make: Callable[[], Any], trial: Any = None) -> Point:
    """Make a candidate; what goes wrong in the user's function becomes its problem.

    Args:
        name: Its name.
        hyper: Its hyper-parameters.
        make: Gives the set-up.
        trial: Optuna's trial, or None.

    Returns:
        The candidate.

    Raises:
        SetupError: If the function gives something else than a set-up.
    """
    try:
        setup = make()
    except Exception as error:  # one bad point of a space must not end the search
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return Point(name, hyper, None, trial, f"making it raised {reason}")
    if not isinstance(setup, Setup):
        advice = "Return one made with `unstuck.Setup.of`."
        raise SetupError(f"candidate {name!r} must be an unstuck.Setup", type(setup).__name__, advice)
    return Point(name, hyper, setup, trial)


def checked_space(space: object, search: str) -> Space:
    """Check a space and the way it is searched.

    Args:
        space: Name → `Between` or a list of choices.
        search: "grid", "random" or "tpe".

    Returns:
        The space.

    Raises:
        SetupError: If one of them is something else.
    """
    if search not in ("grid", "random", "tpe"):
        raise SetupError("`search` must be 'grid', 'random' or 'tpe'", repr(search), "Use 'random'.")
    if not isinstance(space, Mapping) or not space:
        got = type(space).__name__ if not isinstance(space, Mapping) else "an empty one"
        raise SetupError(
            "`space` must map names to ranges or choices", got, "Give {'rate': Between(1e-4, 0.1, log=True)}."
        )
    for name, axis in space.items():
        if isinstance(axis, Between):
            continue
        if isinstance(axis, str) or not isinstance(axis, Sequence) or not len(axis):
            raise SetupError(
                f"`space[{name!r}]` must be a range or a list of choices", repr(axis), "Give [16, 32, 64]."
            )
    return space


def grid_of(space: Space) -> dict[str, list[Any]]:
    """The points of each axis of a grid: all choices, or a few points of a range, ends included."""
    return {
        name: _points(axis) if isinstance(axis, Between) else list(range(len(axis))) for name, axis in space.items()
    }


def _points(axis: Between) -> list[float]:
    parts = [number / (GRID_POINTS - 1) for number in range(GRID_POINTS)]
    if axis.log:
        points = [axis.low * (axis.high / axis.low) ** part for part in parts]
    else:
        points = [axis.low + (axis.high - axis.low) * part for part in parts]
    points[-1] = axis.high
    return sorted({round(point) for point in points}) if axis.whole else points


def narrowed(space: Space, best: Mapping[str, Any]) -> Space:
    """The space around a point: each range a third as wide about it, each choice as it was made.

    Args:
        space: What was searched.
        best: The best point.

    Returns:
        The smaller space.
    """
    return {
        name: _near(axis, best[name]) if isinstance(axis, Between) else [best[name]] for name, axis in space.items()
    }


def _near(axis: Between, value: float) -> Between | list[Any]:
    if axis.log:
        reach = (axis.high / axis.low) ** (NARROWED / 2)
        low, high = max(axis.low, value / reach), min(axis.high, value * reach)
    else:
        reach = (axis.high - axis.low) * NARROWED / 2
        low, high = max(axis.low, value - reach), min(axis.high, value + reach)
    if axis.whole:
        low, high = math.floor(low), math.ceil(high)
    return Between(low, high, axis.log, axis.whole) if low < high else [value]


def _suggested(trial: Any, name: str, axis: Between | Sequence[Any]) -> Any:
    if not isinstance(axis, Between):
        return axis[trial.suggest_categorical(name, list(range(len(axis))))]
    if axis.whole:
        return trial.suggest_int(name, int(axis.low), int(axis.high), log=axis.log)
    return trial.suggest_float(name, axis.low, axis.high, log=axis.log)


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        advice = "Install it: pip install 'unstuck[select]'; or give the candidates by name."
        raise SetupError("searching a space needs Optuna", "no such package", advice) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
