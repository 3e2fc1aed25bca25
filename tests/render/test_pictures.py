"""Pictures: what they draw is what was stored, and what is not there costs the picture only."""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from tests.render import samples
from tests.render.strategies import reports
from unstuck.render.html import embedded, framed, to_html
from unstuck.render.html.view import SHOWS
from unstuck.render.pictures import PICTURES, picture, pictures
from unstuck.render.pictures.lines import MOST_POINTS
from unstuck.render.pictures.picture import Picture
from unstuck.report import Curve, Report


def record(steps: int, layers: int, moments: int) -> dict[str, Any]:
    """A run as it is stored."""
    trace = {key: [0.1] * moments for key in ("gradient_norm", "weight_norm", "update_norm", "output_rms")}
    traces = [{"name": f"block.{depth}", "kind": "Linear", "depth": depth, **trace} for depth in range(layers)]
    for depth, each in enumerate(traces):
        each["gradient_norm"] = [10.0 ** -(depth / 20) * (1 + place) for place in range(moments)]
    return {
        "losses": [2.0 * math.exp(-step / steps) for step in range(steps)],
        "rates": [0.1] * steps,
        "epoch_ends": [steps // 2, steps],
        "validation_losses": [1.5, 1.7],
        "sampled_steps": list(range(moments)),
        "layers": traces,
        "gradient_norms": [1.0 + step for step in range(steps)],
    }


def with_chart(**chart: Any) -> Report:
    return dataclasses.replace(samples.sick(), chart=chart)


def drawn(report: Report, name: str) -> Picture:
    found = picture(report, name)
    assert found is not None
    return found


def test_the_learning_curve_marks_the_epoch_of_the_lowest_validation_loss() -> None:
    found = drawn(with_chart(History={"record": record(100, 1, 2)}), "curves")
    assert "lowest, 1.5, after epoch 1 of 2 and ends at 1.7" in found.caption
    marks = [layer["data"]["values"] for layer in found.spec["layer"] if "data" in layer]
    assert marks == [[{"step": 50.0}]] * 2


def test_a_long_run_is_thinned_and_keeps_its_extremes() -> None:
    stored = record(100_000, 1, 2)
    stored["losses"][77_777] = 55.0
    found = drawn(with_chart(History={"record": stored}), "curves")
    rows = [row for row in found.spec["data"]["values"] if row["run"] == "training loss"]
    assert len(rows) <= MOST_POINTS
    assert max(row["high"] for row in rows) == 55.0
    assert rows[0]["value"] == pytest.approx(2.0, rel=0.01)


def test_a_curve_ends_where_the_run_is_no_number_any_more() -> None:
    stored = record(100, 1, 2)
    stored["losses"][60:] = [math.nan] * 40
    found = drawn(with_chart(History={"record": stored}), "curves")
    rows = [row for row in found.spec["data"]["values"] if row["run"] == "training loss"]
    assert rows[-1]["step"] == 59
    assert "at step 60 it is no number any more" in found.caption


def test_the_trial_is_drawn_with_its_seeds_as_a_band() -> None:
    report = samples.sick()
    cause = report.findings[0]
    assert cause.trial is not None
    curves = (
        Curve("as given", (0, 10), (2.0, 3.0)),
        Curve("with the remedy", (0, 10), (2.0, 0.5)),
        Curve("as given, seed 1", (0, 10), (2.0, 5.0)),
        Curve("with the remedy, seed 1", (0, 10), (2.0, 0.3)),
    )
    cause = dataclasses.replace(cause, trial=dataclasses.replace(cause.trial, curves=curves))
    found = drawn(dataclasses.replace(report, findings=(cause,)), "trial")
    last = [row for row in found.spec["data"]["values"] if row["step"] == 10]
    assert last == [
        {"run": "as given", "step": 10, "value": 4.0, "low": 3.0, "high": 5.0},
        {"run": "with the remedy", "step": 10, "value": 0.4, "low": 0.3, "high": 0.5},
    ]
    assert "over 2 seeds" in found.caption


def test_many_layers_and_moments_are_joined_into_a_readable_heat_map() -> None:
    found = drawn(with_chart(History={"record": record(50, 200, 300)}), "layer-gradients")
    rows = found.spec["data"]["values"]
    assert len(rows) <= 60 and max(len(row["value"]) for row in rows) <= 60
    assert rows[0]["layer"] == "block.0 … block.3"
    first, last = rows[0]["value"][0], rows[-1]["value"][0]
    assert first > 1e6 * last  # the gradients dwindle over depth


def test_layers_of_the_same_name_keep_rows_of_their_own() -> None:
    stored = record(50, 3, 4)
    for layer in stored["layers"]:
        layer["name"] = "again"
    found = drawn(with_chart(History={"record": stored}), "layer-gradients")
    assert len({row["layer"] for row in found.spec["data"]["values"]}) == 3


def test_the_gap_splits_into_parts_that_add_up() -> None:
    scores = {split: {"loss": loss} for split, loss in (("training", 0.1), ("held_out", 0.9), ("test", 1.4))}
    rows = drawn(with_chart(FinalScores={"scores": scores}), "gap").spec["data"]["values"]
    assert [row["size"] for row in rows] == pytest.approx([0.1, 0.8, 0.5])
    assert sum(row["size"] for row in rows) == pytest.approx(1.4)


def test_the_spectrum_keeps_all_of_the_weight() -> None:
    density = {"nodes": [[-1.0, 0.0, 5.0], [-2.0, 0.5, 4.0]], "weights": [[0.25, 0.5, 0.25]] * 2, "size": 9}
    point = {"loss": 1.0, "smallest": -2.0, "largest": 5.0}
    found = drawn(with_chart(EndPoint={"point": point, "negative_share": 0.25, "density": density}), "eigenvalues")
    rows = found.spec["data"]["values"]
    assert sum(row["value"] for row in rows) == pytest.approx(1.0)
    assert sum(row["value"] for row in rows if row["what"].startswith("negative")) == pytest.approx(0.25)


def test_the_range_test_names_the_rates_that_diverged() -> None:
    points = [{"factor": f, "losses": [1.0 / f, 1.1 / f]} for f in (0.1, 1.0)] + [
        {"factor": 10.0, "losses": [math.inf]}
    ]
    found = drawn(with_chart(RangeTest={"points": points, "best": 1.0, "start": 2.3}), "range-test")
    assert "diverged at 10 times" in found.caption


def test_what_a_diagnosis_shows_are_pictures_that_there_are() -> None:
    for names in SHOWS.values():
        assert set(names) <= set(PICTURES)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(report=reports)
def test_any_report_gives_pictures_that_can_be_written(report: Report) -> None:
    for name, found in pictures(report).items():
        assert found.name == name
        json.loads(embedded(found.spec))


@pytest.mark.parametrize("broken", [None, [], "text", {"record": None}, {"record": {"losses": ["a"], "layers": [3]}}])
def test_a_measurement_laid_out_otherwise_costs_its_picture_only(broken: object) -> None:
    report = with_chart(History=broken, EndPoint=broken, RangeTest=broken, DepthProfile=broken, ClassRecall=broken)
    assert "curves" in pictures(report)  # from the curves kept for display
    assert "The way through the guide" in to_html(report)


def test_plot_gives_an_altair_chart_that_its_schema_accepts() -> None:
    altair = pytest.importorskip("altair")
    stored = record(400, 8, 12)
    scores = {split: {"loss": loss} for split, loss in (("training", 0.1), ("held_out", 0.9), ("test", 1.4))}
    report = with_chart(History={"record": stored}, FinalScores={"scores": scores})
    for name in pictures(report):
        figure = report.plot(name)
        assert isinstance(figure, (altair.Chart, altair.LayerChart))
        assert figure.to_dict(validate=True)["height"] > 0


def test_plot_says_which_pictures_there_are() -> None:
    with pytest.raises(ValueError, match=r"got 'nothing'\. It has: curves, "):
        samples.sick().plot("nothing")
    with pytest.raises(ValueError, match="which this report does not hold"):
        samples.sick().plot("eigenvalues")


def test_plot_without_altair_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(ModuleNotFoundError, match=r"unstuck\[plot\]"):
        samples.sick().plot()


def test_a_notebook_shows_the_page_in_a_sandbox() -> None:
    shown = samples.sick()._repr_html_()
    assert shown == framed(samples.sick())
    assert shown.startswith("<iframe") and 'sandbox="allow-scripts"' in shown
    assert shown.count("<") == 2  # the frame's own two tags: the page is escaped into an attribute
