"""The pictures of a report as files for a paper: the same specifications, drawn black on white at the size of a column.

A picture is laid out as on a narrow page and then scaled as a whole, so that lines, marks and text keep their
proportions. vl-convert holds Vega-Lite and draws without a browser and without the network.
"""

from __future__ import annotations

import importlib
import json
import re
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from unstuck.errors import sentence
from unstuck.render.html import embedded
from unstuck.render.pictures import PICTURES, picture, pictures
from unstuck.render.pictures.language import in_language
from unstuck.render.pictures.picture import HOVER, INK, Picture, Spec
from unstuck.report import Report

COLUMN: Final = 3.25
"""Inches of a column of most two-column styles (ICML 3.25, IEEE 3.5, ACL 3.03); a whole page has 5.5 to 6.75."""
NARROWEST, WIDEST = 2.0, 12.0
POINTS: Final = 72.0
"""Points of an inch, of which vl-convert draws one a pixel."""
LETTERS: Final = 12.0
"""Pixels of the largest text of a specification, apart from headings inside it."""
PRINTED: Final = 8.0
"""Points that it has on paper, where captions have 8 to 10 and text below 6 is refused."""
DOTS: Final = 300.0
"""Dots an inch of a PNG, as journals ask of figures with lines."""
FONT: Final = "Helvetica,Arial,sans-serif"

CONFIG: Final[Mapping[str, Any]] = {
    "font": FONT,
    "background": "white",
    "view": {"stroke": None},
    "axis": {
        **{"labelColor": "black", "titleColor": "black", "titleFontWeight": "normal", "gridColor": "#e4e4e4"},
        **{"domainColor": "#777777", "tickColor": "#777777", "labelFontSize": 11, "titleFontSize": 12},
    },
    "legend": {
        **{"labelColor": "black", "titleColor": "black", "titleFontWeight": "normal", "labelFontSize": 12},
        **{"symbolOpacity": 1, "labelLimit": 240, "rowPadding": 4},
    },
}
SIZED: Final = re.compile(r'(<svg[^>]*?) width="([0-9.]+)" height="([0-9.]+)"')
NARROW: Final = 440
"""Pixels below which labels are cut shorter and titles broken, as `page.js` does on a phone."""
LIMITS: Final = {"labelLimit": 150, "gradientLength": 120}
LONGEST_LINE: Final = 34


def save_plot(report: Report, path: str | Path, name: str, inches: float = COLUMN) -> None:
    """Write one picture for a paper.

    Args:
        report: The report.
        path: Ends in ".pdf", ".svg" or ".png".
        name: A key of `PICTURES`.
        inches: How wide it is on paper.

    Raises:
        ValueError: If the ending or the width is another, there is no such picture, or the report does not hold it.
        ModuleNotFoundError: If vl-convert, an extra of this package, is not installed.
    """
    target = Path(path)
    if target.suffix.lower() not in FORMS:
        raise ValueError(
            sentence("`path` must end in .pdf, .svg or .png", repr(str(path)), "`report.save` has others.")
        )
    if not NARROWEST <= inches <= WIDEST:
        raise ValueError(
            sentence(f"`inches` must be from {NARROWEST:g} to {WIDEST:g}", f"{inches:g}", "A column has 3.25.")
        )
    drawn = held(report, name)
    try:
        converter = importlib.import_module("vl_convert")
    except ModuleNotFoundError as error:
        do = "`pip install 'unstuck[papers]'`."
        missing = sentence("`report.save_plot` must have vl-convert", "none installed", do)
        raise ModuleNotFoundError(missing, name=error.name) from error
    width = round(inches * POINTS * LETTERS / PRINTED)
    legend = {**CONFIG["legend"], **({"columns": 2} if width < NARROW else {})}
    config = {**CONFIG, "legend": legend}
    svg = converter.vegalite_to_svg(printed(drawn, width), config=config, allowed_base_urls=[])
    target.write_bytes(FORMS[target.suffix.lower()](converter, svg))


def held(report: Report, name: str) -> Picture:
    """A picture of a report.

    Args:
        report: The report.
        name: A key of `PICTURES`.

    Returns:
        The picture.

    Raises:
        ValueError: If there is no such picture, or the report does not hold what it shows.
    """
    drawn = picture(report, name) if name in PICTURES else None
    if drawn is None:
        got = f"{name!r}, which this report does not hold" if name in PICTURES else repr(name)
        those = ", ".join(pictures(report)) or "none"
        raise ValueError(sentence("`name` must be that of a picture of this report", got, f"It has: {those}."))
    return drawn


def printed(drawn: Picture, width: int) -> Spec:
    """A specification without what only a screen can do.

    Args:
        drawn: The picture.
        width: Pixels, axes and labels included.

    Returns:
        It without title, hover and zoom, black where the page has the colour of its text.
    """
    spec: Spec = _still(json.loads(embedded(in_language(drawn.spec))), width < NARROW)
    return {**spec, "width": width, "autosize": {"type": "fit-x", "contains": "padding"}, "padding": 2}


def _still(part: Any, narrow: bool) -> Any:
    if isinstance(part, list):
        return [_still(one, narrow) for one in part if not (isinstance(one, dict) and one.get("name") == HOVER)]
    if isinstance(part, str):
        return "black" if part == INK else part
    if not isinstance(part, dict):
        return part
    if "param" in (part.get("condition") or {}):
        return {"value": part["condition"]["value"]}  # as it is while nothing is pointed at
    made = {key: _still(one, narrow) for key, one in part.items() if key not in ("params", "tooltip", "data")}
    if "data" in part:
        made["data"] = part["data"]
    if narrow:
        made |= {key: min(made[key], most) for key, most in LIMITS.items() if key in made}
        if isinstance(made.get("x"), dict) and isinstance(made["x"].get("title"), str):
            made["x"]["title"] = textwrap.wrap(made["x"]["title"], LONGEST_LINE)
    return made


def _resized(svg: str, unit: str, factor: float) -> str:
    """The same drawing, said to be so large."""

    def size(found: re.Match[str]) -> str:
        sides = {"width": float(found[2]) * factor, "height": float(found[3]) * factor}
        return found[1] + "".join(f' {side}="{length:g}{unit}"' for side, length in sides.items())

    return SIZED.sub(size, svg, count=1)


def _svg(converter: Any, svg: str) -> bytes:
    return _resized(svg, "in", PRINTED / LETTERS / POINTS).encode()


def _pdf(converter: Any, svg: str) -> bytes:
    return bytes(converter.svg_to_pdf(_resized(svg, "", PRINTED / LETTERS)))


def _png(converter: Any, svg: str) -> bytes:
    return bytes(converter.svg_to_png(_resized(svg, "", PRINTED / LETTERS), ppi=DOTS))


FORMS: Final[Mapping[str, Callable[[Any, str], bytes]]] = {".pdf": _pdf, ".svg": _svg, ".png": _png}
"""Ending of a file → what writes it, from the drawing at its pixels."""
