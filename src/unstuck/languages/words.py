"""Single words that fill the holes of sentences: too short to be told from names by how they look."""

from __future__ import annotations

from typing import Final

from unstuck.languages.translating import marked

WORDS: Final = (
    *(marked("None"), marked("none"), marked("yes"), marked("no"), marked("nothing"), marked("unknown")),
    *(marked("row"), marked("step"), marked("steps"), marked("epoch"), marked("epochs"), marked("seed")),
    *(marked("seeds"), marked("quick"), marked("lowest"), marked("final"), marked("run"), marked("at")),
    *(marked("training"), marked("validation"), marked("held-out"), marked("test"), marked("as given")),
    *(marked("loss"), marked("error"), marked("accuracy"), marked("gradient"), marked("rate"), marked("gain")),
    *(marked("sample"), marked("samples"), marked("batch"), marked("batches"), marked("layer"), marked("layers")),
    *(marked("inputs"), marked("outputs"), marked("targets"), marked("weights"), marked("classes"), marked("numbers")),
    *(marked("infinity"), marked("NaN or infinity"), marked("larger"), marked("smaller"), marked("above")),
    *(marked("below"), marked("present"), marked("absent"), marked("undecided"), marked("a single unit")),
    *(marked("References"), marked("measured"), marked("value"), marked("limit"), marked("question"), marked("curve")),
    marked("Remedy"),
)
