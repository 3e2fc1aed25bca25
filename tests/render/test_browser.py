"""Reports in a real browser: nothing hostile runs, nothing is fetched, cut, empty or out of reach."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.render import samples
from tests.render.browser import AXE, DESKTOP, PHONE, chromium
from tests.render.test_exhibits import confusions, drift, landscape, strangers, suspects
from tests.render.test_html import hostile
from tests.render.test_pictures import record
from unstuck.report import Report

pytestmark = pytest.mark.slow

OUTSIDE = """() => {
    const cut = [];
    for (const svg of document.querySelectorAll('.plot svg')) {
        const frame = svg.getBoundingClientRect();
        for (const text of svg.querySelectorAll('text')) {
            const box = text.getBoundingClientRect();
            if (!box.width || getComputedStyle(text).opacity === '0' || text.getAttribute('opacity') === '0') continue;
            if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1) {
                cut.push(svg.closest('.plot').dataset.picture + ': ' + text.textContent);
            }
        }
    }
    return cut;
}"""
EMPTY = """() => [...document.querySelectorAll('.plot')].filter(place => place.clientWidth
    && !place.querySelector(
        '.mark-rect path, .mark-symbol path, .mark-line path, .mark-area path, .mark-rule line, .mark-image image'))
    .map(place => place.dataset.picture + ': ' + (place.dataset.failed ?? 'empty'))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


def rich() -> Report:
    """A report with most kinds of measurements, many layers and long names."""
    stored = record(3000, 90, 80)
    for layer in stored["layers"]:
        layer["name"] = f"encoder.blocks.attention.projection.{layer['depth']}"
    scores = {split: {"loss": loss} for split, loss in (("training", 0.1), ("held_out", 0.9), ("test", 1.4))}
    comparators = [
        {"name": f"the {word} model, robustly trained", "scale": "loss", "training": 0.03, "held_out": 0.2 + place}
        for place, word in enumerate(("same", "larger", "linear"))
    ]
    chart = {
        "History": {"record": stored},
        "FinalScores": {"scores": scores},
        "Comparison": {
            "given": scores, "constant_training": 2.3, "constant_held_out": 2.31, "comparators": comparators,
        },
        "ClassRecall": {"training": [{"number": n, "count": 9, "found": n, "share": 0.1} for n in range(10)]},
        "RangeTest": {
            "points": [{"factor": 10.0**power, "losses": [abs(power) + 0.1]} for power in range(-3, 3)],
            "best": 1.0, "start": 2.3,
        },
        "GradientNoise": {"batch_size": 32, "start": {"scale": 200.0, "low": 90.0, "high": 900.0}, "end": None},
        "EndPoint": {
            "point": {"loss": 0.6, "smallest": -1.0, "largest": 4.0}, "negative_share": 0.1,
            "density": {"nodes": [[-1.0, 0.0, 4.0]], "weights": [[0.1, 0.8, 0.1]], "size": 100},
            "descent": {"steps": [-2.0, -1.0, 1.0, 2.0], "losses": [0.1, 0.3, 0.3, 0.2], "step": -2.0, "fall": 0.5},
        },
        "LabelNoise": {
            "samples": 300, "accuracy": 0.7, "surest": 100, "surest_wrong": 30, "learner": "x", "suspects": [4, 7],
        },
        "Landscape": landscape(), "Suspects": suspects(), "Strangers": strangers(), "InputDrift": drift(),
        "Confusions": confusions(),
        "TwoSample": {"against": "test", "auc": 0.9, "low": 0.8, "high": 0.95, "classifier": "x"},
    }  # fmt: skip
    return dataclasses.replace(samples.sick(), chart=chart)


REPORTS = {"sick": samples.sick, "healthy": samples.healthy, "cut_short": samples.cut_short, "rich": rich}


def opened(browser: Any, report: Report, folder: Path, size: tuple[int, int] = DESKTOP, theme: str = "light") -> Any:
    """The page of a report with everything unfolded and drawn; what went wrong is under `page.trouble`."""
    report.save(folder / "report.html")
    context = browser.new_context(viewport={"width": size[0], "height": size[1]}, color_scheme=theme)
    page = context.new_page()
    trouble: list[str] = []
    page.on("dialog", lambda dialog: (trouble.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("console", lambda message: trouble.append(message.text))
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("request", lambda request: request.url.startswith("file:") or trouble.append(request.url))
    page.goto((folder / "report.html").as_uri())
    page.evaluate("() => { for (const fold of document.querySelectorAll('details.fold')) fold.open = true; }")
    page.evaluate("() => globalThis.unstuckDrawAll?.()")
    page.trouble = trouble
    return page


def test_stored_samples_are_shown_as_images(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, rich(), tmp_path)
    page.wait_for_function("document.querySelectorAll('.plot image').length === 20")
    sizes = page.evaluate("""() => Promise.all([...document.querySelectorAll('.plot image')].map(async (image) => {
        const shown = new Image();
        shown.src = image.getAttribute('href');
        await shown.decode();
        return shown.naturalWidth;
    }))""")
    assert sizes == [8] * 20 and page.trouble == []


def test_hostile_strings_run_nothing_and_fetch_nothing(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, hostile(), tmp_path)
    for plot in page.query_selector_all(".plot"):
        plot.scroll_into_view_if_needed()
        plot.hover()
    page.wait_for_timeout(200)
    assert page.trouble == []
    assert page.evaluate("document.querySelectorAll('main img, svg image, #vg-tooltip-element img').length") == 0
    assert page.evaluate(EMPTY) == []


def test_a_tooltip_shows_hostile_names_as_text(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, hostile(), tmp_path)
    plot = page.locator('[data-picture="layer-gradients"]')
    plot.scroll_into_view_if_needed()
    plot.locator(".mark-rect path").first.hover()
    tooltip = page.locator("#vg-tooltip-element")
    tooltip.wait_for(state="visible")
    assert "</script><img src=x onerror=alert(1)>" in tooltip.inner_text()
    assert page.trouble == []


def test_the_policy_stops_a_script_and_a_request(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, samples.sick(), tmp_path)
    page.evaluate("""() => {
        document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.ran = true">');
        const script = document.createElement('script');
        script.textContent = 'window.ran = true';
        document.body.append(script);
    }""")
    blocked = page.evaluate("fetch('https://example.org').then(() => false, () => true)")
    page.wait_for_timeout(100)
    assert page.evaluate("window.ran === undefined") and blocked


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE, (320, 640)])
@pytest.mark.parametrize("name", REPORTS)
def test_nothing_is_cut_empty_or_wider_than_the_screen(
    browser: Any, tmp_path: Path, name: str, size: tuple[int, int], theme: str
) -> None:
    page = opened(browser, REPORTS[name](), tmp_path, size, theme)
    assert page.trouble == []
    assert page.evaluate(EMPTY) == []
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("name", REPORTS)
def test_the_three_answers_are_on_the_first_screen(
    browser: Any, tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    page = opened(browser, REPORTS[name](), tmp_path, size)
    page.evaluate("scrollTo(0, 0)")
    bottom = page.evaluate("document.querySelector('.verdict').getBoundingClientRect().bottom")
    assert 0 < bottom <= size[1]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("name", REPORTS)
def test_axe_finds_nothing_serious(browser: Any, tmp_path: Path, name: str, size: tuple[int, int], theme: str) -> None:
    if not AXE.exists():
        pytest.skip("axe-core is not installed: `npm ci` in tools/figures")
    page = opened(browser, REPORTS[name](), tmp_path, size, theme)
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    told = [
        (each["id"], each["impact"], [node["html"][:160] for node in each["nodes"][:3]]) for each in found["violations"]
    ]
    assert [each for each in told if each[1] in {"serious", "critical"}] == [], json.dumps(told, indent=1)


def test_everything_is_drawn_and_unfolded_for_printing(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, rich(), tmp_path)
    page.reload()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...document.querySelectorAll('details.fold')].every(fold => fold.open)")
    assert page.evaluate("[...document.querySelectorAll('.plot')].every(place => place.querySelector('svg'))")
    assert page.pdf(format="A4")[:5] == b"%PDF-"


def test_the_keyboard_reaches_the_report_and_its_folds(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, rich(), tmp_path)
    page.reload()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    fold = page.locator("details.fold > summary").first
    fold.focus()
    page.keyboard.press("Enter")
    assert fold.evaluate("summary => summary.parentElement.open")


def test_the_axis_can_be_switched(browser: Any, tmp_path: Path) -> None:
    page = opened(browser, rich(), tmp_path)
    plot = page.locator('[data-picture="curves"]')
    before = plot.inner_html()
    switch = page.locator("#picture-curves .switch")
    words = switch.inner_text()
    switch.click()
    assert switch.inner_text() != words and plot.inner_html() != before
    assert page.trouble == []
