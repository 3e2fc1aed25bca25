"""Size of a report, and how soon it shows: `python -m bench.paint`. Needs Chromium and `unstuck[browser]`.

A small run is a report as it comes out of an examination of `examples/digits_mlp.py`; the large one has 200 layers
and 100,000 steps. Each is opened in a fresh profile `TIMES` times; the median counts.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import sync_playwright

import unstuck
from bench.screenshots import QUIET, chromium
from examples import digits_mlp
from unstuck import Report
from unstuck.render.machine import from_json

LAYERS: Final = 200
STEPS: Final = 100_000
MOMENTS: Final = 300
TIMES: Final = 5

SHOWN: Final = """() => new Promise(done => new PerformanceObserver(list => {
    const paint = list.getEntriesByName('first-contentful-paint')[0];
    if (paint) done({paint: paint.startTime, load: performance.getEntriesByType('navigation')[0].loadEventEnd});
}).observe({type: 'paint', buffered: true}))"""


def large(report: Report) -> Report:
    """The same report with the stored run of a large training."""
    losses = [2.3 * math.exp(-step / 3e4) * (1 + 0.2 * math.sin(step * 12.9898) ** 2) for step in range(STEPS)]
    traces: list[dict[str, Any]] = []
    for depth in range(LAYERS):
        wave = [1e-3 * (1 + math.sin(depth / 9 + moment / 20)) + 1e-6 for moment in range(MOMENTS)]
        kept = {key: wave for key in ("gradient_norm", "update_norm", "output_rms", "output_zero_share")}
        name = f"encoder.layers.{depth}.attention.projection"
        traces.append({"name": name, "kind": "Linear", "depth": depth, "weight_norm": [1.0] * MOMENTS, **kept})
    record = {
        "losses": losses, "rates": [0.1 * (1 - step / STEPS) for step in range(STEPS)], "gradient_norms": losses,
        "epoch_ends": list(range(1000, STEPS + 1, 1000)), "validation_losses": losses[999::1000],
        "sampled_steps": list(range(0, STEPS, STEPS // MOMENTS))[:MOMENTS], "layers": traces,
    }  # fmt: skip
    return dataclasses.replace(report, chart={**report.chart, "History": {"record": record}})


def main() -> None:
    """Measure both and print a line each."""
    small = (
        from_json(Path(sys.argv[1]).read_bytes()) if len(sys.argv) > 1 else unstuck.diagnose(digits_mlp.overfitting())
    )
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as player:
        for name, report in (("small", small), (f"{LAYERS} layers × {STEPS:,} steps", large(small))):
            path = Path(folder) / "report.html"
            begun = time.perf_counter()
            report.save(path)
            saving = time.perf_counter() - begun
            seen: list[dict[str, float]] = []
            for _ in range(TIMES):
                browser = player.chromium.launch(executable_path=chromium(), args=list(QUIET))
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                page.goto(path.as_uri())
                told = page.evaluate(SHOWN)
                begun = time.perf_counter()
                page.evaluate(
                    "() => { for (const fold of document.querySelectorAll('details.fold')) fold.open = true; }"
                )
                page.evaluate("unstuckDrawAll()")
                told["all"] = 1000 * (time.perf_counter() - begun)
                seen.append(told)
                browser.close()
            paint, load, everything = (statistics.median(one[key] for one in seen) for key in ("paint", "load", "all"))
            print(
                f"{name}: {path.stat().st_size / 1e6:.2f} MB, written in {saving:.2f} s; first paint {paint:.0f} ms, "
                f"loaded {load:.0f} ms, every picture drawn in {everything:.0f} ms more",
                flush=True,
            )


if __name__ == "__main__":
    main()
