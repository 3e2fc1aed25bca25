"""Where a report comes from: versions, device, seed and command."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
import shlex
import sys
from pathlib import Path

from unstuck.report import Provenance
from unstuck.setup import Setup

PACKAGES = ("unstuck", "torch", "numpy", "scipy", "scikit-learn")


def provenance(setup: Setup) -> Provenance:
    """Where a report on this set-up, made now by this process, comes from."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    script, *arguments = sys.argv or [""]
    command = (
        shlex.join([Path(script).name, *arguments]) if Path(script).stem == "unstuck" else "unstuck.diagnose(setup)"
    )
    created = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    return Provenance(command, versions, str(setup.device), setup.seed, created)
