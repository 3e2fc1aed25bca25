import math

import pytest
import torch

import unstuck
from tests.edits import patients
from unstuck.edits.derived_features import FORMULAS, MOST, OCTAVES, Derived, with_derived_features
from unstuck.errors import RemedyError

INPUTS = torch.tensor([[1.0, 5.0], [3.0, 9.0], [8.0, 7.0], [4.0, 1.0]], dtype=torch.float64)


def standardised(columns: list[torch.Tensor]) -> torch.Tensor:
    made = torch.stack(columns, 1)
    return (made - made.mean(0)) / made.std(0)


def test_products_and_ratios_against_their_definition() -> None:
    a, b = ((INPUTS - INPUTS.mean(0)) / INPUTS.std(0)).T
    found = Derived(INPUTS, "products and squares of the features").derive(INPUTS)
    assert torch.allclose(found, standardised([a * a, a * b, b * b]))
    c, d = (INPUTS / INPUTS.std(0)).T
    assert torch.allclose(Derived(INPUTS, "ratios of the features").derive(INPUTS), standardised([c / d, d / c]))
    assert torch.allclose(
        Derived(INPUTS, "logarithms of the features' size").derive(INPUTS), standardised([c.log(), d.log()])
    )


def test_waves_have_the_periods_that_are_promised() -> None:
    draws = torch.randn(500, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layer = Derived(draws, "sines and cosines of the features")
    shift = 4.0 * draws.std(0)  # the longest period, and so one of each
    assert layer.derive(draws).shape == (500, 2 * OCTAVES)
    assert torch.allclose(layer.derive(draws), layer.derive(draws + shift), atol=1e-9)
    assert not torch.allclose(layer.derive(draws), layer.derive(draws + shift / 2.0), atol=1e-1)


@pytest.mark.parametrize("formula", FORMULAS)
def test_units_of_the_inputs_do_not_matter(formula: str) -> None:
    plain = Derived(INPUTS, formula).derive(INPUTS)
    assert torch.allclose(Derived(1e3 * INPUTS, formula).derive(1e3 * INPUTS), plain, atol=1e-9)


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_model_is_given_them(formula: str) -> None:
    edited = with_derived_features(patients.plain(), formula)
    extra = edited.build()[0].get_submodule("0").in_features - 6
    assert extra == len(edited.build()[0].get_submodule("0.inserted_features").centre)
    run = unstuck.fit(edited, steps=3)
    assert all(math.isfinite(loss) for loss in run.losses)


def test_what_has_no_table_in_front_is_refused() -> None:
    for make in (patients.convolutional, patients.recurrent, patients.transformer):
        with pytest.raises(RemedyError, match="linear layer on a table"):
            with_derived_features(make(), "ratios of the features")
    with pytest.raises(RemedyError, match="there would be"):
        Derived(torch.randn(8, MOST), "products and squares of the features")
