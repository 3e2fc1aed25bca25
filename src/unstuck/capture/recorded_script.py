"""What a set-up file is written from: the script, and where in it the parts were seen to be made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

from unstuck.capture.excerpt import line_of
from unstuck.capture.observer import Observer
from unstuck.capture.recovered import Recovered
from unstuck.capture.sightings import Feed
from unstuck.setup import Setup


@final
@dataclass(frozen=True, slots=True)
class Place:
    """Where a script makes something.

    Attributes:
        name: The variable, or "" where it has none.
        line: The line that assigns it, or 0 where that is not known or in another file.
        seen: The line where it was met, as "file.py:12", or "".
    """

    name: str
    line: int = 0
    seen: str = ""


@final
@dataclass(frozen=True, eq=False)
class Recording:
    """What a file is written from.

    Attributes:
        script: Name of the script's file.
        source: Its text.
        arguments: What it was run with.
        training: A line of it in the training step.
        setup: What was recovered, or None.
        missing: What was not, each as a sentence.
        model: Where it is made.
        optimizer: Likewise.
        scheduler: Likewise, or None.
        data: "train", "validation", "test" → the loader.
        epochs: That the script trained to its own end, or None where it was ended before.
    """

    script: str
    source: str
    arguments: tuple[str, ...]
    training: int
    setup: Setup | None
    missing: tuple[str, ...]
    model: Place
    optimizer: Place
    scheduler: Place | None
    data: dict[str, Place]
    epochs: int | None


def recording_of(
    observer: Observer, recovered: Recovered, path: Path, arguments: tuple[str, ...], finished: bool
) -> Recording:
    """Gather what a file is written from.

    Args:
        observer: Has watched the script take a step.
        recovered: What came of it.
        path: The script.
        arguments: What it was run with.
        finished: Whether it came to its own end.

    Returns:
        The record.
    """
    source = path.read_text(encoding="utf-8")
    trainer = next(each for each in observer.trainers.values() if each.steps)
    setup = recovered.setup
    train = next((each for each in observer.batches.feeds if each.trained), None)
    others = [each for each in observer.batches.feeds if each is not train and not each.trained and each.drawn]
    data = {} if train is None else {"train": _feed(train, source)}
    for name in ("validation", "test"):
        split = None if setup is None else getattr(setup, name)
        found = next((each for each in others if ("test" in each.name.lower()) == (name == "test")), None)
        if split is not None and found is not None:
            data[name] = _feed(found, source)
    return Recording(
        path.name,
        source,
        arguments,
        _line(trainer.lines.get("step", ""), path.name),
        setup,
        recovered.missing,
        _place(trainer.model_place, path.name),
        _place(trainer.place, path.name),
        None if trainer.scheduler is None else _place(trainer.scheduler_place, path.name),
        data,
        setup.epochs if finished and setup is not None else None,
    )


def _feed(feed: Feed, source: str) -> Place:
    return Place(feed.name, line_of(source, feed.name) if feed.name else 0, feed.line)


def _place(place: tuple[str, str], script: str) -> Place:
    return Place(place[0], _line(place[1], script), place[1])


def _line(place: str, script: str) -> int:
    name, _, line = place.rpartition(":")
    return int(line) if name == script else 0
