"""Tables of a benchmark within a page that people write."""

from collections.abc import Iterable, Sequence
from pathlib import Path

END = "<!-- /table -->"
DOCS = Path(__file__).resolve().parents[1] / "docs"
COST = DOCS / "cost.md"
"""What the tool costs, in time and memory."""


def put(page: Path, command: str, lines: Iterable[str]) -> None:
    """Replace the table that a command has written.

    Args:
        page: Holds the mark of the command, and an end.
        command: Writes the table.
        lines: Of the new one.

    Raises:
        ValueError: If the page has no place for it.
    """
    text = page.read_text(encoding="utf-8")
    mark = f"<!-- table: written by `{command}` -->"
    before, found, rest = text.partition(mark)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{page.name} must hold {mark!r} and {END!r} behind it; add them where the table belongs")
    page.write_text(before + "\n".join([mark, *lines, END]) + after, encoding="utf-8")


def rows(heads: Sequence[str], cells: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    return [f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *cells)]
