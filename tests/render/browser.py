"""A headless Chromium, where there is one; the tests that need it are skipped elsewhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
AXE = Path(__file__).parents[2] / "tools/figures/node_modules/axe-core/axe.min.js"
PHONE, DESKTOP = (390, 844), (1280, 800)


def executable() -> str | None:
    """Where Chromium is."""
    named = os.environ.get("CHROMIUM")
    return named or next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser with a fresh profile of its own; the test is skipped where there is none."""
    api = pytest.importorskip("playwright.sync_api")
    path = executable()
    if path is None:
        pytest.skip("Chromium is not installed")
    with api.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=path, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()
