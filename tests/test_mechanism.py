"""Which suspicions are consequences of what has been treated."""

from __future__ import annotations

import pytest

from unstuck.mechanism import is_gone
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Evidence, Outcome, Verdict


def verdict(outcome: Outcome, value: float, limit: float = 0.01, name: str = "share of the gradient") -> Verdict:
    """A verdict that one number decided."""
    return Verdict(outcome, "…", (Evidence(Quantity(name, value), Threshold(limit, "1", "a test")),))


@pytest.mark.parametrize(
    ("before", "after", "gone"),
    [
        pytest.param(1e-8, 9e-3, True, id="all but a last step of six orders of magnitude"),
        pytest.param(1e-8, 1e-4, False, id="four orders of six"),
        pytest.param(9.9e-3, 9.8e-3, False, id="no nearer to the limit"),
        pytest.param(-5.0, -0.1, True, id="numbers without a logarithm"),
        pytest.param(float("nan"), 9e-3, False, id="no number"),
    ],
)
def test_what_went_most_of_the_way_to_its_limit_is_gone(before: float, after: float, gone: bool) -> None:
    suspected = verdict(Outcome.PRESENT, before)
    assert is_gone(suspected, verdict(Outcome.PRESENT, after)) is gone


def test_what_is_absent_is_gone_and_another_number_tells_nothing() -> None:
    suspected = verdict(Outcome.PRESENT, 1e-8)
    assert is_gone(suspected, Verdict(Outcome.ABSENT, "…"))
    assert not is_gone(suspected, Verdict(Outcome.UNDECIDED, "…"))
    assert not is_gone(suspected, verdict(Outcome.PRESENT, 9e-3, name="something else"))
