"""Write the generated parts of README.md: a real report, and the benchmark's main figures.

python -m bench.readme
"""

import json
import re
from pathlib import Path

import unstuck
from bench.__main__ import BASELINE
from bench.cases import cases
from bench.outcome import restored
from bench.tables import ROWS, groups
from examples import digits_mlp

SHOWN = 6
"""Lines of what was ruled out."""
README = Path(__file__).parents[1] / "README.md"


def report() -> str:
    """The report on a common mistake."""
    text = shortened(str(unstuck.diagnose(digits_mlp.probabilities_into_logits_loss())))
    command = "$ unstuck diagnose examples/digits_mlp.py:probabilities_into_logits_loss"
    return "```\n" + command + "\n\n" + "\n".join(line.rstrip() for line in text.splitlines()) + "\n```"


def shortened(text: str) -> str:
    """The report with the first few of what was ruled out."""
    above, heading, below = text.partition("\nRuled out\n")
    ruled_out, rest = below.split("\nNot checked", 1)
    few = "\n".join(ruled_out.splitlines()[:SHOWN])
    return f"{above}{heading}{few}\n  … and every other rule that was judged, each with its number\n\nNot checked{rest}"


def accuracy() -> str:
    """The main figures of the accepted benchmark."""
    outcomes = [restored(values) for values in json.loads(BASELINE.read_text())]
    columns = groups(outcomes)
    lines = [f"On {len(outcomes)} of the {len(cases())} patients of the benchmark:", ""]
    lines += ["| " + " | ".join(["figure", *columns]) + " |", "|---|" + "---|" * len(columns)]
    lines += [f"| {name} | " + " | ".join(cell(figures) for figures in columns.values()) + " |" for name, cell in ROWS]
    return "\n".join(lines)


def replaced(text: str, part: str, content: str) -> str:
    """README text with the part between its marks replaced."""
    pattern = rf"(<!-- {part}: [^>]*-->\n).*?(<!-- /{part} -->)"
    return re.sub(pattern, lambda found: f"{found[1]}{content}\n{found[2]}", text, flags=re.DOTALL)


def main() -> None:
    text = README.read_text()
    text = replaced(text, "report", report())
    text = replaced(text, "accuracy", accuracy())
    README.write_text(text)


if __name__ == "__main__":
    main()
