"""Taking measurements: each once, when first asked for, with what it needs."""

from __future__ import annotations

import collections.abc
import inspect
import time
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar, final

from unstuck.errors import UnstuckError
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.setup import Setup

T = TypeVar("T")


@cache
def requests(function: Callable[..., Any]) -> Mapping[str, Any]:
    """Read what a function asks for.

    Args:
        function: A judge, a remedy, or a `measure`.

    Returns:
        Parameter name → annotated type, evaluated; `cls` and the return value left out.

    Raises:
        TypeError: If a parameter has no annotation.
    """
    hints = typing.get_type_hints(function)
    wanted = {}
    for name in inspect.signature(function).parameters:
        if name not in hints:
            raise TypeError(f"parameter {name!r} of {function.__qualname__} must be annotated")
        wanted[name] = hints[name]
    return wanted


def _required(wanted: Any) -> tuple[Any, bool]:
    """The type that an annotation asks for, and whether `T | Unmeasured` says that it may be missing."""
    parts = typing.get_args(wanted)
    if typing.get_origin(wanted) in (types.UnionType, typing.Union) and Unmeasured in parts:
        return next(part for part in parts if part is not Unmeasured), True
    return wanted, False


@final
class Examination:
    """Measurements of one set-up, taken lazily and kept.

    Attributes:
        seconds: Wall time spent on each type, by name, that of its needs not included.
    """

    def __init__(self, setup: Setup | None, deadline: float = float("inf")) -> None:
        """Start with nothing measured.

        Args:
            setup: What to examine; None where everything is `put`.
            deadline: `time.monotonic()` value after which nothing more is measured.
        """
        self.deadline = deadline
        self.seconds: dict[str, float] = {}
        self.listener: Callable[[type], None] = lambda wanted: None
        self._known: dict[type, Any] = {} if setup is None else {Setup: setup}
        self._errors: dict[type, UnstuckError] = {}
        self._nested: list[float] = []

    def get(self, wanted: type[T]) -> T | Unmeasured:
        """The measurement of a type, taken now if it has not been.

        Args:
            wanted: A measurement or a material.

        Returns:
            It, or why it cannot be had. Ctrl-C passes through.
        """
        if wanted not in self._known:
            self._known[wanted] = self._take(wanted)
        value: T | Unmeasured = self._known[wanted]
        return value

    def put(self, value: object, kind: type | None = None) -> None:
        """Give a measurement that was taken elsewhere, by a recording or an earlier report.

        Args:
            value: It, or `Unmeasured`.
            kind: What `value` is one of, where it does not say itself.
        """
        self._known[kind or type(value)] = value

    def error(self, wanted: type) -> UnstuckError | None:
        """The user's error that kept a measurement from being taken."""
        return self._errors.get(wanted)

    def taken(self) -> Mapping[type, Any]:
        """Everything measured so far, also what could not be measured."""
        return {kind: value for kind, value in self._known.items() if hasattr(kind, "cost")}

    def arguments(self, function: Callable[..., Any]) -> dict[str, Any] | Unmeasured:
        """What a function asks for by its annotations, or why one of them cannot be had."""
        found: dict[str, Any] = {}
        for name, wanted in requests(function).items():
            if typing.get_origin(wanted) is collections.abc.Callable:
                found[name] = self._later(typing.get_args(wanted)[1])
                continue
            kind, optional = _required(wanted)
            value = self.get(kind)
            if isinstance(value, Unmeasured) and not optional:
                return value
            found[name] = value
        return found

    def _later(self, wanted: type[T]) -> Callable[[], T]:
        def measure() -> T:
            value = self.get(wanted)
            if isinstance(value, Unmeasured):
                raise NotMeasurable(value.reason)
            return value

        return measure

    def _take(self, wanted: type) -> Any:
        measure = getattr(wanted, "measure", None)
        if measure is None:
            return Unmeasured(f"{wanted.__name__} is given, not measured")
        found = self.arguments(measure)
        if isinstance(found, Unmeasured):
            return found
        if time.monotonic() > self.deadline:
            return Unmeasured("the time budget was used up before it was measured")
        self.listener(wanted)
        self._nested.append(0.0)
        start = time.perf_counter()
        try:
            return measure(**found)
        except NotMeasurable as reason:
            return Unmeasured(str(reason))
        except UnstuckError as error:
            self._errors[wanted] = error
            return Unmeasured(str(error))
        except Exception as error:  # a fault of ours must not cost the user the rest of the report
            return Unmeasured(f"measuring {wanted.__name__} raised {type(error).__name__}: {error}")
        finally:
            whole = time.perf_counter() - start
            self.seconds[wanted.__name__] = whole - self._nested.pop()
            if self._nested:
                self._nested[-1] += whole
