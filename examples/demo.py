"""Three failing trainings on handwritten digits, diagnosed and cured: `make demo`.

The first cannot get its training loss down; the second knows its training digits by heart and reads others poorly;
the third reads them well until it comes to the test.
"""

import dataclasses
import time

from rich.console import Console
from rich.rule import Rule

import unstuck
from examples import digits_cnn, digits_mlp
from unstuck.cli.live import following
from unstuck.render import plot
from unstuck.render.cause import diff, title
from unstuck.render.lines import EMPTY, Line, Span, line, wrap
from unstuck.render.page import sections, verdict
from unstuck.render.text import print_lines, width_of
from unstuck.report import Curve

PATIENTS = {
    "examples/digits_mlp.py:learning_rate_too_high": digits_mlp.learning_rate_too_high,
    "examples/digits_mlp.py:overfitting": digits_mlp.overfitting,
    "examples/digits_cnn.py:preprocessing_mismatch": digits_cnn.preprocessing_mismatch,
}
SHOWN = ("The way through the guide", "What to change")


def diagnosis(report: unstuck.Report, width: int) -> list[Line]:
    """The verdict, the way to it, and what to change; the whole report is three times as long."""
    lines = verdict(report, width)
    for heading, body in sections(report, width):
        if heading in SHOWN:
            lines += [EMPTY, line(Span(heading, "heading")), EMPTY, *body]
    return [*lines, EMPTY]


def losses(setup: unstuck.Setup, on_test: bool) -> tuple[float, ...]:
    """The loss after each epoch on validation or test data."""
    if on_test:
        setup = dataclasses.replace(setup, validation=setup.test)
    return unstuck.fit(setup).validation_losses


def before_and_after(given: unstuck.Setup, cure: unstuck.Cure, width: int) -> list[Line]:
    """What was treated, and the loss that it hurt: as given beside as cured."""
    cause = cure.steps[0].cause
    if cause is None or cause.trial is None:
        return wrap([cure.sentence], width)
    split = "test" if cause.trial.score.startswith("test") else "validation"
    curves = [
        Curve(f"{split} loss {words}", tuple(range(len(values))), values)
        for words, values in (
            ("as given", losses(given, split == "test")),
            ("as cured", losses(cure.setup, split == "test")),
        )
    ]
    drawn = plot.side_by_side(curves, ["sick", "well"], width, "  ", axis="epoch")
    changes = diff(cause.trial.changes, width, "  ")
    return [title(cause, width), *changes, EMPTY, *drawn, EMPTY, *wrap([cure.sentence], width, "  "), EMPTY]


def main() -> None:
    """Diagnose, treat, and show the cured runs beside the sick ones."""
    console = Console()
    width = width_of(console)
    start = time.monotonic()
    ending: list[Line] = []
    for number, (target, patient) in enumerate(PATIENTS.items(), start=1):
        console.print(Rule(f"{number} of {len(PATIENTS)}  {patient.__name__.replace('_', ' ')}"), width=width)
        print_lines([*wrap([patient.__doc__ or ""], width), EMPTY], console)
        with following(Console(stderr=True), True) as progress:
            cure = unstuck.treat(patient(), progress=progress)
            ending += before_and_after(patient(), cure, width)
        print_lines(diagnosis(cure.steps[0], width), console)
        print_lines([line("The whole report: ", Span(f"unstuck diagnose {target}", "code")), EMPTY], console)
    console.print(Rule("as given, and as cured"), width=width)
    print_lines([EMPTY, *ending], console)
    print_lines([line(f"All three took {time.monotonic() - start:.0f} s.")], console)


if __name__ == "__main__":
    main()
