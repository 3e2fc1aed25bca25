"""Measurements are taken once, when asked for, with what they need."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import pytest

from unstuck.errors import SetupError
from unstuck.examine import Examination, requests
from unstuck.measure.protocol import NotMeasurable, Unmeasured

taken: list[str] = []


@dataclass(frozen=True)
class First:
    cost: ClassVar[float] = 0.0
    value: int

    @classmethod
    def measure(cls) -> "First":
        taken.append("First")
        return cls(1)


@dataclass(frozen=True)
class Broken:
    cost: ClassVar[float] = 0.0

    @classmethod
    def measure(cls) -> "Broken":
        taken.append("Broken")
        raise NotMeasurable("there is nothing to measure")


@dataclass(frozen=True)
class Faulty:
    cost: ClassVar[float] = 0.0

    @classmethod
    def measure(cls) -> "Faulty":
        raise SetupError("x must be y", "z", "Do it.")


@dataclass(frozen=True)
class Second:
    cost: ClassVar[float] = 1.0
    value: int
    reason: str
    later: int

    @classmethod
    def measure(cls, first: First, broken: Broken | Unmeasured, later: Callable[[], First]) -> "Second":
        assert isinstance(broken, Unmeasured)
        return cls(first.value + 1, broken.reason, later().value)


@dataclass(frozen=True)
class NeedsBroken:
    cost: ClassVar[float] = 1.0

    @classmethod
    def measure(cls, broken: Broken) -> "NeedsBroken":
        raise AssertionError("must not be reached")


def test_needs_are_injected_by_annotation_and_taken_once() -> None:
    taken.clear()
    examination = Examination(None)
    assert examination.get(Second) == Second(2, "there is nothing to measure", 1)
    examination.get(Second)
    assert taken == ["First", "Broken"]


def test_what_cannot_be_measured_says_why_and_passes_it_on() -> None:
    examination = Examination(None)
    assert examination.get(NeedsBroken) == Unmeasured("there is nothing to measure")


def test_an_error_of_the_user_is_kept() -> None:
    examination = Examination(None)
    missing = examination.get(Faulty)
    assert isinstance(missing, Unmeasured)
    assert isinstance(examination.error(Faulty), SetupError)


def test_nothing_is_measured_after_the_deadline() -> None:
    missing = Examination(None, deadline=0.0).get(First)
    assert isinstance(missing, Unmeasured)
    assert "budget" in missing.reason


def test_a_judge_gets_what_it_asks_for() -> None:
    def judge(second: Second, broken: Broken | Unmeasured) -> None: ...

    found = Examination(None).arguments(judge)
    assert isinstance(found, dict)
    assert found["second"].value == 2


def test_a_parameter_without_annotation_is_refused() -> None:
    def judge(something) -> None: ...  # type: ignore[no-untyped-def]

    with pytest.raises(TypeError, match="something"):
        requests(judge)
