"""Reports of every shape, with the most hostile strings and numbers that a program can hold."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from unstuck import report as records
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Report

HOSTILE = (
    "[red]not markup[/red]",
    "[/]",
    "\\[bold]",
    "\x1b[31mred\x1b[0m\x07\x00",
    "first\nsecond\r\n\tthird",
    "\u202eright to left\u202c\u200b\ufeff",
    "漢字の層" * 80,
    "e\u0301" + "\u0301" * 400,
    "👩‍👩‍👧‍👦☺\ufe0f" * 60,
    "layer." * 900,
    "x" * 5000,
    "nan",
    "-inf",
    "\\nan",
    "",
    " ",
    "\u2028\u0085",
)

texts = st.sampled_from(HOSTILE) | st.text(max_size=60)
floats = st.floats(allow_nan=True, allow_infinity=True)
plain_floats = st.floats(min_value=1e-9, max_value=1e9)
quantities = st.builds(
    Quantity, texts, floats, st.sampled_from(("1", "s", "%")) | texts, st.none() | floats, st.none() | floats
)
thresholds = st.builds(
    Threshold, st.floats(allow_nan=False), texts, st.sampled_from(("a paper, 2021", "[red]", "x" * 3000))
)


def members(kind: type[enum.Enum]) -> st.SearchStrategy[Any]:
    return st.sampled_from(list(kind))


def some(strategy: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=most).map(tuple)


evidence = st.builds(records.Evidence, quantities, st.none() | thresholds)
verdicts = st.builds(records.Verdict, members(records.Outcome), texts, some(evidence, 8), some(texts, 9))
summaries = st.builds(records.RuleSummary, texts, texts, texts, texts)
changes = st.builds(records.Change, texts, texts, texts)


@st.composite
def curves(draw: st.DrawFn) -> records.Curve:
    values = draw(st.lists(floats | plain_floats, max_size=12))
    stride = draw(st.integers(0, 10**12))
    return records.Curve(draw(texts), tuple(index * stride for index in range(len(values))), tuple(values))


@st.composite
def trials(draw: st.DrawFn) -> records.Trial:
    seeds = draw(st.lists(st.integers(-(2**60), 2**60), max_size=8))
    scores = st.lists(floats, min_size=len(seeds), max_size=len(seeds)).map(tuple)
    return records.Trial(
        remedy=draw(texts),
        changes=draw(some(changes, 14)),
        outcome=draw(members(records.Outcome)),
        score=draw(texts),
        seeds=tuple(seeds),
        before=draw(scores),
        after=draw(scores),
        gain=draw(quantities),
        curves=draw(some(curves())),
        seconds=draw(floats),
        note=draw(texts),
        candidates=draw(some(st.builds(records.Candidate, some(changes, 3), floats, floats), 14)),
    )


findings = st.builds(
    records.Finding,
    rule=summaries,
    outcome=members(records.Outcome),
    status=members(records.Status),
    verdict=verdicts,
    remedy=texts,
    applies=members(records.Applies),
    trial=st.none() | trials(),
    explained_by=texts,
    alternative_to=texts,
)
questions = st.builds(records.Question, texts, members(records.Outcome), quantities, thresholds, texts)
costs = st.builds(
    records.Cost, floats, floats, floats, st.none() | floats, st.integers(0, 10**6),
    st.dictionaries(texts, floats, max_size=2),
)  # fmt: skip
provenances = st.builds(
    records.Provenance, texts, st.dictionaries(texts, texts, max_size=4), texts, st.integers(0, 2**64 - 1), texts
)
charts: st.SearchStrategy[Mapping[str, Any]] = st.dictionaries(
    texts,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | floats | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)
reports: st.SearchStrategy[Report] = st.builds(
    Report,
    sentence=texts,
    branch_taken=members(records.Branch),
    questions=some(questions, 4),
    findings=some(findings),
    ruled_out=some(findings),
    unchecked=some(st.builds(records.Unchecked, texts, texts)),
    curves=some(curves()),
    setup=st.dictionaries(texts, texts, max_size=3),
    notes=some(texts),
    cost=costs,
    provenance=provenances,
    complete=st.booleans(),
    error=texts,
    chart=charts,
)
