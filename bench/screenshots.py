"""Screenshots of reports of six branches and of the live page, at desktop and phone width, light and dark.

`python -m bench.screenshots` diagnoses the patients and writes docs/images; `--reports FOLDER` takes saved reports
(FOLDER/NAME.json) instead, `--only NAME` one of them or "live". It needs Chromium and `pip install 'unstuck[browser]'`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, sync_playwright

import unstuck
from bench.cases import cases
from bench.live_page import served
from examples import digits_cnn, digits_mlp
from unstuck import Report, Setup
from unstuck.languages import ENGLISH, LANGUAGES
from unstuck.render.machine import from_json

FOLDER: Final = Path(__file__).parents[1] / "docs" / "images"
PATIENTS: Final[dict[str, Callable[[], Setup]]] = {
    "set-up": digits_mlp.probabilities_into_logits_loss,
    "data": lambda: cases()["injected/DAT001/digits-perceptron"].patient(),
    "optimisation": digits_mlp.learning_rate_too_high,
    "model-bias": lambda: cases()["injected/CAP001/shells-perceptron"].patient(),
    "overfitting": digits_mlp.overfitting,
    "mismatch": digits_cnn.preprocessing_mismatch,
}
"""A patient of each branch of the guide."""
TRANSLATED: Final = "optimisation"
"""The one that is shown in every language, in the light theme; it needs a font that has their letters."""

SIZES: Final = {"desktop": (1280, 1500), "phone": (390, 1500)}
THEMES: Final = ("light", "dark")
QUALITY: Final = 55
QUIET: Final = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync")


def chromium() -> str:
    """Where Chromium is."""
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        raise SystemExit("Chromium must be installed, or named by CHROMIUM.")
    return found


def report_of(name: str, saved: Path | None) -> Report:
    """The report on a patient, made now or taken from a folder."""
    if saved is not None:
        return from_json((saved / f"{name}.json").read_bytes())
    return unstuck.diagnose(PATIENTS[name]())


def shoot(browser: Browser, page_file: Path, name: str, folder: Path, themes: Sequence[str] = THEMES) -> None:
    """One report at every width in every theme."""
    for size, (width, height) in SIZES.items():
        for theme in themes:
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark" if theme == "dark" else "light"
            )
            page = context.new_page()
            page.goto(page_file.as_uri())
            page.evaluate("unstuckDrawAll()")
            page.screenshot(path=folder / f"{name}-{size}-{theme}.jpg", type="jpeg", quality=QUALITY)
            context.close()


def shoot_live(browser: Browser, folder: Path) -> None:
    """The live page at every width in every theme, with three runs on it, one of which goes on."""
    with tempfile.TemporaryDirectory() as kept, served(Path(kept)) as address:
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        page.locator("#runs input").first.wait_for()
        for box in page.locator("#runs input").all():
            box.check()
        for size, (width, height) in SIZES.items():
            for theme in THEMES:
                page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
                page.set_viewport_size({"width": width, "height": height})
                page.locator(".uplot").first.wait_for()
                page.wait_for_timeout(1000)
                page.screenshot(path=folder / f"live-{size}-{theme}.jpg", type="jpeg", quality=QUALITY)
        context.close()


def main() -> None:
    """Write the screenshots."""
    parser = argparse.ArgumentParser(prog="python -m bench.screenshots", description=__doc__)
    parser.add_argument("--reports", type=Path, help="a folder with NAME.json for each report")
    parser.add_argument("--into", type=Path, default=FOLDER, help="where the images go")
    parser.add_argument("--only", choices=[*PATIENTS, "live"], help="one of them")
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as kept, sync_playwright() as player:
        browser = player.chromium.launch(executable_path=chromium(), args=list(QUIET))
        if options.only in (None, "live"):
            shoot_live(browser, options.into)
        for name in [name for name in PATIENTS if options.only in (None, name)]:
            page_file = Path(kept) / f"{name}.html"
            report = report_of(name, options.reports)
            report.save(page_file)
            shoot(browser, page_file, name, options.into)
            if name == TRANSLATED:
                for language in (code for code in LANGUAGES if code != ENGLISH):
                    translation = page_file.with_suffix(f".{language}.html")
                    report.save(translation, language=language)
                    shoot(browser, translation, f"{name}-{language}", options.into, THEMES[:1])
            print(f"{name}: {page_file.stat().st_size / 1e6:.2f} MB", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
