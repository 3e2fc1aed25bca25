"""The cause on the page: what was measured, against which limit, and the trial that proves it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Final

from unstuck.languages import marked
from unstuck.render import plot
from unstuck.render.figures import against, amount, duration, number, share, spread
from unstuck.render.lines import EMPTY, Line, Span, Style, cells, clean, fit, line, named, pad, wrap
from unstuck.report import Change, Curve, Evidence, Finding, Outcome, Status, Trial

MOST_EVIDENCE: Final = 6
MOST_PLACES: Final = 6
MOST_CHANGES: Final = 12
MOST_SEEDS: Final = 5
FEWEST_RANKED: Final = 3
MOST_RANKED: Final = 10
NAME_COLUMNS: Final = 36
AS_GIVEN: Final = ("as given", "control", "before")

STATUS_STYLE: Final[dict[Status, Style]] = {Status.CONFIRMED: "sick", Status.SUSPECTED: "doubt"}

UNTRIED: Final[dict[Status, str]] = {
    Status.CONFIRMED: "Measured, and proof by itself; no trial was needed.",
    Status.SUSPECTED: "No trial was run: this is a suspicion, not yet a cause.",
}


def title(finding: Finding, width: int, indent: str = "  ") -> Line:
    """Code and name on the left, the status on the right."""
    status = finding.status.value
    code = named(finding.rule.code, 12)
    name = fit(named(finding.rule.name), width - len(indent) - cells(code) - len(status) - 4)
    gap = width - len(indent) - cells(code) - 1 - cells(name) - len(status)
    style = STATUS_STYLE[finding.status]
    return line(indent, Span(f"{code} {name}", style), " " * gap, Span(status, style))


def _origin(evidence: Evidence) -> str:
    """Where a limit comes from: "0.1: the 95 % quantile of healthy runs"."""
    limit = evidence.limit
    return "" if limit is None else f"{number(limit.value)}: {clean(limit.source, 240)}"


def _evidence(evidence: Evidence, columns: int, width: int, indent: str) -> list[Line]:
    quantity = evidence.quantity
    comparison = f", {against(quantity, evidence.limit)}" if evidence.limit is not None else ""
    figures: list[Span | str] = [Span(clean(amount(quantity)), "code"), comparison]
    names = wrap([clean(quantity.name, 120)], columns)
    numbers = wrap(figures, width - len(indent) - columns - 2)
    lines: list[Line] = []
    for name, figure in itertools.zip_longest(names, numbers, fillvalue=EMPTY):
        lines.append(line(indent, Span(pad("".join(span.text for span in name), columns)), "  ", *figure))
    return lines


def _place(name: str) -> str:
    """A layer of an `nn.Sequential` is called by its number only."""
    return clean(f"layer {named(name, 120)}") if name[:1].isdigit() else named(name, 120)


def _places(places: Sequence[str], width: int, indent: str) -> list[Line]:
    if not places:
        return []
    shown = ", ".join(fit(_place(place), 40) for place in places[:MOST_PLACES])
    more = len(places) - MOST_PLACES
    rest = f" and {more} more" if more > 0 else ""
    return wrap([f"{clean(marked('where:'))} ", Span(shown, "code"), rest], width, indent)


def measured(finding: Finding, width: int, indent: str = "  ") -> list[Line]:
    """The numbers behind a finding, each with its interval, its limit and the limit's source.

    Args:
        finding: The finding.
        width: Columns of the page.
        indent: Put before each line.

    Returns:
        A line per number and its source; the most telling ones where there are many.
    """
    shown = finding.evidence[:MOST_EVIDENCE]
    columns = min(NAME_COLUMNS, max((cells(clean(evidence.quantity.name, 120)) for evidence in shown), default=0))
    lines: list[Line] = []
    for index, evidence in enumerate(shown):
        lines += _evidence(evidence, columns, width, indent)
        origin = _origin(evidence)
        if origin and origin not in map(_origin, shown[index + 1 :]):  # once, below the last that it belongs to
            lines += wrap([Span(origin, "dim")], width, indent + "  ")
    more = len(finding.evidence) - MOST_EVIDENCE
    if more > 0:
        lines.append(line(indent, Span(f"and {more} more numbers in the JSON report", "dim")))
    return lines + _places(finding.verdict.where, width, indent)


def diff(changes: Sequence[Change], width: int, indent: str = "    ") -> list[Line]:
    """A change of the set-up, a line per field: "optimizer.lr   3.0 → 0.1".

    Args:
        changes: The changed fields.
        width: Columns of the page.
        indent: Put before each line.

    Returns:
        One line per field, three where before and after are too long for one.
    """
    shown = [
        (named(change.field, 80), clean(change.before, 200), clean(change.after, 200), clean(change.line, 80))
        for change in changes[:MOST_CHANGES]
    ]
    columns = min(30, max((cells(field) for field, *_ in shown), default=0))
    lines: list[Line] = []
    for field, before, after, place in shown:
        where = [Span(f"  ({place})", "dim")] if place else []
        room = width - len(indent) - columns - 3 - sum(cells(span.text) for span in where)
        if cells(before) + cells(after) + 3 <= room:
            change = [Span(before, "sick"), Span(" → "), Span(after, "well"), *where]
            lines.append(line(indent, Span(pad(field, columns), "code"), "   ", *change))
        else:
            lines += wrap([Span(field, "code"), *where], width, indent)
            lines += wrap([Span(before, "sick")], width, indent + "- ", indent + "  ")
            lines += wrap([Span(after, "well")], width, indent + "+ ", indent + "  ")
    if len(changes) > MOST_CHANGES:
        lines.append(line(indent, Span(f"and {len(changes) - MOST_CHANGES} more", "dim")))
    return lines


def _range(values: Sequence[float]) -> str:
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return number(values[0]) if values else "none"
    lost = len(values) - len(finite)
    text = f"{number(min(finite), 4)} to {number(max(finite), 4)}"
    return f"{text}, {lost} not finite" if lost else text


def _rows(trial: Trial) -> list[tuple[str, tuple[float, ...], Style]]:
    return [
        ("as given", trial.before, "sick"),
        ("with the remedy", trial.after, "well" if trial.outcome is Outcome.PRESENT else ""),
    ]


def _per_seed(trial: Trial, width: int, indent: str) -> list[Line]:
    rows = _rows(trial)
    if not 0 < len(trial.seeds) <= MOST_SEEDS:
        return [line(indent, pad(label, 18), Span(_range(values), style)) for label, values, style in rows]
    heads = [clean(f"seed {seed}", 14) for seed in trial.seeds]
    columns = min(max(9, *map(cells, heads)), (width - len(indent) - 18) // len(heads) - 2)
    fitted = [fit(head, columns) for head in heads]
    head_row = "".join(" " * (2 + columns - cells(head)) + head for head in fitted)
    lines = [line(indent, " " * 18, Span(head_row, "dim"))]
    for label, values, style in rows:
        figures = "".join(f"  {fit(number(value, 4), columns):>{columns}}" for value in values[: len(heads)])
        lines.append(line(indent, pad(label, 18), Span(figures, style)))
    return lines


def shows_what_counts(trial: Trial) -> bool:
    """Whether a trial's curves, which are of the training loss, show what it compares."""
    return trial.score.startswith("training")


def _panels(trial: Trial) -> tuple[list[Curve], list[Style]]:
    control = [curve for curve in trial.curves if curve.label.lower().startswith(AS_GIVEN)]
    changed = [curve for curve in trial.curves if curve not in control]
    if not control and changed:
        control, changed = changed[:1], changed[1:]
    sick: list[Style] = ["sick" for _ in control[:1]]
    well: list[Style] = ["well" for _ in changed[:1]]
    return control[:1] + changed[:1], sick + well


OUTCOME_WORDS: Final[dict[Outcome, tuple[str, Style]]] = {
    Outcome.PRESENT: ("the cause is confirmed", "well"),
    Outcome.ABSENT: ("the suspicion is refuted", "dim"),
    Outcome.UNDECIDED: ("the trial leaves it open", "doubt"),
}


def gained(trial: Trial) -> str:
    """What a remedy achieved, with a verb: "closes 97% of the shortfall and gains 66% of the span [62%, 69%]".

    Args:
        trial: The trial.

    Returns:
        The shortfall closed where it is known, and the gain with its interval over seeds.
    """
    interval = f" {spread(trial.gain, as_share=True)}" if trial.gain.interval else ""
    gain = f"gains {share(trial.gain.value)} of the span{interval}"
    if trial.closed is None or trial.outcome is Outcome.ABSENT:
        return gain
    return f"closes {share(trial.closed)} of the shortfall and {gain}"


def _candidates(trial: Trial, width: int, indent: str) -> list[Line]:
    """What each of several changes gained on the first seed, the best first, a line each."""
    if len(trial.candidates) < FEWEST_RANKED:
        return []
    head = f"{len(trial.candidates)} changes were tried, each by itself, on the first seed:"
    lines = [EMPTY, *wrap([head], width, indent)]
    for candidate in trial.candidates[:MOST_RANKED]:
        what = "; ".join(_named(change) for change in candidate.changes) or "none"
        style: Style = "well" if candidate.changes == trial.changes else ""
        figures = f"{share(candidate.gain):>6}  {number(candidate.score, 4):>9}  "
        lines.append(line(indent, figures, Span(fit(clean(what, 200), width - len(indent) - cells(figures)), style)))
    if len(trial.candidates) > MOST_RANKED:
        rest = f"and {len(trial.candidates) - MOST_RANKED} that gained less, in the JSON report"
        lines.append(line(indent, Span(rest, "dim")))
    lines += wrap([Span(f"(gain, {clean(trial.score, 80)}, change)", "dim")], width, indent)
    return [*lines, EMPTY] if trial.note else lines


def _named(change: Change) -> str:
    """A change in a few words: "epochs 80 → 16"; without what was there where that was nothing."""
    was = "" if change.before in ("none", "–", "as given", "0") else f"{change.before} → "
    return f"{change.field}: {was}{change.after}"


NO_RESULT: Final = "It came to no result: no seed was run to its end."
SPAN: Final = "(The span runs from the best constant prediction to the lowest value that anything reached.)"


def proof(trial: Trial, width: int, indent: str = "  ") -> list[Line]:
    """A trial: the score per seed before and after, the gain with its interval, both curves.

    Args:
        trial: The trial.
        width: Columns of the page.
        indent: Put before each line.

    Returns:
        The lines of the section.
    """
    inner = indent + "  "
    runs = "On one seed" if len(trial.seeds) == 1 else f"Paired over {len(trial.seeds)} seeds"
    score = f"{clean(trial.score, 80)}, lower is better:"
    facts = f"{runs} at equal budget, {duration(trial.seconds)}; {score}"
    lines = wrap([Span("The trial: ", "strong"), clean(trial.remedy, 320)], width, indent)
    if not trial.seeds:
        lines += wrap([Span(NO_RESULT, "doubt")], width, indent)
        return lines + (wrap([Span(clean(trial.note, 320), "dim")], width, indent) if trial.note else [])
    lines += wrap([Span(facts, "dim")], width, indent)
    lines += [EMPTY, *_per_seed(trial, width, inner), EMPTY]
    words, style = OUTCOME_WORDS[trial.outcome]
    lines += wrap([f"The remedy {gained(trial)}: ", Span(words + ".", style)], width, indent)
    lines += wrap([Span(SPAN, "dim")], width, indent)
    if trial.together_with:
        others = clean(", ".join(trial.together_with), 160)
        lines += wrap(
            [f"It takes all of them: this remedy together with that of {others}; each was left out once."],
            width,
            indent,
        )
    lines += _candidates(trial, width, indent)
    if trial.note:
        lines += wrap([Span(clean(trial.note, 320), "dim")], width, indent)
    if not shows_what_counts(trial):  # its curves are of the training loss, so the scores themselves are drawn
        drawn = plot.strip(_rows(trial), width, inner)
        return [*lines, EMPTY, *drawn] if drawn else lines
    curves, styles = _panels(trial)
    drawn = plot.side_by_side(curves, styles, width, indent)
    return [*lines, EMPTY, *drawn] if drawn else lines
