"""The batches that a script draws from its loaders."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, Final, final

from torch.utils.data import DataLoader

from unstuck.capture.search import place_of
from unstuck.capture.sightings import Feed, Origin
from unstuck.capture.slicing import drawn
from unstuck.capture.swapping import said
from unstuck.capture.tape import Tape
from unstuck.setup.source import calling_line

MOST_DRAWN: Final = 64
"""Batches of one step that are kept to be found again."""


@final
class Batches:
    """Knows which loaders were read, and which batches were drawn since the last step.

    Attributes:
        feeds: One for each data set that was read through a loader.
    """

    def __init__(self, tape: Tape, is_elsewhere: Callable[[], bool], remark: Callable[[str], None]) -> None:
        """Know of none yet.

        Args:
            tape: Notes nothing while a batch is made; whole batches are kept while it is awake.
            is_elsewhere: Whether this is a process that the script has forked.
            remark: Takes a note of a loader that could not be looked at.
        """
        self.feeds: list[Feed] = []
        self._tape, self._is_elsewhere, self._remark = tape, is_elsewhere, remark
        self._drawn: list[tuple[Feed, Any]] = []
        self._iterators: weakref.WeakKeyDictionary[Any, Feed] = weakref.WeakKeyDictionary()

    @property
    def last(self) -> Feed | None:
        """The loader that the last batch came from, or None."""
        return self._drawn[-1][0] if self._drawn else None

    def origins(self) -> dict[int, Origin]:
        """Id of each tensor that was drawn since the last step → where it comes from."""
        found: dict[int, Origin] = {}
        for feed, batch in self._drawn:
            found.update(drawn(feed, batch))
        return found

    def forget(self) -> None:
        """Forget all but the last."""
        self._drawn = self._drawn[-1:]

    def iterated(self, original: Callable[..., Any], steps: Callable[[], int]) -> Callable[..., Any]:
        """In place of `DataLoader.__iter__`.

        Args:
            original: It.
            steps: Optimizer steps so far.

        Returns:
            The wrapper.
        """

        @functools.wraps(original)
        def iterate(loader: DataLoader[Any]) -> Any:
            iterator = original(loader)
            if not self._is_elsewhere():
                try:
                    self._iterators[iterator] = self._feed(loader, steps())
                except Exception as error:  # whatever a foreign data set raises is none of the script's concern
                    self._remark(f"a loader could not be looked at: {said(error)}")
            return iterator

        return iterate

    def following(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """In place of `__next__` of a loader's iterator."""

        @functools.wraps(original)
        def following(iterator: Any) -> Any:
            awake, self._tape.awake = self._tape.awake, False
            try:
                batch = original(iterator)
            finally:
                self._tape.awake = awake
            feed = self._iterators.get(iterator)
            if feed is not None and not self._is_elsewhere():
                feed.drawn += 1
                self._drawn.append((feed, batch if self._tape.awake else None))
                del self._drawn[: -(MOST_DRAWN if awake else 1)]
            return batch

        return following

    def _feed(self, loader: DataLoader[Any], steps: int) -> Feed:
        feed = next((each for each in self.feeds if each.loader.dataset is loader.dataset), None)
        if feed is None:
            line = calling_line()
            # A data set that is made anew for every epoch, at the same line, is the same one.
            feed = next((each for each in self.feeds if each.line == line and _alike(each.loader, loader)), None)
            if feed is None:
                feed = Feed(loader, place_of(loader)[0], line)
                self.feeds.append(feed)
        feed.passes.append(steps)
        return feed


def _alike(one: DataLoader[Any], other: DataLoader[Any]) -> bool:
    same_size = _size(one.dataset) == _size(other.dataset)
    return type(one.dataset) is type(other.dataset) and same_size and one.batch_size == other.batch_size


def _size(dataset: Any) -> int:
    try:
        return len(dataset)
    except Exception:  # Keras' data sets have a `__len__` that asks an array without one
        return -1
