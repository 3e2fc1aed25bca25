"""The pictures of a report as figures of a plotting library."""

from __future__ import annotations

import copy
import json
from typing import Any

from unstuck.errors import sentence
from unstuck.render.html import embedded
from unstuck.render.pictures import PICTURES, picture, pictures
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
    drawn = picture(report, name) if name in PICTURES else None
    if drawn is None:
        got = f"{name!r}, which this report does not hold" if name in PICTURES else repr(name)
        those = ", ".join(pictures(report)) or "none"
        raise ValueError(sentence("`name` must be that of a picture of this report", got, f"It has: {those}."))
    try:
        import altair
    except ModuleNotFoundError as error:
        missing = sentence("`report.plot` must have altair", "none installed", "`pip install 'unstuck[plot]'`.")
        raise ModuleNotFoundError(missing, name=error.name) from error
    spec = json.loads(embedded(in_language({**copy.deepcopy(drawn.spec), "title": drawn.title})))
    return altair.Chart.from_dict(spec)
