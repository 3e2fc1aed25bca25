"""The pages of the site that are drawn up from the program: one per rule, the list of measurements, the README.

Everything is read as text; neither torch nor the site generator is imported.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from unstuck import catalogue

ROOT = Path(__file__).parents[1]
ACCURACY = ROOT / "docs" / "accuracy.md"
MEASURE = ROOT / "src" / "unstuck" / "measure"
ITEM = re.compile(r"\s*([-*]|\d+\.) +")
ROW = re.compile(r"^\| ([A-Z]{3}\d{3}) [^|]*\|(.*)\|$", re.MULTILINE)
CONFUSED = re.compile(r"^\| ([A-Z]{3}\d{3}) \| ([^|]*) \|$", re.MULTILINE)


def measured() -> dict[str, list[str]]:
    """Code → sick patients, top-1, top-3, cured, false alarms, as docs/accuracy.md tells them."""
    table = ACCURACY.read_text(encoding="utf-8").partition("## Per rule")[2].partition("\n## ")[0]
    return {code: [cell.strip() for cell in cells.split("|")] for code, cells in ROW.findall(table)}


def confusions() -> dict[str, str]:
    """Code → what was named first where it was the cause."""
    table = ACCURACY.read_text(encoding="utf-8").partition("## Confusion")[2].partition("\n## ")[0]
    return dict(CONFUSED.findall(table))


def spaced(text: str) -> str:
    """Markdown as the site generator reads it: an empty line before a list, a table and a block of code."""
    rows: list[str] = []
    fenced = False
    for row in text.splitlines():
        fence = row.strip().startswith("```")
        before = rows[-1] if rows else ""
        begins = bool(ITEM.match(row)) and not (ITEM.match(before) or before.startswith("  "))
        begins = begins or (row.startswith("|") and not before.startswith("|")) or (fence and not fenced)
        if begins and before.strip() and not (fenced and not fence):
            rows.append("")
        rows.append(row)
        fenced ^= fence
    return "\n".join(rows)


def _linked(text: str, pages: Mapping[str, str], own: str) -> str:
    """Codes of other rules as links to their pages; what stands in code is left alone."""
    parts = re.split(r"(```.*?```|`[^`]*`)", text, flags=re.DOTALL)

    def link(found: re.Match[str]) -> str:
        code = found[0]
        return f"[{code}]({pages[code]}.md)" if code in pages and code != own else code

    return "".join(part if part.startswith("`") else re.sub(r"\b[A-Z]{3}\d{3}\b", link, part) for part in parts)


def accuracy_of(code: str, figures: Mapping[str, list[str]], confused: Mapping[str, str]) -> str:
    """How often a rule was right, as Markdown."""
    row = figures.get(code)
    if row is None or row[0] == "0":
        return (
            "The part of the benchmark that was examined last holds no patient with this fault alone, so there is no\n"
            "figure. See [how often it is right](../accuracy.md)."
        )
    sick, first, third, cured, alarms = row
    lines = [
        "| patients | named first | among the first three | cured | false alarms |",
        "|---|---|---|---|---|",
        f"| {sick} | {first} | {third} | {cured} | {alarms} |",
        "",
        "Patients: set-ups of the benchmark that have this cause; the shares are of them. Cured: the treatment closes\n"
        "80 % of the gap to the healthy twin or more. False alarms: healthy set-ups that were accused of it.",
    ]
    if code in confused:
        lines += ["", f"Where it was the cause, this was named first: {confused[code]}."]
    return "\n".join([*lines, "", "All figures with their intervals: [how often it is right](../accuracy.md)."])


def rule_page(entry: catalogue.Entry, pages: Mapping[str, str]) -> str:
    """One diagnosis: what its file says, how often it is right, and how to see it at work.

    Args:
        entry: The diagnosis.
        pages: Code → name of the page, of every rule.
    """
    lines = [f"# {entry.code} {entry.name}", "", f"**{entry.title}**", ""]
    for heading, text in entry.sections.items():
        body = spaced(text)
        if heading == "References":
            body = "\n".join(f"{row}  " for row in body.splitlines())
        lines += [f"## {heading}", "", _linked(body, pages, entry.code), ""]
    lines += ["## How often it is right", ""]
    lines += [_linked(accuracy_of(entry.code, measured(), confusions()), pages, entry.code), ""]
    lines += ["## See it at work", "", "```", f"unstuck demo {entry.code}", "```", ""]
    lines += [f"In the source: `src/unstuck/rules/{entry.path.name}`.", ""]
    return "\n".join(lines)


def rules_index(entries: Iterable[catalogue.Entry]) -> str:
    """The list of rules, by family, each with its share of right answers."""
    figures = measured()
    lines = ["# Rules", "", "What `unstuck` can name. `unstuck rules` lists them in the terminal.", ""]
    family = ""
    for entry in entries:
        if entry.family != family:
            family = entry.family
            lines += ["", f"## {family}: {catalogue.FAMILIES.get(family, 'of another package')}", ""]
            lines += ["| rule | the fault | named first, of patients |", "|---|---|---|"]
        row = figures.get(entry.code)
        share = "–" if row is None or row[0] == "0" else f"{row[1]} of {row[0]}"
        lines.append(f"| [{entry.code} {entry.name}]({entry.name}.md) | {entry.title} | {share} |")
    return "\n".join([*lines, ""])


def measurements() -> Iterable[tuple[str, str]]:
    """Record and first paragraph of its documentation, of everything that measures itself."""
    for path in sorted(MEASURE.rglob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ClassDef):
                continue
            methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            documentation = inspect.cleandoc(ast.get_docstring(node) or "")
            if (
                "measure" in methods
                and documentation
                and not any("Protocol" in ast.unparse(base) for base in node.bases)
            ):
                yield node.name, " ".join(documentation.partition("\n\n")[0].split())


def measurements_page() -> str:
    """Everything that is measured, one row a record."""
    rows = [f"| `{name}` | {text.replace('|', chr(92) + '|')} |" for name, text in measurements()]
    head = [
        "# Measurements",
        "",
        "What rules judge by. Each is taken at most once an examination, and only if a rule asks for it; what cannot",
        "be measured is said to be unmeasured, with the reason. A report's JSON holds them all under `chart`, which is",
        "what `unstuck replay` judges again.",
        "",
        "| measurement | what it holds |",
        "|---|---|",
    ]
    return "\n".join([*head, *rows, ""])


def home() -> str:
    """The README, with its links bent to the site."""
    return bent((ROOT / "README.md").read_text(encoding="utf-8"))


def bent(text: str) -> str:
    """Links between the repository's pages as links between those of the site."""
    for there, here in {
        "](docs/": "](",
        "](../README.md)": "](index.md)",
        "](../CONTRIBUTING.md)": "](contributing.md)",
        "](CONTRIBUTING.md)": "](contributing.md)",
        "](README.md)": "](index.md)",
    }.items():
        text = text.replace(there, here)
    return spaced(text)


def generated() -> dict[str, str]:
    """Every page that is not a file of its own: path on the site → Markdown."""
    entries = catalogue.entries(catalogue.FOLDER)
    names = {entry.code: entry.name for entry in entries}
    pages = {f"rules/{entry.name}.md": rule_page(entry, names) for entry in entries}
    pages["rules/index.md"] = rules_index(entries)
    pages["measurements.md"] = measurements_page()
    pages["index.md"] = home()
    pages["contributing.md"] = bent((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    return pages
