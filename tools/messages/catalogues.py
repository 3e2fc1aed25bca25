"""The catalogues: which messages belong into which, what is wrong with one, and how they are written and compiled."""

from __future__ import annotations

import datetime
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from unstuck.languages import FOLDER_OF_CATALOGUES as FOLDER
from unstuck.languages import LANGUAGES

ROOT: Final = Path(__file__).parents[2]
PACKAGE: Final = ROOT / "src" / "unstuck"
MERGED: Final = "unstuck.mo"

AREAS: Final[Mapping[str, str]] = {
    "measure": "measure edits curves trials pairing guide statement joint experiments treatment diagnosis draft"
    " judgement ranking laboratory leakage gauge examine budget store rule report quantity stats provenance languages",
    "reports": "render catalogue",
    "cli": "cli setup errors loop progress",
    "recording": "capture watching recording recorded logs exports selection choice candidate_log honesty integrations"
    " serving",
}
"""Domain → the modules and packages whose sentences it holds; those of rules go by family."""

FAMILIES: Final = ("set", "dat", "opt", "cap", "gen", "mis")
DOMAINS: Final = (
    *(f"rules-{family}" for family in FAMILIES),
    *(f"explain-{family}" for family in FAMILIES),
    *AREAS,
)

UNREAD: Final = re.compile(
    r"languages/(?!words)|(patients|render/(schema|choice_schema|sarif|junit|machine)|recording/schema"
    r"|serving/guard)\.py"
)
"""Files that speak to machines: schemas, SARIF, JUnit, headers of web pages."""

WRITING_CODE: Final = re.compile(r"capture/(writing|spelling)\.py")
"""Files that write source code, for `unstuck init`: in them only what is marked, or said by an error, is a message."""

METHODS: Final[Mapping[str, str]] = {
    ".py": "tools.messages.python:extract",
    ".html": "tools.messages.pages:extract",
    ".js": "javascript",
}
KEYWORDS: Final = {"say": None}
LONG_AGO: Final = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
"""A date that stays, so that a catalogue changes only where its messages do."""

HOLE: Final = re.compile(r"\{(\d+)\}")
CODE: Final = re.compile(r"(?<![A-Za-z0-9])[A-Z]{3}\d{3}(?!\d)")
QUOTED: Final = re.compile(r"`[^`]+`")
NUMBER: Final = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?:e-?\d+)?")


def _family_of(source: str) -> str:
    found = re.search(r'code="([A-Z]{3})\d{3}"', source)
    return found[1].lower() if found else ""


def domain_of(path: Path) -> str:
    """The domain of a source file.

    Args:
        path: Of a file in the package.

    Returns:
        Its name; "" where nobody reads what the file says.
    """
    inside = path.relative_to(PACKAGE)
    if UNREAD.match(inside.as_posix()):
        return ""
    top = inside.parts[0].removesuffix(".py")
    if top == "rules":
        family = _family_of(path.read_text(encoding="utf-8"))
        return f"rules-{family}" if family else "measure"
    return next((domain for domain, tops in AREAS.items() if top in tops.split()), "measure")


@dataclass
class Source:
    """A message with the files that say it, and remarks for who translates it."""

    files: list[str]
    comments: list[str]


def extracted() -> dict[str, dict[str, Source]]:
    """All messages there are.

    Returns:
        Domain → message → where it stands; in the order of files and lines.
    """
    domains: dict[str, dict[str, Source]] = {domain: {} for domain in DOMAINS}

    def add(domain: str, path: Path, method: str) -> None:
        for _, text, comments, _ in extract_from_file(method, str(path), keywords=KEYWORDS):
            source = domains[domain].setdefault(text, Source([], []))
            name = path.relative_to(ROOT).as_posix()
            if name not in source.files:
                source.files.append(name)
            source.comments += [comment for comment in comments if comment not in source.comments]

    for path in sorted(PACKAGE.rglob("*")):
        if path.suffix not in METHODS or path.name.endswith(".min.js") or not (domain := domain_of(path)):
            continue
        writes_code = WRITING_CODE.match(path.relative_to(PACKAGE).as_posix())
        add(domain, path, "tools.messages.python:extract_strictly" if writes_code else METHODS[path.suffix])
        if domain.startswith("rules-"):
            add(domain.replace("rules-", "explain-"), path, "tools.messages.documents:extract")
    return domains


def path_of(domain: str, language: str = "zh") -> Path:
    """The catalogue of a domain."""
    return FOLDER / language / "LC_MESSAGES" / f"{domain}.po"


def read(path: Path, language: str = "zh") -> Catalog:
    """Read a catalogue.

    Args:
        path: Of a `.po` file; an empty catalogue where there is none.
        language: Its language.

    Returns:
        The catalogue.
    """
    if not path.is_file():
        return Catalog(locale=language)
    with path.open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def _blank(domain: str, language: str) -> Catalog:
    return Catalog(
        locale=language, domain=domain, project="unstuck", version="0", charset="utf-8", fuzzy=False,
        header_comment=f"# The messages of unstuck, {domain}. `make messages` keeps them in step with the sources.",
        creation_date=LONG_AGO, revision_date=LONG_AGO, last_translator="unstuck", language_team=LANGUAGES[language],
        msgid_bugs_address="unstuck",
    )  # fmt: skip


def updated(domain: str, messages: Mapping[str, Source], language: str = "zh") -> bytes:
    """A catalogue brought in step with the sources.

    Args:
        domain: Its name.
        messages: What it is to hold.
        language: Its language.

    Returns:
        The file: every message once, ordered by file, then as in the file, with the translation that it has had;
        no translation where it is new.
    """
    before = read(path_of(domain, language), language)
    catalogue = _blank(domain, language)
    for text, source in sorted(messages.items(), key=lambda item: item[1].files[0]):
        known = before.get(text)
        comments = list(source.comments) + (["holes: each once, in any order"] if HOLE.search(text) else [])
        message = catalogue.add(
            text,
            known.string if known else "",
            locations=[(file, 1) for file in source.files],
            flags=[flag for flag in known.flags if flag == "fuzzy"] if known else [],
            user_comments=known.user_comments if known else [],
            auto_comments=comments,
        )
        message.flags -= {"python-format", "python-brace-format"}  # taken for one from a "%" or a brace
    file = io.BytesIO()
    write_po(file, catalogue, width=0, include_lineno=False, include_previous=False)
    return file.getvalue()


def compiled(language: str = "zh") -> bytes:
    """All catalogues of a language as one `.mo` file; of two translations the first counts."""
    merged = Catalog(
        locale=language, project="unstuck", version="0", charset="utf-8", creation_date=LONG_AGO,
        revision_date=LONG_AGO, last_translator="unstuck", language_team=LANGUAGES[language], fuzzy=False,
    )  # fmt: skip
    for domain in DOMAINS:
        for message in read(path_of(domain, language), language):
            if message.id and message.string and not message.fuzzy and message.id not in merged:
                merged.add(message.id, message.string)
    file = io.BytesIO()
    write_mo(file, merged)
    return file.getvalue()


def _numbers(text: str) -> Counter[str]:
    return Counter(NUMBER.findall(HOLE.sub("", text)))


def faults(catalogue: Catalog) -> Iterator[tuple[str, str]]:
    """What is wrong with the translations of a catalogue.

    Args:
        catalogue: As read.

    Yields:
        Message, and what is wrong with its translation.
    """
    for message in catalogue:
        if not message.id:
            continue
        text, translation = str(message.id), str(message.string)
        if message.fuzzy:
            yield text, "it is marked fuzzy"
        if not translation.strip():
            yield text, "it is not translated"
            continue
        for kind, pattern in (("hole", HOLE), ("code", CODE), ("quotation", QUOTED)):
            wanted, got = Counter(pattern.findall(text)), Counter(pattern.findall(translation))
            if kind == "hole" and any(count != 1 for count in got.values()) and wanted == got:
                yield text, f"a {kind} occurs more than once"
            if wanted != got:
                missing, more = [*(wanted - got).elements()], [*(got - wanted).elements()]
                yield text, f"of each {kind} there must be as many; missing {missing}, too many {more}"
        missing_numbers = _numbers(text) - _numbers(translation)
        new_numbers = _numbers(translation) - _numbers(text)
        if missing_numbers or new_numbers:
            yield text, f"numbers differ: missing {[*missing_numbers]}, new {[*new_numbers]}"
        if text.strip() == translation.strip() and re.search(r"[a-z]{3,} [a-z]{2,}", HOLE.sub("", text)):
            yield text, "the translation is the English text"
