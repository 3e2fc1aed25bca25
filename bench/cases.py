"""Every patient of the benchmark: real programs, faults injected into healthy bases, and the healthy ones."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Literal

from bench.bases import BASES
from bench.healthy import HEALTHY
from bench.programs import programs
from unstuck import Setup
from unstuck.rule import Aim, Rule
from unstuck.rules import load

Group = Literal["program", "injected", "healthy", "base", "repaired"]
SICK: tuple[Group, ...] = ("program", "injected")


@dataclass(frozen=True)
class Case:
    """One patient."""

    id: str
    group: Group
    truth: tuple[str, ...]
    """Codes of the causes of which naming any is right; empty for a healthy patient."""
    patient: Callable[[], Setup]
    twin: Callable[[], Setup] | None = None
    """The healthy twin of a sick patient."""


def inject(rule: Rule, base: Callable[[], Setup]) -> Setup:
    """A base with the fault of a rule."""
    assert rule.fault is not None
    return rule.fault(base())


def healthy_twin(rule: Rule, base: Callable[[], Setup]) -> Setup:
    """The base itself; for a fault that takes samples away, which no remedy brings back, the base on what is left.

    That twin stops at its best validation epoch: as well as the same network can do on those samples.
    """
    given = base()
    if rule.aim is not Aim.HELD_OUT:
        return given
    return replace(given, train=inject(rule, base).train, early_stopping=True)


@cache
def cases() -> dict[str, Case]:
    """All patients by id."""
    found: list[Case] = []
    for program in programs():
        everything = frozenset(program.causes)
        known = {rule.code for rule in load()}
        repaired = partial(program.build, everything)
        if set(program.truth) & known:
            found.append(
                Case(
                    f"program/{program.id}",
                    "program",
                    program.truth,
                    partial(program.build, frozenset()),
                    repaired,
                )
            )
        found.append(Case(f"repaired/{program.id}", "repaired", (), repaired))
    for base in BASES:
        found.append(Case(f"base/{base.name}", "base", (), base.setup))
        found += [
            Case(
                f"injected/{rule.code}/{base.name}",
                "injected",
                (rule.code,),
                partial(inject, rule, base.setup),
                partial(healthy_twin, rule, base.setup),
            )
            for rule in load()
            if rule.fault is not None
        ]
    found += [Case(f"healthy/{healthy.name}", "healthy", (), healthy.setup) for healthy in HEALTHY]
    return {case.id: case for case in found}
