"""A choice among candidates on the page, and as JSON."""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from unstuck.choice import CandidateScore, Choice, Honesty
from unstuck.quantity import Quantity
from unstuck.render import plot
from unstuck.render.figures import amount, duration, number, share
from unstuck.render.lines import EMPTY, Line, Span, clean, line, pad, wrap
from unstuck.render.text import WIDTH, plain_lines
from unstuck.report import Curve

INDENT: Final = "  "
NAME: Final = 34
LABEL: Final = 21
SHOWN: Final = 20
"""Candidates in the table; the JSON has all."""


def plain(choice: Choice, width: int = WIDTH) -> str:
    """Write a choice without colour.

    Args:
        choice: The choice.
        width: Columns.

    Returns:
        Text that ends in a line break.
    """
    return plain_lines(selection_page(choice, width))


def to_json(choice: Choice) -> bytes:
    """Write a choice as JSON.

    Args:
        choice: The choice.

    Returns:
        One line of strict JSON in UTF-8, with a line break at its end; "nan", "inf" and "-inf" stand for such numbers.
    """
    return msgspec.json.encode(_strict(msgspec.to_builtins(choice, str_keys=True))) + b"\n"


def _strict(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    if isinstance(value, dict):
        return {key: _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    return value


def selection_page(choice: Choice, width: int) -> list[Line]:
    """Lay out a choice.

    Args:
        choice: The choice.
        width: Columns of the page.

    Returns:
        The choice, every candidate, the curves of the chosen and the best, and how far to believe the score.
    """
    lines = wrap([Span("✓ ", "well"), Span(clean(choice.sentence), "strong")], width, "", INDENT)
    for note in choice.notes:
        lines += wrap([Span(clean(f"{note[:1].upper()}{note[1:]}."), "dim")], width, INDENT)
    lines += _section("The candidates", _table(choice, width))
    lines += _section("Their curves", _curves(choice, width))
    lines += _section("How far to believe it", _honesty(choice, width))
    lines += [EMPTY, line(INDENT, Span(f"It took {duration(choice.seconds)}.", "dim"))]
    return lines


def _section(heading: str, body: list[Line]) -> list[Line]:
    return [EMPTY, line(Span(heading, "heading")), EMPTY, *body] if body else []


def _table(choice: Choice, width: int) -> list[Line]:
    head = f"{pad('', NAME)}{choice.by:>10}{'± s.e.':>9}{'size':>9}"
    lines = [line(INDENT, Span(head, "dim"))]
    for candidate in choice.candidates[:SHOWN]:
        lines.append(_row(candidate, choice))
    left = len(choice.candidates) - SHOWN
    if left > 0:
        lines.append(line(INDENT, Span(f"… and {left} more, which --json lists", "dim")))
    by = f"{choice.by}, mean over {choice.splitting}; lower is better. Rule: {choice.rule}."
    lines += [EMPTY, *wrap([Span(clean(by), "dim")], width, INDENT)]
    return lines


def _row(candidate: CandidateScore, choice: Choice) -> Line:
    value = candidate.loss if choice.by == "loss" else candidate.error
    if candidate.problem:
        return line(INDENT, pad(clean(candidate.name), NAME), Span("    could not be trained", "sick"))
    tail = f"{number(value):>10}{_deviation(candidate.standard_error):>9}{_count(candidate.parameters):>9}"
    mark = ("chosen" if candidate.name == choice.chosen else "") or ("best" if candidate.name == choice.best else "")
    mark = "given up" if candidate.pruned else mark
    return line(INDENT, pad(clean(candidate.name), NAME), tail, "  ", Span(mark, "well" if mark == "chosen" else "dim"))


def _deviation(value: float) -> str:
    return number(value, 2) if math.isfinite(value) else "–"


def _count(value: int) -> str:
    return f"{value:,}"


def _curves(choice: Choice, width: int) -> list[Line]:
    chosen = next((one for one in choice.candidates if one.name == choice.chosen), None)
    best = next((one for one in choice.candidates if one.name == choice.best), None)
    if chosen is None or best is None:
        return []
    if chosen.name == best.name:
        shown = [_curve("training loss", chosen.training_curve), _curve("held-out loss", chosen.validation_curve)]
        title = f"{chosen.name}, mean over folds"
    else:
        shown = [_curve("chosen, held-out loss", chosen.validation_curve), _curve("best", best.validation_curve)]
        title = f"{chosen.name} beside {best.name}, mean over folds"
    drawn = plot.side_by_side(shown, ["well", ""], width, INDENT, axis="epoch")
    return [*wrap([Span(clean(title), "dim")], width, INDENT), *drawn] if drawn else []


def _curve(label: str, values: tuple[float, ...]) -> Curve:
    return Curve(label, tuple(range(1, len(values) + 1)), values)


def _honesty(choice: Choice, width: int) -> list[Line]:
    told = choice.honesty
    rows: list[tuple[str, str]] = [
        ("candidates tried", f"{told.tried_now} now, {told.tried_so_far} so far on these {told.samples} samples"),
    ]
    if told.samples:
        rows += _told(told, choice)
    if told.nested is not None:
        rows.append(("the whole procedure", f"{amount(_bare(told.nested))} by nested cross-validation"))
    lines: list[Line] = []
    for name, text in rows:
        body = wrap([clean(text)], width - len(INDENT) - LABEL)
        labels = [name, *[""] * (len(body) - 1)]
        lines += [
            line(INDENT, Span(pad(label, LABEL), "strong"), *row) for label, row in zip(labels, body, strict=True)
        ]
    return lines


def _told(told: Honesty, choice: Choice) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    optimism = _bare(told.optimism)
    if math.isfinite(optimism.value):
        rows += [
            ("optimism", f"the best score flatters by {amount(optimism)} (bootstrap of the selection)"),
            ("on new samples", f"{choice.by} {amount(_bare(told.corrected))}"),
        ]
    if math.isfinite(told.fold_bias):
        rows.append(("the same from folds", f"{number(told.fold_bias)} (Tibshirani & Tibshirani 2009)"))
    if math.isfinite(told.lead):
        what = "which choosing alone explains" if told.lead_is_chance else "which choosing alone does not explain"
        rows.append(("lead", f"{number(told.lead)} over the median candidate, {what}"))
    if math.isfinite(told.bound):
        what = "which is wider than that lead" if told.bound_says_nothing else "which is less than that lead"
        what = what if math.isfinite(told.lead) else "whatever was tried"
        rows.append(
            ("bound", f"every score is within {number(told.bound)} of the truth with 95 % (Hoeffding 1963), {what}")
        )
        text = f"{told.samples_needed:,} by that bound for a distance of {number(told.wished)}{_enough(told)}"
        rows.append(("samples needed", text))
    elif told.samples_enough:
        rows.append(("samples needed", f"{told.samples_enough:,} for an optimism of {number(told.wished)}"))
    board = told.board
    if told.tried_now > 1 and math.isfinite(board.public):
        text = (
            f"with {share(board.public_share)} of the samples public, the winner scores {number(board.public)} there "
            f"and {number(board.private)} on the rest, where it wins {share(board.same_winner)} of the times; its mean "
            f"place there is {number(board.private_place, 2)} of {_compared(choice)}"
        )
        rows.append(("as a leaderboard", text))
    return rows


def _enough(told: Honesty) -> str:
    return f"; {told.samples_enough:,} by the bootstrap" if told.samples_enough else ""


def _compared(choice: Choice) -> int:
    return sum(not (one.pruned or one.problem) for one in choice.candidates)


def _bare(quantity: Quantity) -> Quantity:
    return Quantity(quantity.name, quantity.value, "1", quantity.low, quantity.high)
