"""`python -m tools.messages`: bring the catalogues in step with the sources; `check FILE…`: say what is wrong."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.messages.catalogues import DOMAINS, FOLDER, MERGED, compiled, extracted, faults, path_of, read, updated
from unstuck.languages import ENGLISH, LANGUAGES


def _update() -> int:
    messages = extracted()
    for language in LANGUAGES:
        if language == ENGLISH:
            continue
        for domain in DOMAINS:
            path = path_of(domain, language)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(updated(domain, messages[domain], language))
        (FOLDER / language / "LC_MESSAGES" / MERGED).write_bytes(compiled(language))
    return 0


def _check(paths: list[Path]) -> int:
    wrong = 0
    for path in paths:
        catalogue = read(path)
        found = list(faults(catalogue))
        untranslated = sum(what == "it is not translated" for _, what in found)
        for text, what in found:
            if what != "it is not translated":
                print(f"{path.name}: {text[:100]!r}: {what}")
        print(
            f"{path.name}: {len(catalogue)} messages, {untranslated} not translated, {len(found) - untranslated} wrong"
        )
        wrong += len(found)
    return int(wrong > 0)


def main() -> int:
    """Do what was typed."""
    parser = argparse.ArgumentParser(prog="python -m tools.messages", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("update", "check"), default="update")
    parser.add_argument("paths", nargs="*", type=Path, help=".po files to check (default: all)")
    options = parser.parse_args()
    return _update() if options.what == "update" else _check(options.paths or [path_of(domain) for domain in DOMAINS])


if __name__ == "__main__":
    sys.exit(main())
