"""Two failing trainings on real data, diagnosed and cured: `make demo`.

The first cannot get its training loss down; the second reads its training digits perfectly and others poorly.
"""

import time

from rich.console import Console
from rich.rule import Rule

import unstuck
from examples import digits_mlp
from unstuck.cli.live import following
from unstuck.render.cure import print_cure
from unstuck.render.text import print_report

PATIENTS = (
    ("Digits 1 of 2: the training loss does not go down", digits_mlp.learning_rate_too_high),
    ("Digits 2 of 2: the training loss is small, the held-out loss is not", digits_mlp.overfitting),
)


def main() -> None:
    """Diagnose, treat, and show the cured runs beside the sick ones."""
    console = Console()
    start = time.monotonic()
    for title, patient in PATIENTS:
        console.print(Rule(title))
        with following(Console(stderr=True), True) as progress:
            cure = unstuck.treat(patient(), progress=progress)
        print_report(cure.steps[0], console)
        print_cure(cure, console)
    console.print(f"Both took {time.monotonic() - start:.0f} s. The same from the command line:")
    console.print("  unstuck treat examples/digits_mlp.py:overfitting", markup=False)


if __name__ == "__main__":
    main()
