"""Is the optimism that `unstuck.select` reports the true one? `python -m bench.selection` writes docs/selection.md.

Simulated choices whose truth is known: candidates with true error rates of their own, judged on the same samples, whose
difficulty they share. What is reported is held against the true error of the candidate that was chosen. And real ones:
networks chosen by cross-validation on few samples of a known distribution, judged on 20,000 fresh ones.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

import unstuck
from bench.page import DOCS, put
from unstuck import Setup
from unstuck.honesty import bootstrap_of_selection, distance_bound
from unstuck.measure.sample_scores import sample_scores
from unstuck.measure.task import Task
from unstuck.setup import StackedData
from unstuck.stats import wilson_interval

Array = np.ndarray[Any, Any]
PAGE = DOCS / "selection.md"
COMMAND = "python -m bench.selection"
FRESH = 20_000
HEAD = (
    "| choice | runs | true optimism within its interval | mean optimism | left after correction | mean width | "
    "within Hoeffding's bound |\n|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class World:
    """A kind of choice: so many candidates, samples, and true errors."""

    name: str
    candidates: int
    samples: int
    truth: Callable[[np.random.Generator], Array]
    shared: float
    squared: bool = False


def equal(count: int, rate: float) -> Callable[[np.random.Generator], Array]:
    return lambda draws: np.full(count, rate)


def spread(count: int, low: float, high: float) -> Callable[[np.random.Generator], Array]:
    return lambda draws: draws.uniform(low, high, count)


WORLDS = (
    World("5 equal, 100 samples", 5, 100, equal(5, 0.3), 0.0),
    World("30 equal, 100 samples", 30, 100, equal(30, 0.3), 0.0),
    World("200 equal, 100 samples", 200, 100, equal(200, 0.3), 0.0),
    World("30 equal, alike, 100 samples", 30, 100, equal(30, 0.3), 0.8),
    World("30 equal, 30 samples", 30, 30, equal(30, 0.3), 0.0),
    World("30 equal, 1000 samples", 30, 1000, equal(30, 0.3), 0.5),
    World("30 unequal, 100 samples", 30, 100, spread(30, 0.15, 0.45), 0.3),
    World("10 nearly perfect, 200 samples", 10, 200, spread(10, 0.005, 0.03), 0.3),
    World("30 equal, squared errors, 100 samples", 30, 100, equal(30, 1.0), 0.5, squared=True),
    World("one only, 100 samples", 1, 100, equal(1, 0.3), 0.0),
)


def drawn(world: World, draws: np.random.Generator) -> tuple[Array, Array]:
    """Scores `[H, N]` with a common difficulty of each sample, and the true errors `[H]`."""
    from scipy.special import ndtri

    truth = world.truth(draws)
    hard = draws.standard_normal(world.samples)
    own = draws.standard_normal((world.candidates, world.samples))
    mixed = np.sqrt(world.shared) * hard + np.sqrt(1.0 - world.shared) * own
    if world.squared:
        return mixed**2 * truth[:, None], truth
    return (mixed < ndtri(truth)[:, None]).astype(float), truth


@dataclass
class Tally:
    """How often what was reported held."""

    runs: int = 0
    held: int = 0
    bound: int = 0
    naive: float = 0.0
    corrected: float = 0.0
    width: float = 0.0

    def add(self, errors: Array, truth: float, interval: Any, value: float) -> None:
        apparent = float(errors.mean(1).min())
        self.runs += 1
        self.held += (truth - apparent) in interval
        self.bound += abs(truth - apparent) <= distance_bound(*errors.shape)
        self.naive += truth - apparent
        self.corrected += truth - apparent - value
        self.width += interval.high - interval.low

    def row(self, name: str, bounded: bool = True) -> str:
        rate = wilson_interval(self.held, self.runs)
        share = f"{self.held / self.runs:.3f} [{rate.low:.2f}, {rate.high:.2f}]"
        other = f"{self.bound / self.runs:.3f}" if bounded else "–"
        mean = [f"{value / self.runs:+.4f}" for value in (self.naive, self.corrected)]
        return f"| {name} | {self.runs} | {share} | {mean[0]} | {mean[1]} | {self.width / self.runs:.3f} | {other} |"


def simulated(runs: int) -> list[str]:
    rows, everything = list[str](), Tally()
    for number, world in enumerate(WORLDS):
        tally, draws = Tally(), np.random.default_rng(1000 + number)
        for _ in range(runs):
            errors, truth = drawn(world, draws)
            found = bootstrap_of_selection(errors)
            true = float(truth[int(errors.mean(1).argmin())])
            tally.add(errors, true, found.interval, found.value)
            everything.add(errors, true, found.interval, found.value)
        rows.append(tally.row(world.name, not world.squared))
        print(rows[-1], flush=True)
    return [*rows, everything.row("**all**")]


def samples(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two overlapping classes in five features, of which two tell."""
    draws = torch.Generator().manual_seed(seed)
    inputs = torch.randn(count, 5, generator=draws)
    score = inputs[:, 0] * inputs[:, 1] + 0.8 * inputs[:, 2]
    return inputs, (score + 0.7 * torch.randn(count, generator=draws) > 0).long()


def net(width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Linear(width, 2))


def candidate(rows: tuple[torch.Tensor, torch.Tensor], width: int, rate: float) -> Setup:
    return Setup.of(
        model=partial(net, width),
        loss=nn.CrossEntropyLoss(),
        optimizer=partial(torch.optim.Adam, lr=rate),
        train=rows,
        epochs=8,
        batch_size=20,
    )


def trained(runs: int) -> list[str]:
    """Whole choices: eight networks by five folds of 120 samples; the chosen one judged on fresh samples."""
    tally, fresh = Tally(), samples(FRESH, 10**6)
    for number in range(runs):
        rows = samples(120, number)
        named = {f"{w}-{r}": candidate(rows, w, r) for w in (2, 4, 16, 64) for r in (0.003, 0.03)}
        chosen = unstuck.select(named, rule="lowest", log=None, seed=number)
        told, setup = chosen.choice.honesty, chosen.setup
        assert isinstance(setup.train, StackedData)
        true = sample_scores(
            setup, Task.measure(setup), unstuck.fit(setup).model, StackedData(fresh, 1000), FRESH
        ).errors.mean()
        apparent = min(one.error for one in chosen.choice.candidates)
        interval = told.optimism.interval
        assert interval is not None
        tally.runs += 1
        tally.held += (float(true) - apparent) in interval
        tally.bound += abs(float(true) - apparent) <= told.bound
        tally.naive += float(true) - apparent
        tally.corrected += float(true) - apparent - told.optimism.value
        tally.width += interval.high - interval.low
    return [tally.row("8 trained networks, 5 folds of 120 samples")]


def write(rows: Sequence[str]) -> None:
    """Put the table into the page."""
    put(PAGE, COMMAND, [HEAD, *rows])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="simulated choices of each kind")
    parser.add_argument("--trained", type=int, default=30, help="choices among networks that are trained")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    start = time.process_time()
    rows = simulated(options.runs)
    write(rows)
    if options.trained:
        write([*rows, *trained(options.trained)])
    print(f"{time.process_time() - start:.0f} s of the processor", file=sys.stderr)


if __name__ == "__main__":
    main()
