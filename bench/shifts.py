"""Shifts whose densities are known: how often they are seen, and how much of what the truth would mend is mended.

python -m bench.shifts                a hundred draws of each; writes docs/shifts.md
python -m bench.shifts --trials 20    fewer, for a first look; writes it too
"""

import argparse
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy: one thread a process

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import ks_2samp

from unstuck.measure.features import Table
from unstuck.measure.learners import quietly
from unstuck.measure.shift.permutation import compare
from unstuck.measure.shift.priors import by_confusion, by_expectation, calibration, softmax
from unstuck.measure.shift.ratio import density_ratio
from unstuck.stats import mean_interval, wilson_interval

PAGE = Path(__file__).parents[1] / "docs" / "shifts.md"
ROWS = 200
"""Samples of each side in the tests."""
LEVEL = 0.05
DIMENSIONS = (2, 10)
FRESH = 20_000
"""Test samples that a corrected model is scored on, besides those that it was corrected with."""

Draw = Callable[[np.random.Generator, int], Table]


@dataclass(frozen=True)
class Shift:
    """A kind of shift of a standard normal distribution: what the test inputs are drawn from."""

    name: str
    draw: Draw


def _plain(draws: np.random.Generator, columns: int) -> Table:
    return draws.normal(size=(ROWS, columns))


def _mean_of_all(draws: np.random.Generator, columns: int) -> Table:
    return np.asarray(_plain(draws, columns) + 0.3 / columns**0.25)


def _mean_of_one(draws: np.random.Generator, columns: int) -> Table:
    made = _plain(draws, columns)
    made[:, 0] += 0.4
    return made


def _spread_of_one(draws: np.random.Generator, columns: int) -> Table:
    made = _plain(draws, columns)
    made[:, 0] *= 1.4
    return made


def _spread_of_all(draws: np.random.Generator, columns: int) -> Table:
    return np.asarray(_plain(draws, columns) * (1.0 + 0.35 / columns**0.5))


def _correlation(draws: np.random.Generator, columns: int) -> Table:
    made = _plain(draws, columns)
    made[:, 1] = 0.4 * made[:, 0] + math.sqrt(1 - 0.4**2) * made[:, 1]
    return made


def _tail(draws: np.random.Generator, columns: int) -> Table:
    made = _plain(draws, columns)
    made[draws.random(ROWS) < 0.08, 0] *= 4.0
    return made


def _clusters(share: float) -> Draw:
    """Two clusters, the second with this share."""

    def draw(draws: np.random.Generator, columns: int) -> Table:
        made = _plain(draws, columns)
        made[:, :2] += 2.0 * (draws.random(ROWS) < share)[:, None]
        return made

    return draw


NONE = Shift("none", _plain)
SHIFTS = (
    Shift("mean of every feature", _mean_of_all),
    Shift("mean of one feature", _mean_of_one),
    Shift("spread of every feature", _spread_of_all),
    Shift("spread of one feature", _spread_of_one),
    Shift("correlation of two", _correlation),
    Shift("tail of one", _tail),
    Shift("shares of two clusters", _clusters(0.68)),
)


def by_margins(ours: Table, theirs: Table) -> float:
    """The usual practice: Kolmogorov and Smirnov's test of every feature, Bonferroni's correction."""
    tests = (ks_2samp(one, other).pvalue for one, other in zip(ours.T, theirs.T, strict=True))
    return float(min(1.0, ours.shape[1] * min(tests)))


def by_kernel(ours: Table, theirs: Table, seed: int, permutations: int = 199) -> float:
    """Maximum mean discrepancy, a Gaussian kernel of the median distance, permutations (Gretton et al. 2012)."""
    table = np.concatenate([ours, theirs])
    squares = (table**2).sum(1)
    distance = np.maximum(squares[:, None] + squares[None] - 2.0 * table @ table.T, 0.0)
    kernel = np.exp(-distance / np.median(distance[np.triu_indices(len(table), 1)]))
    draws = np.random.default_rng(seed)
    labels = np.zeros((len(table), permutations + 1))
    labels[len(ours) :, 0] = 1.0
    for number in range(permutations):
        labels[draws.permutation(len(table))[: len(theirs)], number + 1] = 1.0
    steps = labels / len(theirs) - (1.0 - labels) / len(ours)
    found = (steps * (kernel @ steps)).sum(0)
    return float((found >= found[0] - 1e-12).mean())


def seen(shift: Shift, columns: int, seed: int) -> tuple[bool, bool, bool]:
    """Whether our test, the margins and the kernel see it at the level asked for."""
    draws = np.random.default_rng([seed, columns])
    start = _clusters(0.5) if shift.name.startswith("shares") else _plain
    ours, theirs = start(draws, columns), shift.draw(draws, columns)
    mine = compare(ours, theirs, permutations=199, seed=seed).p_value
    return mine <= LEVEL, by_margins(ours, theirs) <= LEVEL, by_kernel(ours, theirs, seed) <= LEVEL


@dataclass(frozen=True)
class Recovery:
    """What one correction did.

    Attributes:
        share: Of what the truth would mend; NaN where there is next to nothing to mend.
        worse: Whether it made the loss on fresh test samples worse, by more than a hundredth.
        claimed: Whether the labelled half of the test data spoke for it, beyond its 95 % interval.
    """

    share: float
    worse: bool
    claimed: bool


@dataclass(frozen=True)
class Tilt:
    """Normal inputs that move: by `mean` along the first feature, spread times `spread`."""

    name: str
    columns: int
    mean: float
    spread: float


TILTS = tuple(
    Tilt(f"{name}, {columns} feature{'s' * (columns > 1)}", columns, mean, spread)
    for columns in (1, 3, 8)
    for name, mean, spread in (("moved mean", 1.0, 1.0), ("smaller spread", 0.0, 0.5), ("both", 0.8, 0.7))
)


def weighted(tilt: Tilt, seed: int) -> Recovery:
    """A straight line through a curve: with weights it is right where the test samples lie."""
    draws = np.random.default_rng([seed, tilt.columns])

    def curve(inputs: Table) -> Table:
        return np.asarray(np.sin(1.3 * inputs[:, 0]) + 0.5 * inputs[:, 0] ** 2 + 0.3 * inputs.sum(1))

    def test_inputs(count: int) -> Table:
        made = draws.normal(size=(count, tilt.columns))
        made[:, 0] = tilt.mean + tilt.spread * made[:, 0]
        return made

    ours, theirs, fresh = draws.normal(size=(500, tilt.columns)), test_inputs(400), test_inputs(FRESH)
    targets = curve(ours) + 0.2 * draws.normal(size=len(ours))
    along = (ours[:, 0] - tilt.mean) / tilt.spread
    true = np.exp(0.5 * ours[:, 0] ** 2 - 0.5 * along**2) / tilt.spread
    half = len(theirs) // 2
    with quietly():
        estimated = density_ratio(ours, theirs[:half], seed).weights
    models = [_line(ours, targets, weights) for weights in (np.ones(len(ours)), true, estimated)]

    def losses(inputs: Table) -> list[Table]:
        return [(model(inputs) - curve(inputs)) ** 2 for model in models]

    return _recovery(losses(fresh), losses(theirs[half:]))


def _line(inputs: Table, targets: Table, weights: Table) -> Callable[[Table], Table]:
    rows = np.concatenate([inputs, np.ones((len(inputs), 1))], 1)
    gram = rows.T @ (weights[:, None] * rows) + 1e-6 * np.eye(rows.shape[1])
    solved = np.linalg.solve(gram, rows.T @ (weights * targets))
    return lambda asked: np.asarray(np.concatenate([asked, np.ones((len(asked), 1))], 1) @ solved)


@dataclass(frozen=True)
class Shares:
    """Clusters that overlap, and the shares of the classes in the test data; even in training."""

    name: str
    shares: tuple[float, ...]
    columns: int


SHARES = tuple(
    Shares(
        f"{len(shares)} classes at {' : '.join(f'{share:.2g}' for share in shares)}, {columns} features",
        shares,
        columns,
    )
    for columns in (2, 10)
    for shares in ((0.8, 0.2), (0.95, 0.05), (0.7, 0.2, 0.1), (0.4, 0.3, 0.1, 0.1, 0.1))
)


def corrected(case: Shares, way: str, seed: int) -> Recovery:
    """Logistic regression, whose outputs are corrected for shares told from the test inputs."""
    from sklearn.linear_model import LogisticRegression

    draws = np.random.default_rng([seed, case.columns, len(case.shares)])
    classes = len(case.shares)
    centres = np.zeros((classes, case.columns))
    angles = 2 * np.pi * np.arange(classes) / classes
    centres[:, 0], centres[:, 1] = 1.4 * np.cos(angles), 1.4 * np.sin(angles)

    def sample(count: int, shares: Any) -> tuple[Table, Any]:
        labels = draws.choice(classes, size=count, p=shares)
        return centres[labels] + draws.normal(size=(count, case.columns)), labels

    even = np.full(classes, 1 / classes)
    train, held_out = sample(400, even), sample(300, even)
    test, fresh = sample(400, case.shares), sample(FRESH, case.shares)
    model = LogisticRegression(C=1.0, max_iter=300).fit(*train)

    def logits(inputs: Table) -> Table:
        said = model.decision_function(inputs)
        return np.stack([np.zeros(len(inputs)), said], 1) if classes == 2 else np.asarray(said)

    half = len(test[0]) // 2
    factor, offsets = calibration(logits(held_out[0]), held_out[1])
    theirs, known = (softmax(factor * logits(inputs) + offsets) for inputs in (test[0][:half], held_out[0]))
    prior = np.bincount(held_out[1], minlength=classes) / len(held_out[1])
    told = by_expectation(theirs, prior) if way == "expectation" else by_confusion(known, held_out[1], theirs)

    def losses(inputs: Table, labels: Any) -> list[Table]:
        found = []
        for shares in (even, np.array(case.shares), told):
            chances = softmax(logits(inputs) + np.log(np.maximum(shares, 1e-3) / even))
            found.append(-np.log(chances[np.arange(len(labels)), labels]))
        return found

    return _recovery(losses(*fresh), losses(test[0][half:], test[1][half:]))


def _recovery(fresh: list[Table], half: list[Table]) -> Recovery:
    before, best, after = (float(each.mean()) for each in fresh)
    share = (before - after) / (before - best) if before - best > 0.02 * before else math.nan
    gains = mean_interval((half[0] - half[2]).tolist())
    return Recovery(share, after > 1.01 * before, gains.low > 0.0)


def run(function: Callable[..., Any], *arguments: Any, trials: int) -> list[Any]:
    """The same with other seeds, two at a time."""
    found: list[Any] = Parallel(n_jobs=2)(delayed(function)(*arguments, seed) for seed in range(trials))
    return found


def detection(trials: int) -> list[str]:
    """The table of power and of false alarms."""
    lines = [
        "| shift | features | this test | features one by one | kernel | at least the better, within chance |",
        "|---|---|---|---|---|---|",
    ]
    for shift in (NONE, *SHIFTS):
        count = 4 * trials if shift is NONE else trials
        for columns in DIMENSIONS:
            rows = np.array(run(seen, shift, columns, trials=count))
            mine, margins, kernel = rows.mean(0)
            # Paired: the same draws were put to all three.
            better = rows[:, 1 + int(kernel > margins)]
            lost = rows[:, 0].astype(float) - better
            chance = mean_interval(lost.tolist()) if lost.any() else None
            holds = "–" if shift is NONE else "yes" if mine >= max(margins, kernel) else ""
            holds = holds or ("yes" if chance is not None and chance.high >= 0.0 else "no")
            within = wilson_interval(int(rows[:, 0].sum()), count)
            told = f"{mine:.2f} [{within.low:.2f}, {within.high:.2f}]"
            lines.append(f"| {shift.name} | {columns} | {told} | {margins:.2f} | {kernel:.2f} | {holds} |")
            print(lines[-1], flush=True)
    return lines


def recoveries(trials: int) -> tuple[list[str], list[Recovery]]:
    """The table of what was mended."""
    lines = [
        "| correction | shift | share mended, median | lowest tenth | worse | worse and claimed better |",
        "|---|---|---|---|---|---|",
    ]
    everything: list[Recovery] = []
    jobs: list[tuple[str, str, Callable[..., Any], tuple[Any, ...]]] = [
        ("weights", tilt.name, weighted, (tilt,)) for tilt in TILTS
    ]
    for way, name in (
        ("expectation", "shares by expectation and maximisation"),
        ("confusion", "shares by the confusion matrix"),
    ):
        jobs += [(name, case.name, corrected, (case, way)) for case in SHARES]
    for correction, name, function, arguments in jobs:
        # Weights take a second of fitting each, shares next to nothing.
        count = max(1, trials // 4) if function is weighted else trials
        found: list[Recovery] = run(function, *arguments, trials=count)
        everything += found
        shares = np.array([one.share for one in found if math.isfinite(one.share)])
        middle, low = (np.median(shares), np.quantile(shares, 0.1)) if len(shares) else (math.nan, math.nan)
        worse = sum(one.worse for one in found)
        claimed = sum(one.worse and one.claimed for one in found)
        lines.append(f"| {correction} | {name} | {middle:.2f} | {low:.2f} | {worse}/{count} | {claimed}/{count} |")
        print(lines[-1], flush=True)
    return lines, everything


def page(detected: list[str], mended: list[str], everything: list[Recovery], trials: int, minutes: float) -> str:
    """docs/shifts.md."""
    shares = np.array([one.share for one in everything if math.isfinite(one.share)])
    unsaid = sum(one.worse and one.claimed for one in everything)
    return "\n".join(
        [
            "# Shifts whose densities are known",
            "",
            "<!-- written by `python -m bench.shifts` -->",
            "",
            f"Is a shift of the test inputs seen? {ROWS} samples of each side, tested at {LEVEL:.0%}, {trials} draws",
            "of each (four times as many without a shift), the same draws for all three tests: ours, as in",
            "`InputDrift`; Kolmogorov and Smirnov's test of each feature with Bonferroni's correction; a kernel",
            "(maximum mean discrepancy, median distance, permutations). The last column asks, paired over the draws,",
            "whether ours falls short of the better of the two beyond its 95 % interval.",
            "",
            *detected,
            "",
            "How much of what the true density ratio, or the true shares, would mend is mended by those told from one",
            f"half of the test inputs (400 samples)? Scored on {FRESH:,} fresh samples, in as many draws as the last",
            "columns tell. Worse: the loss rises by more than a hundredth. Claimed better: the other half, with",
            "labels, spoke for the correction beyond its interval, as a trial asks.",
            "",
            *mended,
            "",
            f"Over all of them: median {np.median(shares):.2f} of what the truth would mend; {unsaid} of",
            f"{len(everything)} corrections were claimed to help and made it worse. It took {minutes:.0f} minutes.",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.shifts", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=100, help="draws of each (default: 100)")
    options = parser.parse_args()
    start = time.monotonic()
    detected = detection(options.trials)
    mended, everything = recoveries(options.trials)
    PAGE.write_text(page(detected, mended, everything, options.trials, (time.monotonic() - start) / 60))


if __name__ == "__main__":
    main()
