"""The catalogue of diagnoses, read from the text of the rule files: nothing of them is imported.

A rule file's module docstring is its documentation. Its first line states the fault, its sections come
under the headings in `HEADINGS`. The file's name is the rule's name, and its code stands in
`RULE = Rule(code="OPT001", …)`. Rules of other packages are found by the entry points of the group
`unstuck.rules`, each of which names a module.
"""

from __future__ import annotations

import ast
import difflib
import importlib.util
import inspect
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, final

from unstuck.errors import sentence
from unstuck.report import RuleSummary

FOLDER: Final = Path(__file__).parent / "rules"
GROUP: Final = "unstuck.rules"
FAMILIES: Final[Mapping[str, str]] = {
    "SET": "The program does not do what its author means",
    "DAT": "The data carry the fault",
    "OPT": "The training loss is large because optimisation fails",
    "CAP": "The training loss is large because of the model",
    "GEN": "The training loss is small, the held-out loss is not",
    "MIS": "The held-out loss is small, the test loss is not",
}
HEADINGS: Final = (
    "What it checks",
    "Why it hurts",
    "How it is measured",
    "Remedy",
    "When to leave it",
    "References",
)


@final
@dataclass(frozen=True, slots=True)
class Entry:
    """One diagnosis of the catalogue.

    Attributes:
        code: Such as "OPT001".
        name: Such as "learning-rate-too-high".
        title: A sentence that states the fault.
        sections: Heading → markdown text, in the order of the file.
        path: The rule file.
    """

    code: str
    name: str
    title: str
    sections: Mapping[str, str]
    path: Path

    @property
    def family(self) -> str:
        """The letters of the code, such as "OPT"."""
        return self.code.rstrip("0123456789")

    def summary(self) -> RuleSummary:
        """What a report keeps of the rule; `why` is the first paragraph of "Why it hurts"."""
        why = self.sections.get("Why it hurts", "").partition("\n\n")[0]
        return RuleSummary(self.code, self.name, self.title, " ".join(why.split()))


def _code(module: ast.Module) -> str:
    for statement in module.body:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, value = [statement.target], statement.value
        else:
            continue
        if not any(isinstance(target, ast.Name) and target.id == "RULE" for target in targets):
            continue
        if not isinstance(value, ast.Call):
            continue
        given = [keyword.value for keyword in value.keywords if keyword.arg == "code"]
        for argument in given + value.args[:1]:
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                return argument.value
    return ""


def _sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## +(.+?) *$", text, flags=re.MULTILINE)
    return {heading: body.strip("\n") for heading, body in zip(parts[1::2], parts[2::2], strict=True)}


def read(path: Path) -> Entry | None:
    """Read one rule file; what is no Python fails as it would for Python.

    Args:
        path: A Python file.

    Returns:
        Its entry, or None where the file defines no `RULE` with a code.
    """
    return _parsed(path, path.read_text(encoding="utf-8"))


@cache
def _parsed(path: Path, source: str) -> Entry | None:
    """The entry of a file with this text; parsed once, for a diagnosis looks up every rule by itself."""
    if "RULE" not in source:
        return None
    module = ast.parse(source, filename=str(path))
    code = _code(module)
    if not code:
        return None
    documentation = inspect.cleandoc(ast.get_docstring(module) or "")
    head, separator, rest = documentation.partition("\n## ")
    title = " ".join(head.partition("\n\n")[0].split())
    sections = _sections(f"## {rest}") if separator else {}
    return Entry(code, path.stem.replace("_", "-"), title, sections, path)


def _module_file(name: str) -> Path | None:
    """The file of a module, found without importing the packages above it where they are folders."""
    top, *rest = name.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None:
        return None
    for folder in spec.submodule_search_locations or ():
        place = Path(folder).joinpath(*rest)
        for candidate in (place.with_suffix(".py"), place / "__init__.py"):
            if rest and candidate.is_file():
                return candidate
    spec = importlib.util.find_spec(name) if rest else spec
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob("*.py"))
    from importlib.metadata import entry_points  # slow to import, and not needed for `--help`

    for point in entry_points(group=GROUP):
        try:
            path = _module_file(point.module)
        except (ImportError, ValueError) as error:
            warnings.warn(f"the rule {point.value!r} was not found: {error}", stacklevel=3)
            continue
        if path is None:
            warnings.warn(f"the rule {point.value!r} was not found", stacklevel=3)
        else:
            yield path


def _order(entry: Entry) -> tuple[int, str, str]:
    families = list(FAMILIES)
    place = families.index(entry.family) if entry.family in families else len(families)
    return place, entry.code, entry.name


def entries(folder: Path | None = None) -> tuple[Entry, ...]:
    """Every diagnosis there is: those of the rule folder and those of other packages.

    Args:
        folder: The rule folder; that of `unstuck` itself where None.

    Returns:
        The entries by family, in the order of the guide, then by code. A file that cannot be read
        is passed over with a warning.
    """
    found: dict[Path, Entry] = {}
    for path in _files(FOLDER if folder is None else folder):
        try:
            entry = read(path)
        except (SyntaxError, ValueError, OSError) as error:
            warnings.warn(f"the rule file {path} was not read: {error}", stacklevel=2)
            continue
        if entry is not None:
            found[path] = entry
    return tuple(sorted(found.values(), key=_order))


def entry(code_or_name: str, folder: Path | None = None) -> Entry:
    """The diagnosis with a code or a name.

    Args:
        code_or_name: Such as "OPT001" or "learning-rate-too-high"; case does not matter.
        folder: The rule folder; that of `unstuck` itself where None.

    Returns:
        Its entry.

    Raises:
        LookupError: If there is none; the message names those that come close.
    """
    wanted = code_or_name.strip().lower().replace("_", "-")
    every = entries(folder)
    names: dict[str, Entry] = {}
    for one in every:
        names.setdefault(one.code.lower(), one)
        names.setdefault(one.name, one)
    if wanted in names:
        return names[wanted]
    inside = [name for name in names if len(wanted) >= 3 and wanted in name]
    alike = inside + difflib.get_close_matches(wanted, names, n=3, cutoff=0.55)
    close = list({names[name].code: names[name] for name in alike}.values())[:3]
    do = f"Did you mean {' or '.join(f'{one.code} {one.name}' for one in close)}?" if close else ""
    advice = do or "`unstuck rules` lists them."
    raise LookupError(sentence("A diagnosis must be named by its code or its name", repr(code_or_name), advice))


def problems(entry: Entry) -> tuple[str, ...]:
    """What a rule file's documentation lacks.

    Args:
        entry: The entry of the file.

    Returns:
        One sentence per defect; none where title and headings are as they must be.
    """
    defects = []
    if not entry.title.endswith("."):
        defects.append(f"the title must be one sentence; got {entry.title!r}")
    if tuple(entry.sections) != HEADINGS:
        got = ", ".join(entry.sections) or "none"
        defects.append(f"the headings must be {', '.join(HEADINGS)}, in this order; got {got}")
    defects += [f"the section {name!r} is empty" for name, text in entry.sections.items() if not text.strip()]
    if entry.family not in FAMILIES or not re.fullmatch(r"[A-Z]{3}\d{3}", entry.code):
        defects.append(f"the code must be a family ({', '.join(FAMILIES)}) and three digits; got {entry.code!r}")
    return tuple(defects)
