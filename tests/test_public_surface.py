"""The public names, exactly; and what importing them costs."""

import subprocess
import sys

import pytest

import unstuck

NAMES = {
    "Between",
    "Cure",
    "Recording",
    "Report",
    "Run",
    "Selection",
    "Setup",
    "diagnose",
    "fit",
    "hint",
    "leaks",
    "replay",
    "select",
    "treat",
    "watch",
}


def test_the_public_names_are_exactly_these() -> None:
    assert set(unstuck.__all__) == NAMES
    for name in NAMES:
        assert getattr(unstuck, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'cure_all'"):
        unstuck.cure_all  # noqa: B018


@pytest.mark.parametrize("first", ["unstuck.diagnosis", "unstuck.treatment", "unstuck.judgement"])
def test_functions_stay_functions_whatever_is_imported_first(first: str) -> None:
    code = f"import {first}, unstuck; assert callable(unstuck.diagnose) and callable(unstuck.treat)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_package_imports_neither_torch_nor_scikit_learn() -> None:
    code = "import sys, unstuck; assert not {'torch', 'sklearn', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_the_import_costs_at_most_150_ms_beyond_torch() -> None:
    """`diagnose` and `treat` bring the whole examination with them, which is loaded when one of them is first named."""
    code = (
        "import torch, numpy, time; start = time.perf_counter(); import unstuck; "
        "unstuck.Setup, unstuck.fit; print(time.perf_counter() - start)"
    )
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for _ in range(3)
    ]
    assert min(seconds) <= 0.15
