"""Every patient of the benchmark: real programs, faults injected into healthy bases, and the healthy ones."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

from bench import injected
from bench.bases import BASES, GENERALISATION
from bench.healthy import HEALTHY
from bench.programs import programs
from unstuck import Setup
from unstuck.rules import load

Group = Literal["program", "injected", "pair", "healthy", "base", "repaired"]


@dataclass(frozen=True)
class Case:
    """One patient."""

    id: str
    group: Group
    truth: tuple[str, ...]
    """Codes of the causes of which naming any is right; empty for a healthy patient. A pair has both."""
    patient: Callable[[], Setup]
    twin: Callable[[], Setup] | None = None
    """The healthy twin of a sick patient."""
    also: tuple[str, ...] = ()
    """Codes of what is true besides, and right to name, but need not be found."""


@cache
def cases() -> dict[str, Case]:
    """All patients by id."""
    found: list[Case] = []
    known = {rule.code for rule in load()}
    for program in programs():
        repaired = partial(program.build, frozenset(program.causes))
        given = partial(program.build, frozenset())
        if set(program.truth) & known:
            found.append(Case(f"program/{program.id}", "program", program.truth, given, repaired, program.also))
        found.append(Case(f"repaired/{program.id}", "repaired", (), repaired))
    bases = {base.name: base.setup for base in (*BASES, *GENERALISATION)}
    found += [Case(f"base/{name}", "base", (), setup) for name, setup in bases.items()]
    for codes, name in injected.chosen():
        group: Group = "injected" if len(codes) == 1 else "pair"
        sick = partial(injected.sick, codes, bases[name])
        twin = partial(injected.healthy_twin, codes, bases[name])
        also = tuple(other for code in codes for other in injected.ALSO_TRUE.get(code, ()) if other not in codes)
        found.append(Case(f"{group}/{injected.key(codes, name)}", group, codes, sick, twin, also))
    found += [Case(f"healthy/{healthy.name}", "healthy", (), healthy.setup) for healthy in HEALTHY]
    return {case.id: case for case in found}
