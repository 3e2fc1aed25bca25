"""The diagnoses, one file each. Nothing is registered: this folder is read.

Other packages add rules through the entry-point group `unstuck.rules`; each entry names a module that holds a
`RULE`.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Final

from unstuck.report import FAMILY_BRANCH
from unstuck.rule import Rule

FAMILIES: Final = tuple(FAMILY_BRANCH)


def rank(code: str) -> tuple[int, str]:
    """The order in which the guide asks."""
    family = code[:3]
    return (FAMILIES.index(family) if family in FAMILIES else len(FAMILIES), code)


@lru_cache(maxsize=1)
def load() -> tuple[Rule, ...]:
    """Every rule, in the order in which the guide asks."""
    names = [f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)]
    names += [entry.value for entry in entry_points(group="unstuck.rules")]
    rules = [replace(importlib.import_module(name).RULE, module=name) for name in names]
    return tuple(sorted(rules, key=lambda rule: rank(rule.code)))
