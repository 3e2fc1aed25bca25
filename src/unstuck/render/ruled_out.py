"""What was ruled out: the tellingest first, the rest by family, so that fifty rows do not hide the cause."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Final

from unstuck.render.figures import against, amount, number, share, spread
from unstuck.render.lines import EMPTY, Line, Span, clean, named, wrap
from unstuck.report import FAMILY_BRANCH, Branch, Finding, Outcome

MOST_SHOWN: Final = 6
"""Rows in full; where one or two more are all there are, they are shown too."""

FAMILY_WORDS: Final = {
    Branch.SETUP: "the program",
    Branch.DATA: "the data",
    Branch.OPTIMISATION: "optimisation",
    Branch.MODEL_BIAS: "the model",
    Branch.OVERFITTING: "overfitting",
    Branch.MISMATCH: "the test data",
}


def why_not(finding: Finding) -> str:
    """Why a diagnosis does not hold, with the number that says so.

    Args:
        finding: One that is absent or refuted.

    Returns:
        A sentence.
    """
    trial = finding.trial
    if trial is not None and trial.outcome is Outcome.ABSENT:
        interval = f" {spread(trial.gain, as_share=True)}" if trial.gain.interval else ""
        return f"Its remedy gains {share(trial.gain.value)} of the span{interval}."
    sentence = finding.verdict.sentence
    if any(character.isdigit() for character in sentence) or not finding.evidence:
        return sentence
    quantity, limit = finding.evidence[0].quantity, finding.evidence[0].limit
    if limit is None or math.isnan(quantity.value):
        return sentence
    return f"{sentence.rstrip('.')} ({quantity.name}: {amount(quantity)}, {against(quantity, limit)})."


def distance(finding: Finding) -> float:
    """How far the deciding number lies from its limit, in factors of e; infinite where they cannot be compared."""
    if not finding.evidence or finding.evidence[0].limit is None:
        return math.inf
    value, limit = finding.evidence[0].quantity.value, finding.evidence[0].limit.value
    if not (math.isfinite(value) and math.isfinite(limit)) or value * limit <= 0:
        return math.inf
    return abs(math.log(abs(value)) - math.log(abs(limit)))


def telling(findings: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
    """Split what was ruled out into what is shown in full and what is summed up.

    Args:
        findings: What was ruled out.

    Returns:
        Those to show: first what a trial refuted, then what came nearest to its limit; and the rest,
        in the order given.
    """
    if len(findings) <= MOST_SHOWN + 2:
        return list(findings), []

    def order(index: int) -> tuple[bool, float, int]:
        finding = findings[index]
        refuted = finding.trial is not None and finding.trial.outcome is Outcome.ABSENT
        return not refuted, distance(finding), index

    first = sorted(range(len(findings)), key=order)[:MOST_SHOWN]
    rest = [finding for index, finding in enumerate(findings) if index not in set(first)]
    return [findings[index] for index in first], rest


def _numbered(codes: Sequence[str]) -> str:
    """Codes of one family, runs of them drawn together: "SET001–SET004, SET006"."""
    runs: list[list[str]] = []
    for code in codes:
        number_ = code[-3:]
        if runs and number_.isdigit() and runs[-1][-1][-3:].isdigit() and int(number_) == int(runs[-1][-1][-3:]) + 1:
            runs[-1].append(code)
        else:
            runs.append([code])
    words = [run if len(run) < 3 else [f"{run[0]}–{run[-1]}"] for run in runs]
    return ", ".join(itertools.chain.from_iterable(words))


def by_family(findings: Sequence[Finding]) -> list[tuple[str, str]]:
    """What is left, by family of rules.

    Args:
        findings: What was ruled out and is not shown in full.

    Returns:
        Per family its words with how many, and the codes: ("the program (20)", "SET001–SET020").
    """
    families: dict[str, list[str]] = {}
    for finding in findings:
        code = clean(finding.rule.code, 12)
        branch = FAMILY_BRANCH.get(code[:3])
        families.setdefault(FAMILY_WORDS[branch] if branch else "other packages", []).append(code)
    return [(f"{words} ({len(codes)})", _numbered(sorted(codes))) for words, codes in families.items()]


def ruled_out_lines(findings: Sequence[Finding], width: int, indent: str, every: bool = False) -> list[Line]:
    """What was ruled out, on the page.

    Args:
        findings: What was ruled out.
        width: Columns of the page.
        indent: Put before each line.
        every: All of them in full.

    Returns:
        A row each for the tellingest, then one per family for the rest.
    """
    shown, rest = (list(findings), []) if every else telling(findings)
    lines: list[Line] = []
    for finding in shown:
        subject = f"{clean(finding.rule.code, 12)} {named(finding.rule.name)}: "
        lines += wrap([subject, Span(clean(why_not(finding), 320), "dim")], width, indent, indent * 3)
    if not rest:
        return lines
    lines += [EMPTY, *wrap([f"and {number(len(rest))} more, each by a number of its own (`--verbose` shows them):"],
                           width, indent)]  # fmt: skip
    for words, codes in by_family(rest):
        lines += wrap([f"{words}: ", Span(codes, "dim")], width, indent * 2, indent * 4)
    return lines
