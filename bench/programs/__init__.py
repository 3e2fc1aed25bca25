"""Real training programs that people asked about, re-expressed with their repaired twins.

One file a program: its facts, `build(repaired)` for the set-up as asked about (nothing repaired), the
repaired twin (every cause repaired) and all between, and `PROGRAM`. What truly ails each is measured by
`python -m bench.programs.establish` and kept in `established.json`; the published labels are only where it
starts.
"""

import importlib
import json
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from bench.programs.data import Splits
    from unstuck import Setup

CURED = 0.8
"""Share of the gap that counts as cured, as in `establish`."""

Repaired = frozenset[str]
Task = Literal["regression", "binary", "classes"]
ESTABLISHED = Path(__file__).parent / "established.json"


@dataclass(frozen=True)
class Program:
    """A program as it was asked about, and every way of repairing it."""

    id: str
    source: str
    build: "Callable[[Repaired], Setup]"
    splits: "Callable[[Repaired], Splits]"
    """The training split and the one to score on, both as the set-up with these repairs feeds them."""
    task: Task
    """How to score: R² of the outputs, a threshold on one column, or the largest column."""
    causes: tuple[str, ...]
    """Catalogue codes of everything that was said to be wrong; each can be repaired alone."""
    full_facts: bool = True
    """Whether the source tells network, data, optimizer and rate; else only the mechanism is the program's own."""

    @property
    def truth(self) -> tuple[str, ...]:
        """The causes whose repair alone cures; if there is none, those without which nothing does (`establish`).

        Empty as long as the program has not been established.
        """
        return tuple(established().get(self.id, {"truth": ()})["truth"])

    @property
    def also(self) -> tuple[str, ...]:
        """What is true besides, and right to name, though it need not be found.

        Where no repair cures alone, each cause without whose repair all others together fall short of a cure, beyond
        doubt of the seeds. And where a missing sigmoid or softmax (SET003) is true, the activation that stands in its
        place, if there is one: the catalogue calls both together SET004.
        """
        causes = established().get(self.id, {"causes": {}})["causes"]
        if any(found["verdict"] == "sufficient" for found in causes.values()):
            return ()
        short = {code for code, found in causes.items() if found["without"]["interval"][1] < CURED}
        short |= {"SET004"} & set(causes) if "SET003" in self.truth else set()
        return tuple(code for code in causes if code in short and code not in self.truth)


@cache
def established() -> dict[str, dict[str, Any]]:
    """What `python -m bench.programs.establish` found out, by program."""
    found: dict[str, dict[str, Any]] = json.loads(ESTABLISHED.read_text())
    return found


def programs() -> tuple[Program, ...]:
    """Every program in this folder, by file name."""
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    return tuple(module.PROGRAM for module in modules if hasattr(module, "PROGRAM"))
