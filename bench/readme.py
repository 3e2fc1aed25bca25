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

README = Path(__file__).parents[1] / "README.md"


def report() -> str:
    """The report on a common mistake."""
    text = str(unstuck.diagnose(digits_mlp.probabilities_into_logits_loss()))
    command = "$ unstuck diagnose examples/digits_mlp.py:probabilities_into_logits_loss"
    return "```\n" + command + "\n\n" + "\n".join(line.rstrip() for line in text.splitlines()) + "\n```"


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
