"""The pictures of a report as figures of a plotting library."""

from __future__ import annotations

import json
from typing import Any

from unstuck.errors import sentence
from unstuck.render.html import embedded
from unstuck.render.paper import held
from unstuck.render.pictures.language import in_language
from unstuck.report import Report


def chart(report: Report, name: str) -> Any:
    """One picture as an Altair chart.

    Args:
        report: The report.
        name: A key of `PICTURES`.

    Returns:
        An `altair.Chart`, or an `altair.LayerChart` where several layers lie one over the other.

    Raises:
        ValueError: If there is no such picture, or the report does not hold what it shows.
        ModuleNotFoundError: If altair is not installed.
    """
    drawn = held(report, name)
    try:
        import altair
    except ModuleNotFoundError as error:
        missing = sentence("`report.plot` must have altair", "none installed", "`pip install 'unstuck[plot]'`.")
        raise ModuleNotFoundError(missing, name=error.name) from error
    spec = json.loads(embedded(in_language({**drawn.spec, "title": drawn.title})))
    return altair.Chart.from_dict(_lifted(spec))


def _lifted(spec: Any) -> Any:
    """The specification with the selections of its layers at the top, where Altair keeps them, each with its layer."""
    layers = spec.get("layer", [])
    lifted = [{**one, "views": [layer["name"]]} for layer in layers for one in layer.get("params", [])]
    if not lifted:
        return spec
    bare = [{key: part for key, part in layer.items() if key != "params"} for layer in layers]
    return {**spec, "layer": bare, "params": lifted}
