"""Which faults do harm on which bases, alone and two at once, so that only patients that are sick are diagnosed.

python -m bench.injected ['OPT*']    measures what is not known yet, and anew what matches; writes injected.json
"""

import fnmatch
import itertools
import json
import random
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from joblib import Parallel, delayed
from torch import Tensor

from bench.bases import BASES, GENERALISATION
from bench.yardstick import HARMFUL, Yardstick
from unstuck import Setup
from unstuck.edits.reweighting import completed_by
from unstuck.edits.samples import every_split, in_memory
from unstuck.errors import UnstuckError
from unstuck.measure.features import inputs_of
from unstuck.rule import Aim, Rule
from unstuck.rules import load
from unstuck.setup import Data
from unstuck.setup.batch import replace_inputs

ESTABLISHED = Path(__file__).parent / "injected.json"
MOST_BASES = 5
"""Bases a fault that counts: enough to see a rule fail, few enough to examine every rule."""
MORE_BASES = 12
"""The same for the faults of GEN and MIS, which are told apart by data more than by programs."""
PAIRS = 80
TAKES_AWAY = ("DAT004", "DAT006", "GEN001", "GEN002")
"""Rules whose fault takes samples or targets away that no remedy brings back."""
IS_HARM = ("GEN007",)
"""Rules whose evidence suffices and says that harm is done: few samples that are enough are no fault."""
BLURS = ("GEN001",)
"""Those whose fault changes the inputs of every split alike."""
ALSO_TRUE = {"GEN001": ("GEN002",), "GEN002": ("GEN001",), "GEN006": ("CAP003",), "GEN007": ("GEN001",)}
"""Other diagnoses that a fault makes true: it trains ten times as long; it drops seven units of ten; it leaves so few
samples that the network learns them by heart."""
RESHAPES = ("MIS002",)
"""Those whose fault leaves training samples out as well: only what the test data differ in is its harm."""
WRITES_OVER = ("MIS007",)
"""Those whose fault writes over a feature: what that told is gone from every split, and no remedy brings it back."""
RENAMES = ("MIS003",)
"""Those whose fault gives test labels another meaning: new labels are known of the test samples alone."""
BETWEEN = " + "

Codes = tuple[str, ...]
Harm = float | str
"""Share of the twin's span that is lost, or why there is no such patient."""


def sick(codes: Codes, base: Callable[[], Setup]) -> Setup:
    """A base with one fault, or with several on top of each other.

    Raises:
        RemedyError: If a fault does not fit.
    """
    setup = base()
    for code in codes:
        fault = _rules()[code].fault
        assert fault is not None
        setup = fault(setup)
    return setup


def healthy_twin(codes: Codes, base: Callable[[], Setup]) -> Setup:
    """The base itself; for a fault that takes samples away, which no remedy brings back, the base on what is left.

    That twin stops at its best validation epoch: as well as the same network can do on those samples. For a fault that
    sets the test data apart by leaving samples out everywhere, what is left, with test data like the training data.
    For one that writes over a feature, the base without that feature. For one that gives labels another meaning, the
    base on the training samples whose labels mean what they did, as the benchmark knows, and on one half of the test
    samples, tested on the other: the best that can be done without labelling anew.
    """
    if set(codes) & set(RENAMES):
        return _on_what_still_holds(codes, base)
    if set(codes) & set(RESHAPES):
        return _unshifted(codes, base)
    if set(codes) & set(WRITES_OVER):
        return _without_what_is_lost(codes, base)
    if not set(codes) & set(TAKES_AWAY):
        return base()
    ill = sick(codes, base)
    twin = replace(base(), train=ill.train, early_stopping=True)
    return replace(twin, validation=ill.validation, test=ill.test) if set(codes) & set(BLURS) else twin


def _unshifted(codes: Codes, base: Callable[[], Setup]) -> Setup:
    given = base()
    test = given.test if given.test is not None else given.validation
    ill, alike = sick(codes, base), sick(codes, lambda: replace(given, validation=test))
    return replace(given, train=ill.train, validation=ill.validation, test=alike.validation)


def _without_what_is_lost(codes: Codes, base: Callable[[], Setup]) -> Setup:
    """The sick set-up with the mean of training in every feature that the fault wrote over, in every split."""
    given, ill = _table(base().train), sick(codes, base)
    lost = (_table(ill.train) != given).any(0)
    means = given.mean(0)

    def emptied(values: Tensor) -> Tensor:
        return torch.where(lost, means, values)

    return every_split(ill, lambda data: in_memory(data).mapped(lambda batch: replace_inputs(batch, emptied)))


def _on_what_still_holds(codes: Codes, base: Callable[[], Setup]) -> Setup:
    given, ill = base(), sick(codes, base)
    renamed = sick(
        codes, lambda: replace(given, test=given.train)
    ).test  # what the fault would make of training samples
    assert ill.test is not None and renamed is not None  # the fault makes a test split
    before, after = (given.targets(in_memory(data).samples) for data in (given.train, renamed))
    kept = (before == after).reshape(len(before), -1).all(1)
    scored, known = ill.test.split(0.5, ill.seed)
    return completed_by(replace(ill, test=scored), kept, known, "what still holds, and half of the test samples")


def _table(data: Data) -> Tensor:
    """The only input of a split, `[N, D]`."""
    (values,) = inputs_of([in_memory(data).samples])
    return values


def chosen() -> list[tuple[Codes, str]]:
    """Faults with their bases that the benchmark examines: a fixed random few a rule, and the pairs."""
    single = [((code,), name) for code in _rules() for name in _harmed(code)]
    return single + [(codes, name) for codes, name in pairs() if _counts(codes, _known(codes, name))]


def _harmed(code: str) -> list[str]:
    """The first bases, in an order of each rule's own, that are known to be harmed by its fault."""
    return [name for name in _order(code) if _counts((code,), _known((code,), name))][: _most(code)]


def _order(code: str) -> list[str]:
    names = [base.name for base in BASES]
    random.Random(code).shuffle(names)
    if _most(code) == MOST_BASES:
        return names
    further = [base.name for base in GENERALISATION]
    random.Random(code).shuffle(further)
    return names + further


def _most(code: str) -> int:
    return MORE_BASES if code[:3] in ("GEN", "MIS") else MOST_BASES


def _known(codes: Codes, name: str) -> Harm:
    return established().get(key(codes, name), "not measured")


def pairs() -> list[tuple[Codes, str]]:
    """Two faults at once, each of which does harm alone on that base; every rule about equally often."""
    seen = Counter[str]()
    single = {rule for rule in _rules().values() if rule.aim is Aim.TRAINING and not rule.evidence_suffices}
    possible = [
        ((one.code, other.code), name)
        for name in (base.name for base in BASES)
        for one, other in itertools.combinations([rule for rule in _rules().values() if rule in single], 2)
        if name in _harmed(one.code)
        and name in _harmed(other.code)
        and not isinstance(established().get(key((one.code, other.code), name), 0.0), str)
    ]
    random.Random(0).shuffle(possible)
    found: list[tuple[Codes, str]] = []
    while possible and len(found) < PAIRS:
        rarest = min(possible, key=lambda pair: sum(seen[code] for code in pair[0]) + seen[pair[1]] / len(BASES))
        possible = [pair for pair in possible if pair[0] != rarest[0]]
        seen.update([*rarest[0], rarest[1]])
        found.append(rarest)
    return found


def key(codes: Codes, base: str) -> str:
    """How a patient is called."""
    return f"{BETWEEN.join(codes)}/{base}"


@cache
def established() -> dict[str, Harm]:
    """What was measured."""
    found: dict[str, Harm] = json.loads(ESTABLISHED.read_text()) if ESTABLISHED.exists() else {}
    return found


def _counts(codes: Codes, harm: Harm) -> bool:
    """Whether a patient is sick; a fault that is a property of the data or the program itself need do no harm."""
    if isinstance(harm, str):
        return False
    return harm >= HARMFUL or all(_rules()[code].evidence_suffices and code not in IS_HARM for code in codes)


@cache
def _rules() -> dict[str, Rule]:
    return {rule.code: rule for rule in load() if rule.fault is not None}


@cache
def _bases() -> dict[str, Callable[[], Setup]]:
    return {base.name: base.setup for base in (*BASES, *GENERALISATION)}


def harm(codes: Codes, name: str) -> Harm:
    """Train the healthy and the sick one once each."""
    base = _bases()[name]
    try:
        patient = sick(codes, base)
        yardstick = Yardstick(healthy_twin(codes, base), patient)
        if set(codes) & set(RENAMES) and yardstick.well[1] > 1.0 - HARMFUL:
            return "cannot be cured: the twin is no better than a constant on what still holds"
        return round(yardstick.gap(), 3)
    except UnstuckError as reason:
        return f"does not fit: {str(reason).splitlines()[0]}"
    except Exception as error:  # a fault of ours; the others are to be measured all the same
        return f"raised {type(error).__name__}: {error}"


def _measure(wanted: Iterable[tuple[Codes, str]]) -> None:
    """Measure what is not known yet, two at a time, and keep each at once."""
    missing = [(codes, name) for codes, name in wanted if key(codes, name) not in established()]
    work = Parallel(n_jobs=2, return_as="generator_unordered")(delayed(_named)(*one) for one in missing)
    for name, found in work:
        established()[name] = found
        print(name, found, flush=True)
        ESTABLISHED.write_text(json.dumps(dict(sorted(established().items())), indent=0) + "\n")


def _named(codes: Codes, name: str) -> tuple[str, Harm]:
    warnings.simplefilter("ignore")  # sick programs warn, rightly
    return key(codes, name), harm(codes, name)


def _next() -> list[tuple[Codes, str]]:
    """Of each rule with too few bases, as many again as it lacks."""
    found: list[tuple[Codes, str]] = []
    for code in _rules():
        unknown = [name for name in _order(code) if key((code,), name) not in established()]
        found += [((code,), name) for name in unknown[: _most(code) - len(_harmed(code))]]
    return found


def main() -> None:
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    for name in list(established()):
        codes = name.partition("/")[0].split(BETWEEN)
        if not set(codes) <= set(_rules()) or any(fnmatch.fnmatch(code, pattern) for code in codes):
            del established()[name]
    while wanted := _next():
        _measure(wanted)
    while missing := [pair for pair in pairs() if key(*pair) not in established()]:
        _measure(missing)  # those that do not fit make room for others


if __name__ == "__main__":
    from bench import injected

    injected.main()  # under its own name, by which workers find its functions
