"""Find out why a neural network fails to train or to generalise, and prove the cure."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unstuck.capture.hints import hint as hint
    from unstuck.diagnosis import diagnose as diagnose
    from unstuck.judgement import replay as replay
    from unstuck.leakage import leaks as leaks
    from unstuck.loop import Run as Run
    from unstuck.loop import fit as fit
    from unstuck.report import Report as Report
    from unstuck.selection import Between as Between
    from unstuck.selection import Selection as Selection
    from unstuck.selection import select as select
    from unstuck.setup import Setup as Setup
    from unstuck.treatment import Cure as Cure
    from unstuck.treatment import treat as treat
    from unstuck.watching import Recording as Recording
    from unstuck.watching import watch as watch

__version__ = "0.1.0"

# Public name → the module that holds it. Loaded when first used, so that `unstuck --help` needs no torch.
_HOMES = {
    "Between": "unstuck.choice",
    "Cure": "unstuck.treatment",
    "Recording": "unstuck.watching",
    "Report": "unstuck.report",
    "Run": "unstuck.loop",
    "Selection": "unstuck.selection",
    "Setup": "unstuck.setup",
    "diagnose": "unstuck.diagnosis",
    "fit": "unstuck.loop",
    "hint": "unstuck.capture.hints",
    "leaks": "unstuck.leakage",
    "replay": "unstuck.judgement",
    "select": "unstuck.selection",
    "treat": "unstuck.treatment",
    "watch": "unstuck.watching",
}

__all__ = [
    "Between",
    "Cure",
    "Recording",
    "Report",
    "Run",
    "Selection",
    "Setup",
    "diagnose",
    "fit",
    "hint",
    "leaks",
    "replay",
    "select",
    "treat",
    "watch",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'unstuck' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names."""
    return [*__all__, "__version__"]
