"""Samples to look at, as small images or as rows of numbers: all of it is data, none of it is markup."""

from __future__ import annotations

import base64
import binascii
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final

from unstuck.render.figures import number as written
from unstuck.render.pictures.picture import (
    INK,
    Picture,
    Row,
    Spec,
    layered,
    number,
    numbers,
    records,
    shown,
    within,
    word,
)
from unstuck.report import Report

LARGEST: Final = 64
"""Pixels a side beyond which a stored image is not believed."""

COLUMNS: Final = 6
MOST: Final = 24
IMAGE: Final = 46
"""Side of an image on the page: six fit beside each other on a phone."""


def png(pixels: bytes, height: int, width: int, channels: int) -> bytes:
    """An image as a PNG file (ISO/IEC 15948:2004): no filter, one chunk.

    Args:
        pixels: Row by row, `height · width · channels` of them.
        height: Rows.
        width: Columns.
        channels: 1 for grey, 3 for red, green and blue.

    Returns:
        The file.
    """

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    each = width * channels
    lines = b"".join(b"\0" + pixels[start : start + each] for start in range(0, height * each, each))
    head = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    data = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def _url(sample: Mapping[str, Any], height: int, width: int, channels: int) -> str:
    """A stored image as a data URL, made anew from its bytes; "" where it is none."""
    stored = sample.get("pixels")
    if not isinstance(stored, str) or not stored:
        return ""
    try:
        pixels = base64.b64decode(stored, validate=True)
    except (binascii.Error, ValueError):
        return ""
    sound = 0 < height <= LARGEST and 0 < width <= LARGEST and channels in (1, 3)
    if not sound or len(pixels) != height * width * channels:
        return ""
    return "data:image/png;base64," + base64.b64encode(png(pixels, height, width, channels)).decode("ascii")


def _shape(kept: object) -> tuple[int, int, int]:
    height, width, channels = (number(within(kept, key)) for key in ("height", "width", "channels"))
    return (int(height), int(width), int(channels)) if all(map(math.isfinite, (height, width, channels))) else (0, 0, 0)


def gallery(tiles: Sequence[tuple[str, str, str]], headings: Sequence[tuple[int, str]] = ()) -> Spec:
    """Small images in rows of six, each with a word below.

    Args:
        tiles: Data URL, word and longer words for the tooltip, of each.
        headings: Place from which a new row begins, and the words above it.

    Returns:
        The specification.
    """
    rows: list[Row] = []
    titles: list[Row] = []
    line, column, starts = -1, COLUMNS, dict(headings)
    for place, (url, text, says) in enumerate(tiles):
        if place in starts or column >= COLUMNS:
            line, column = line + 1, 0
            if place in starts:
                titles.append({"column": 0, "row": line, "text": starts[place]})
        rows.append({"column": column, "row": line, "url": url, "text": text, "says": says})
        column += 1
    band = {"domain": list(range(COLUMNS)), "paddingInner": 0.1}
    x: Spec = {"field": "column", "type": "ordinal", "axis": None, "scale": band}
    y: Spec = {"field": "row", "type": "ordinal", "axis": None, "scale": {"paddingInner": 0, "paddingOuter": 0}}
    tips = [shown("says", "", "nominal")]
    layers: list[Spec] = [
        {
            "data": {"values": rows},
            "mark": {"type": "image", "width": IMAGE, "height": IMAGE},
            "encoding": {"x": x, "y": y, "url": {"field": "url", "type": "nominal"}, "tooltip": tips},
        },
        {
            "data": {"values": rows},
            "mark": {"type": "text", "dy": IMAGE / 2 + 9, "color": INK, "fontSize": 11},
            "encoding": {"x": x, "y": y, "text": {"field": "text", "type": "nominal"}, "tooltip": tips},
        },
        {
            "data": {"values": titles},
            "mark": {
                "type": "text",
                "dy": -IMAGE / 2 - 9,
                "x": 0,
                "align": "left",
                "color": INK,
                "fontSize": 12,
                "fontWeight": "bold",
            },
            "encoding": {"y": y, "text": {"field": "text", "type": "nominal"}},
        },
    ]
    return layered(layers, height=(line + 1) * (IMAGE + (46 if headings else 30)))


def _of_class(value: object) -> str:
    known = number(value)
    return f"{known:.0f}" if math.isfinite(known) and known >= 0 else "?"


def _numbers(sample: Mapping[str, Any]) -> str:
    return ", ".join(written(value) for value in numbers(sample.get("numbers")))


def suspects(report: Report) -> Picture | None:
    """Training samples whose label is contradicted, as thumbnails.

    Args:
        report: Its chart holds the samples.

    Returns:
        The picture; None where samples are no images: their rows are in the table of `label-noise`.
    """
    kept = within(report.chart, "Suspects")
    shape = _shape(kept)
    tiles: list[tuple[str, str, str]] = []
    table: list[tuple[str | float, ...]] = []
    for sample in records(within(kept, "samples"))[:MOST]:
        url = _url(sample, *shape)
        label, answer = _of_class(sample.get("label")), _of_class(sample.get("answer"))
        row = number(sample.get("row"))
        if url and math.isfinite(row):
            tiles.append(
                (url, f"{label} → {answer}", f"training sample {row:.0f}: labelled {label}, looks like {answer}")
            )
            table.append((row, label, answer))
    if not tiles:
        return None
    learner = within(report.chart, "LabelNoise", "learner")
    who = word(learner) if isinstance(learner, str) and learner else "another learner"
    caption = f"Training samples with their label, and what {who}, which has not seen them, takes them for."
    return Picture(
        "suspects",
        "Labels to look at",
        caption,
        gallery(tiles),
        ("training sample", "label", "looks like"),
        tuple(table),
    )


def strangers(report: Report) -> Picture | None:
    """Test samples that are least like the training data, above some training samples.

    Args:
        report: Its chart holds the samples.

    Returns:
        The picture; None where samples are no images.
    """
    kept = within(report.chart, "Strangers")
    shape = _shape(kept)
    tiles: list[tuple[str, str, str]] = []
    table: list[tuple[str | float, ...]] = []
    starts: list[tuple[int, str]] = []
    for key, title in (("test", "Test samples least like training"), ("training", "Training samples")):
        for first, sample in enumerate(records(within(kept, key))[:MOST]):
            url, row, loss = _url(sample, *shape), number(sample.get("row")), number(sample.get("loss"))
            if not url or not math.isfinite(row):
                return None
            if first == 0:
                starts.append((len(tiles), title))
            says = f"{key} sample {row:.0f}" + (f", loss {written(loss)}" if math.isfinite(loss) else "")
            tiles.append((url, f"{row:.0f}", says))
            table.append((f"{key} sample {row:.0f}", loss))
    if len(starts) < 2:
        return None
    seen = "As the network gets them, on one scale of brightness"
    caption = f"{seen}: what the first show and the others do not, it has not learned."
    return Picture(
        "strangers", "What the test data look like", caption, gallery(tiles, starts), ("sample", "loss"), tuple(table)
    )
