"""Reports as one HTML file: no network, no foreign program, every string escaped. Needs jinja2, not torch."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import math
from pathlib import Path
from typing import Any, Final

import jinja2
from markupsafe import Markup

from unstuck.languages import translated
from unstuck.render.cure import CureRecord
from unstuck.render.figures import number
from unstuck.render.html import guide, view
from unstuck.render.html.cure import cards_of, cure_picture, steps_of
from unstuck.render.html.language import in_language, words_of
from unstuck.render.lines import clean, named
from unstuck.render.pictures.language import in_language as pictures_in_language
from unstuck.render.pictures.picture import Picture
from unstuck.report import Report, Status

FOLDER: Final = Path(__file__).parent
AS_ESCAPES: Final = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}
"""Characters that could end a script element or a line of it, spelled so that JSON reads them as the same."""


@functools.cache
def _asset(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


@functools.cache
def _hash(text: str) -> str:
    """The name under which a content security policy lets a script run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["clean"] = clean
    environment.filters["named"] = named
    environment.filters["figure"] = lambda value: number(value, 4) if isinstance(value, (int, float)) else value
    environment.globals["view"] = view
    return environment


def embedded(data: object) -> Markup:
    """Data as JSON that is safe inside a script element, whatever its strings hold.

    Args:
        data: Plain data; what is no finite number becomes null.

    Returns:
        JSON without any of `<`, `>`, `&` and the line separators.
    """
    text = json.dumps(_plain(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = text.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate fits into no file
    return Markup(text.translate(AS_ESCAPES))  # noqa: S704


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        rounded = float(f"{value:.5g}")  # the largest floats round to infinity
        return rounded if math.isfinite(rounded) else None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def policy(*scripts: str) -> str:
    """The content security policy of a page: these scripts, styles of the page, and nothing from anywhere.

    Args:
        scripts: The text of each script that may run.

    Returns:
        The value of the meta element; the network is shut, and strings are never run as programs.
    """
    allowed = " ".join(f"'{_hash(script)}'" for script in scripts) or "'none'"
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _page(template: str, pictures: list[Picture], **values: Any) -> str:
    library, page = (_asset("static/figures.min.js"), _asset("page.js")) if pictures else ("", "")
    scripts = [script for script in (library, page) if script]
    text = (
        _environment()
        .get_template(template)
        .render(
            policy=policy(*scripts),
            style=Markup(_asset("page.css")),  # noqa: S704
            scripts=[Markup(script) for script in scripts],  # noqa: S704
            specs=embedded({picture.name: pictures_in_language(picture.spec) for picture in pictures}),
            words=embedded(words_of(page)),
            **values,
        )
    )
    return in_language(text.encode("utf-8", "replace").decode("utf-8"))


def _values(report: Report) -> dict[str, Any]:
    seen, tried, rest = view.split_pictures(report)
    node = guide.tree(report)
    return {
        "report": report,
        "cause": report.cause,
        "proven": report.cause is not None and report.cause.status is Status.CONFIRMED,
        "mood": view.mood(report),
        "badge": view.badge(report),
        "cards": view.cards(report),
        "guide": node,
        "destination": guide.destination(report, node),
        "strays": guide.strays(report),
        "seen": seen,
        "tried": tried,
        "rest": rest,
        "unchecked": view.unchecked(report),
        "cost": view.cost_rows(report),
    }


def to_html(report: Report) -> str:
    """Write a report as one HTML file.

    Args:
        report: The report; every string of it is taken for foreign.

    Returns:
        A page that holds its pictures, their script and its style, and asks for nothing from outside.
    """
    values = _values(report)
    every = [*values["seen"], *values["tried"], *values["rest"]]
    return _page("report.html", every, title=clean(report.sentence, 120), **values)


FRAME: Final = Markup(
    '<iframe title="{}" sandbox="allow-scripts" srcdoc="{}" '
    'style="width: 100%; height: 640px; border: 1px solid #8884; border-radius: 6px"></iframe>'
)


def framed(report: Report) -> str:
    """Write a report for a notebook.

    Args:
        report: The report.

    Returns:
        The page inside a sandboxed frame: its script can reach neither the notebook nor the network.
    """
    return _in_frame(to_html(report))


def framed_cure(cure: CureRecord) -> str:
    """Write a cure for a notebook, as `framed` does a report."""
    return _in_frame(cure_to_html(cure))


def _in_frame(page: str) -> str:
    return str(FRAME.format(translated("Report of unstuck"), page))


def cure_to_html(cure: CureRecord) -> str:
    """Write what `treat` came to as one HTML file: the steps, the losses before and after, the first report in full.

    Args:
        cure: The cure.

    Returns:
        The page.
    """
    before_and_after = cure_picture(cure)
    steps = steps_of(cure)
    drawn = [] if before_and_after is None else [before_and_after]
    values = _values(cure.steps[0]) if cure.steps else {}
    values["cards"] = cards_of(cure, values.get("cards", ()))
    every = [*drawn, *values.get("seen", ()), *values.get("tried", ()), *values.get("rest", ())]
    template = "cure.html"
    return _page(
        template, every, title=clean(cure.sentence, 120), cure=cure, steps=steps, drawn=drawn,
        command=clean(cure.steps[0].provenance.command) if cure.steps else "", **values,
    )  # fmt: skip


__all__ = ["cure_to_html", "framed", "framed_cure", "to_html"]
