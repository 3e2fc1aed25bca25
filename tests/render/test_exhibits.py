"""Pictures of samples, surfaces and answers: what they draw is what was stored, and stored bytes stay data."""

from __future__ import annotations

import base64
import dataclasses
import math
import struct
import zlib
from typing import Any

import pytest

from tests.render import samples
from unstuck.render.html.view import split_pictures
from unstuck.render.pictures import picture
from unstuck.render.pictures.exhibits import png
from unstuck.render.pictures.picture import Picture
from unstuck.report import Report

PIXELS = base64.b64encode(bytes(range(64))).decode()


def with_chart(**chart: Any) -> Report:
    return dataclasses.replace(samples.sick(), chart=chart)


def drawn(report: Report, name: str) -> Picture:
    found = picture(report, name)
    assert found is not None
    return found


def suspects(pixels: str = PIXELS, **more: Any) -> dict[str, Any]:
    kept = {"height": 8, "width": 8, "channels": 1, **more}
    return {**kept, "samples": [{"row": 5, "label": 1, "answer": 7, "pixels": pixels, "numbers": []}] * 8}


def strangers() -> dict[str, Any]:
    seen = [{"row": row, "loss": 2.0 + row, "pixels": PIXELS, "numbers": []} for row in range(8)]
    return {"height": 8, "width": 8, "channels": 1, "test": seen, "training": seen[:4]}


def landscape() -> dict[str, Any]:
    ticks = [-1.0, 0.0, 1.0, 2.0]
    return {
        "across": ticks, "up": ticks, "losses": [[x * x + y * y + 0.01 for x in ticks] for y in ticks],
        "path": [[0, 2.0, 1.0], [5, 1.0, 0.0], [9, 0.0, 0.0]], "heights": [5.01, 1.01, 0.01],
        "explained": 0.97, "samples": 256,
        "distances": [-1.0, 0.0, 1.0], "lines": [[3.0, 0.01, 2.0], [4.0, 0.01, 5.0]],
    }  # fmt: skip


def drift(**more: Any) -> dict[str, Any]:
    ratios = {"edges": [-1.0, 0.0, 1.0, 2.0], "held_out": [6, 3, 1], "test": [0, 2, 8], "classifier": "boosting"}
    return {"ratios": ratios, "unlike": [4, 2], **more}


def confusions() -> dict[str, Any]:
    return {"split": "held-out", "before": [[5, 5], [0, 10]], "after": [[10, 0], [0, 10]], "cure": "OPT001"}


def test_a_stored_image_is_a_png_of_its_bytes() -> None:
    url = drawn(with_chart(Suspects=suspects()), "suspects").spec["layer"][0]["data"]["values"][0]["url"]
    file = base64.b64decode(url.removeprefix("data:image/png;base64,"))
    assert file[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", file[16:24]) == (8, 8)
    start = file.index(b"IDAT")
    (size,) = struct.unpack(">I", file[start - 4 : start])
    lines = zlib.decompress(file[start + 4 : start + 4 + size])
    assert b"".join(lines[row * 9 + 1 : row * 9 + 9] for row in range(8)) == bytes(range(64))
    colour = png(bytes(12), 2, 2, 3)
    assert colour[25] == 2  # red, green and blue


def test_suspects_lie_in_rows_with_label_and_answer() -> None:
    found = drawn(with_chart(Suspects=suspects(), LabelNoise={"learner": "a forest"}), "suspects")
    tiles = found.spec["layer"][0]["data"]["values"]
    assert [(tile["row"], tile["column"]) for tile in tiles][5:7] == [(0, 5), (1, 0)]
    assert tiles[0]["text"] == "1 → 7" and "a forest" in found.caption
    assert found.rows[0] == (5.0, "1", "7")


@pytest.mark.parametrize(
    "broken",
    [
        suspects("<svg onload=alert(1)>"),
        suspects("javascript:alert(1)"),
        suspects(base64.b64encode(b"<svg/onload=alert(1)>").decode()),
        suspects(height=10**9, width=10**9),
        suspects(channels=2),
        suspects(pixels=7),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_image_is_not_drawn(broken: dict[str, Any]) -> None:
    assert picture(with_chart(Suspects=broken), "suspects") is None


def test_strangers_are_shown_above_training_samples() -> None:
    found = drawn(with_chart(Strangers=strangers()), "strangers")
    titles = found.spec["layer"][2]["data"]["values"]
    assert [title["row"] for title in titles] == [0, 2]
    assert found.rows[0] == ("test sample 0", 2.0) and len(found.rows) == 12


def test_the_surface_draws_the_losses_and_the_path() -> None:
    found = drawn(with_chart(Landscape=landscape()), "surface")
    cells, places, ends = (layer["data"]["values"] for layer in found.spec["layer"])
    assert len(cells) == 16 and [place["step"] for place in places] == [0, 5, 9]
    assert [end["what"] for end in ends] == ["start", "end"]
    assert "97% of the run's way" in found.caption and "from 5.01" in found.caption and "to 0.01" in found.caption


def test_walls_of_the_surface_do_not_hide_its_floor() -> None:
    land = landscape()
    land["losses"][0][0], land["losses"][3][3] = math.inf, 1e30
    values = [cell["value"] for cell in drawn(with_chart(Landscape=land), "surface").spec["layer"][0]["data"]["values"]]
    assert values[0] is None
    assert max(value for value in values if value is not None) == pytest.approx(15.01, abs=0.05)
    assert len({value for value in values if value is not None}) > 4


def test_random_directions_are_lines_of_their_own() -> None:
    rows = drawn(with_chart(Landscape=landscape()), "surface-lines").spec["data"]["values"]
    assert {row["run"] for row in rows} == {"direction 1", "direction 2"} and len(rows) == 6


def test_the_density_ratio_keeps_every_sample_and_lists_the_strangest() -> None:
    found = drawn(with_chart(InputDrift=drift(), Strangers=strangers()), "density-ratio")
    rows = found.spec["data"]["values"]
    for split in ("held-out", "test"):
        assert sum(row["value"] for row in rows if row["split"] == split) == pytest.approx(1.0)
    assert "80 % of the test samples" in found.caption and "10 % of the held-out" in found.caption
    assert found.rows == (("test sample 4", 6.0), ("test sample 2", 4.0))


def test_confusions_stand_side_by_side_with_the_trial() -> None:
    report = with_chart(Confusions=confusions())
    before, after = drawn(report, "confusion"), drawn(report, "confusion-cured")
    assert "25.0 % of 20 held-out samples" in before.caption and "class 0 is taken for 1 (5 times)" in before.caption
    assert "0.0 % of 20" in after.caption
    _, tried, rest = split_pictures(report)
    assert [one.name for one in tried if "confusion" in one.name] == ["confusion", "confusion-cured"]
    uncured = with_chart(Confusions={**confusions(), "after": []})
    _, tried, rest = split_pictures(uncured)
    assert "confusion" in [one.name for one in rest] and "confusion" not in [one.name for one in tried]


def test_suspected_rows_of_numbers_are_in_the_table() -> None:
    noise = {
        "samples": 300, "accuracy": 0.7, "surest": 100, "surest_wrong": 30, "learner": "x", "suspects": [4, 7],
        "answers": [[0, 1], [1, 0]],
    }  # fmt: skip
    rows = {"samples": [{"row": 4, "numbers": [1.0, 2.5]}, {"row": 7, "numbers": [3.0]}]}
    found = drawn(with_chart(LabelNoise=noise, Suspects=rows), "label-noise")
    assert found.rows == (("training sample 4", 0.0, 1.0, "1, 2.5"), ("training sample 7", 1.0, 0.0, "3"))
    assert picture(with_chart(LabelNoise=noise, Suspects=rows), "suspects") is None
