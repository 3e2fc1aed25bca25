"""Pictures as files for a paper, and as charts that Vega-Lite really draws; drawn by vl-convert, offline."""

from __future__ import annotations

import re
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.render import samples
from tests.render.test_pictures import record, with_chart
from unstuck.languages import use
from unstuck.render.paper import FORMS, LETTERS, PRINTED, printed
from unstuck.render.pictures import pictures
from unstuck.report import Report

SIZE = re.compile(r'<svg[^>]*? width="([0-9.]+)in" height="([0-9.]+)in"[^>]*? viewBox="0 0 ([0-9.]+) ')
BOX = re.compile(rb"/MediaBox ?\[0 0 ([0-9.]+) ([0-9.]+)\]")


@pytest.fixture(scope="module")
def report() -> Report:
    """One that holds pictures of lines, of heat and of points."""
    scores = {split: {"loss": loss} for split, loss in (("training", 0.1), ("held_out", 0.9), ("test", 1.4))}
    return with_chart(History={"record": record(400, 8, 12)}, FinalScores={"scores": scores})


def test_the_charts_of_plot_are_drawn_with_their_selections(report: Report) -> None:
    converter = pytest.importorskip("vl_convert")
    pytest.importorskip("altair")
    drawn = pictures(report)
    assert {"curves", "trial", "layer-gradients"} <= set(drawn)
    for name in ("curves", "layer-gradients", "trials"):
        assert "<path" in converter.vegalite_to_svg(report.plot(name).to_dict()), name


@pytest.mark.parametrize("inches", [3.25, 6.75])
def test_a_picture_has_the_width_of_the_column_and_text_that_can_be_read(
    report: Report, inches: float, tmp_path: Path
) -> None:
    pytest.importorskip("vl_convert")
    for name in ("layer-gradients", "trials"):
        report.save_plot(tmp_path / "x.svg", name, inches)
        svg = (tmp_path / "x.svg").read_text()
        found = SIZE.search(svg)
        assert found and float(found[1]) == pytest.approx(inches, abs=0.01), name
        points = {
            float(size) * float(found[1]) * 72 / float(found[3]) for size in re.findall(r'font-size="(\d+)px', svg)
        }
        assert points and min(points) >= 6.0 and max(points) <= 9.0, (name, points)
        assert "currentColor" not in svg and "<image" not in svg


def test_the_pdf_and_the_png_are_as_large_as_they_should_be(report: Report, tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    report.save_plot(tmp_path / "x.pdf", "trial")
    found = BOX.search((tmp_path / "x.pdf").read_bytes())
    assert found and float(found[1]) == 3.25 * 72 and 100 < float(found[2]) < 300
    report.save_plot(tmp_path / "x.PNG", "trial", inches=5.5)
    width, _ = struct.unpack(">II", (tmp_path / "x.PNG").read_bytes()[16:24])
    assert width == pytest.approx(5.5 * 300, abs=1)


def test_what_only_a_screen_can_do_is_left_out_and_no_row(report: Report) -> None:
    for name, drawn in pictures(report).items():
        flat = printed(drawn, 351)
        names: set[str] = set()

        def walk(part: Any, names: set[str] = names) -> None:
            if isinstance(part, dict):
                names.update(part)
                for key, one in part.items():
                    if key != "data":
                        walk(one)
            elif isinstance(part, list):
                for one in part:
                    walk(one)

        walk(flat)
        assert not names & {"params", "param", "tooltip"}, name
        data = drawn.spec.get("data", {"values": ()})["values"]
        assert len(flat.get("data", {"values": ()})["values"]) == len(data) and flat["width"] == 351


def test_a_picture_in_chinese_says_so(report: Report, tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    with use("zh"):
        report.save_plot(tmp_path / "x.svg", "trial")
    assert "训练损失" in (tmp_path / "x.svg").read_text()


def test_what_cannot_be_written_is_refused_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = samples.sick()
    with pytest.raises(ValueError, match=r"`path` must end in \.pdf, \.svg or \.png; got 'x\.eps'"):
        report.save_plot("x.eps")
    with pytest.raises(ValueError, match=r"`inches` must be from 2 to 12; got 80"):
        report.save_plot(tmp_path / "x.svg", "curves", inches=80)
    with pytest.raises(ValueError, match=r"It has: curves, "):
        report.save_plot(tmp_path / "x.svg", "nothing")
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(ModuleNotFoundError, match=r"unstuck\[papers\]"):
        report.save_plot(tmp_path / "x.svg")
    assert not list(tmp_path.iterdir()) and set(FORMS) == {".pdf", ".svg", ".png"} and PRINTED / LETTERS < 1
