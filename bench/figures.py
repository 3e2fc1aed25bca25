"""From outcomes to figures: every share with its interval."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.outcome import CURED, Outcome
from unstuck.stats import wilson_interval


@dataclass(frozen=True)
class Share:
    """So many of so many, with a 95 % interval (Wilson 1927)."""

    of: int
    all: int

    @property
    def value(self) -> float:
        return self.of / self.all if self.all else math.nan

    def __str__(self) -> str:
        if not self.all:
            return "–"
        interval = wilson_interval(self.of, self.all)
        return f"{self.value:.3f} [{interval.low:.2f}, {interval.high:.2f}] ({self.of}/{self.all})"


def share(of: Iterable[bool]) -> Share:
    """How many are true."""
    flags = list(of)
    return Share(sum(flags), len(flags))


@dataclass(frozen=True)
class Figures:
    """The figures of some outcomes."""

    sick: int
    healthy: int
    top1: Share
    top3: Share
    branch: Share
    right_by_cure: Share
    false_alarms: Share
    wrong_confident: Share
    cured: Share
    solved: Share
    randomly_cured: Share
    most_frequent: Share
    healthy_shortfall: float
    seconds_median: float
    seconds_95: float
    first_finding_95: float


def figures(outcomes: Sequence[Outcome]) -> Figures:
    """Sum outcomes up."""
    counted = [outcome for outcome in outcomes if not outcome.skipped]
    sick = [outcome for outcome in counted if outcome.truth]
    healthy = [outcome for outcome in counted if not outcome.truth]
    seconds = [outcome.seconds for outcome in counted if math.isfinite(outcome.seconds)]
    first = [outcome.first_finding for outcome in sick if outcome.first_finding is not None]
    frequent = Counter(code for outcome in sick for code in outcome.truth[:1]).most_common(1)
    return Figures(
        sick=len(sick),
        healthy=len(healthy),
        top1=share(outcome.top1 for outcome in sick),
        top3=share(outcome.top3 for outcome in sick),
        branch=share(outcome.right_branch for outcome in sick),
        right_by_cure=share(outcome.top1 or outcome.closed >= CURED for outcome in sick),
        false_alarms=share(outcome.false_alarm for outcome in healthy),
        wrong_confident=share(
            bool(outcome.confirmed) and outcome.confirmed[0] not in outcome.truth for outcome in counted
        ),
        cured=share(outcome.closed >= CURED for outcome in sick if math.isfinite(outcome.closed)),
        solved=share(outcome.solved for outcome in sick),
        randomly_cured=share(
            outcome.random_closed >= CURED for outcome in sick if math.isfinite(outcome.random_closed)
        ),
        most_frequent=share(bool(frequent) and frequent[0][0] in outcome.truth for outcome in sick),
        healthy_shortfall=max(
            (o.shortfall for o in healthy if not o.named and o.shortfall == o.shortfall), default=math.nan
        ),
        seconds_median=float(np.median(seconds)) if seconds else math.nan,
        seconds_95=float(np.quantile(seconds, 0.95)) if seconds else math.nan,
        first_finding_95=float(np.quantile(first, 0.95)) if first else math.nan,
    )


def confusion(outcomes: Sequence[Outcome]) -> dict[str, Counter[str]]:
    """True cause → how often each was named first ("none" where nothing was)."""
    table: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        if outcome.skipped or outcome.group == "pair":  # either of a pair is right
            continue
        truth = outcome.truth[0] if outcome.truth else "healthy"
        if outcome.top1:
            truth = outcome.named[0]
        table.setdefault(truth, Counter())[outcome.named[0] if outcome.named else "none"] += 1
    return dict(sorted(table.items()))
