"""Two faults at once: which pairs, on which healthy bases, each needs a cure of its own.

`python -m bench.pairs` tries combinations in a fixed random order and keeps in `pairs.json` those in which each
fault alone does harm and both together do: whoever mends only one still has a sick set-up. Pairs that are in the
file stay as long as their rules and bases exist; `--all` starts afresh, as after a change to a fault.

How much a fault hurts is told as for one fault (`bench.outcome`), with one seed.
"""

import argparse
import itertools
import json
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed

from bench.bases import BASES
from bench.outcome import HARMFUL, Yardstick
from unstuck import Setup
from unstuck.errors import UnstuckError
from unstuck.rule import Aim, Rule
from unstuck.rules import load

ESTABLISHED = Path(__file__).parent / "pairs.json"
WANTED = 72
"""Pairs to find: at least 60 count even where a rule or a base is later dropped."""
PER_BASE = 8
PER_FAULT = 8
"""At most so many pairs of one base, and of one fault, so that no easy one makes up the table."""
BATCH = 8
"""Combinations tried at a time."""


@dataclass(frozen=True)
class Pair:
    """Two faults in one base."""

    first: str
    second: str
    base: str

    @property
    def id(self) -> str:
        return f"pair/{self.first}+{self.second}/{self.base}"

    @property
    def truth(self) -> tuple[str, str]:
        """The codes of both causes; both must be found, in either order."""
        return self.first, self.second

    def sick(self) -> Setup:
        """The base with both faults."""
        return _faulty(self.base, self.first, self.second)

    def twin(self) -> Setup:
        """The base as it is."""
        return _bases()[self.base]()


def pairs() -> tuple[Pair, ...]:
    """The pairs in `pairs.json` whose rules and bases there still are."""
    found = (Pair(one["first"], one["second"], one["base"]) for one in _kept())
    known = _faults()
    return tuple(pair for pair in found if {pair.first, pair.second} <= set(known) and pair.base in _bases())


def _kept() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ESTABLISHED.read_text()) if ESTABLISHED.exists() else []
    return found


def _bases() -> dict[str, Callable[[], Setup]]:
    return {base.name: base.setup for base in BASES}


def _faults() -> dict[str, Rule]:
    """Rules whose fault can be injected, and mended in the set-up so that a treatment can come to an end."""
    return {
        rule.code: rule
        for rule in load()
        if rule.fault is not None and rule.remedy.apply is not None and rule.aim is Aim.TRAINING
    }


def _faulty(base: str, *codes: str) -> Setup:
    """The base with these faults, injected in the order given.

    Raises:
        RemedyError: If one of them makes no sense there.
    """
    setup, known = _bases()[base](), _faults()
    for code in codes:
        fault = known[code].fault
        assert fault is not None
        setup = fault(setup)
    return setup


def combinations(seed: int = 0) -> Iterator[Pair]:
    """Every two faults on every base, in a fixed random order."""
    known = sorted(_faults())
    every = [Pair(first, second, base.name) for first, second in itertools.combinations(known, 2) for base in BASES]
    random.Random(seed).shuffle(every)
    return iter(every)


Harm = tuple[float, tuple[float, float]]
"""By how much faults hurt, as a share of the span, and the loss and error they lead to."""


def harm(base: str, *codes: str) -> Harm | None:
    """How much these faults together hurt on a base; None where one of them makes no sense there."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # sick set-ups warn, rightly
    try:
        yardstick = Yardstick(_bases()[base](), _faulty(base, *codes))
    except UnstuckError:
        return None
    return yardstick.gap(), yardstick.ill


def both_hurt(first: Harm | None, second: Harm | None, together: Harm | None) -> bool:
    """Whether each does harm alone, and together they do what neither does.

    Where both end exactly as one alone, the second has undone or replaced the first.
    """
    if first is None or second is None or together is None:
        return False
    return min(first[0], second[0], together[0]) >= HARMFUL and together[1] not in (first[1], second[1])


def establish(jobs: int, afresh: bool) -> None:
    """Write `pairs.json`, adding to what it holds."""
    standing = () if afresh else pairs()
    found = [one for one in _kept() if Pair(one["first"], one["second"], one["base"]) in standing]
    taken = {(one["first"], one["second"]) for one in found}
    of_base = Counter(one["base"] for one in found)
    of_fault = Counter(code for one in found for code in (one["first"], one["second"]))
    alone: dict[tuple[str, str], Harm | None] = {}

    def admitted(pair: Pair) -> bool:
        spare = of_fault[pair.first] < PER_FAULT and of_fault[pair.second] < PER_FAULT
        return spare and of_base[pair.base] < PER_BASE and pair.truth not in taken

    def harmful(pair: Pair) -> bool:
        singles = [alone[pair.base, code] for code in pair.truth]
        return all(one is not None and one[0] >= HARMFUL for one in singles)

    every = combinations()
    with Parallel(n_jobs=jobs) as parallel:
        while len(found) < WANTED and (batch := list(itertools.islice(filter(admitted, every), BATCH))):
            new = sorted({(pair.base, code) for pair in batch for code in pair.truth} - set(alone))
            alone.update(zip(new, parallel(delayed(harm)(*one) for one in new), strict=True))
            batch = [pair for pair in batch if harmful(pair)]
            for pair, together in zip(batch, parallel(delayed(harm)(p.base, *p.truth) for p in batch), strict=True):
                first, second = (alone[pair.base, code] for code in pair.truth)
                if not admitted(pair) or not both_hurt(first, second, together):
                    continue
                gaps = [round(one[0], 3) for one in (first, second, together) if one is not None]
                found.append({**asdict(pair), "harm": dict(zip(("first", "second", "both"), gaps, strict=True))})
                taken.add(pair.truth)
                of_base[pair.base] += 1
                of_fault.update(pair.truth)
                print(pair.id, *gaps, flush=True)
                ESTABLISHED.write_text(json.dumps(found, indent=1) + "\n")
    print(f"{len(found)} pairs")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.pairs", description="Find pairs of faults.")
    parser.add_argument("--jobs", type=int, default=2, help="combinations at a time (default: 2)")
    parser.add_argument("--all", action="store_true", help="start afresh")
    options = parser.parse_args()
    establish(options.jobs, options.all)


if __name__ == "__main__":
    main()
