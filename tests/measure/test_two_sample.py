"""Telling training inputs from test inputs: calibrated without a difference, and each map brought back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.measure.programs import blobs, generator, prepared, setup_of
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.shift_maps import MapFit, mapped
from unstuck.measure.two_sample import TwoSample, undo
from unstuck.setup.batch import split_batch


def against_test(inputs: Tensor, change: Callable[[Tensor], Tensor], train: int = 400) -> Prepared:
    labels = torch.arange(len(inputs)) % 2
    return prepared(
        setup_of(
            lambda: nn.Linear(1, 2),
            nn.CrossEntropyLoss(),
            (inputs[:train], labels[:train]),
            validation=(inputs[:60], labels[:60]),
            test=(change(inputs[train:]), labels[train:]),
        )
    )


def features(count: int = 700) -> Tensor:
    return blobs(count, 8, 3)[0] * torch.linspace(0.5, 4.0, 8)


def images(count: int = 500) -> Tensor:
    draws = generator(5)
    made = functional.interpolate(torch.randn(count, 3, 3, 3, generator=draws), size=10).exp()
    return made * torch.tensor([1.0, 0.6, 0.3]).reshape(3, 1, 1) + 0.1 * torch.randn(made.shape, generator=draws)


def swapped(inputs: Tensor) -> Tensor:
    return inputs[:, torch.randperm(8, generator=generator(3))]


@pytest.mark.parametrize(
    ("inputs", "change", "name"),
    [
        (features, lambda x: x * 255.0, "one scale and offset"),
        (features, lambda x: (x - 0.5) / 0.25, "one scale and offset"),
        (features, lambda x: 1.0 - x, "one scale and offset"),
        (lambda: features().abs().round() * (features() > 0), lambda x: x / 7.0, "one scale and offset"),
        (features, lambda x: x * torch.linspace(0.2, 3.0, 8) + 1.0, "a scale and offset a channel"),
        (features, swapped, "other order of channels"),
        (features, lambda x: 3.0 * swapped(x) - 1.0, "other order of channels, one scale and offset"),
        (images, lambda x: x.flip(1), "other order of channels"),
        (images, lambda x: 255.0 * x.flip(1), "other order of channels, one scale and offset"),
    ],
    ids=[
        "255",
        "standardised",
        "inverted",
        "whole",
        "per feature",
        "order",
        "order and scale",
        "bgr",
        "bgr 255",
    ],
)
def test_each_mismatch_is_seen_and_undone_by_its_own_map(
    inputs: Callable[[], Tensor], change: Callable[[Tensor], Tensor], name: str
) -> None:
    given = inputs()
    material = against_test(given, change)
    found = TwoSample.measure(material)
    assert found.against == "test"
    assert found.low > 0.5
    assert found.p_value < 1e-6
    simplest = next(one for one in found.maps if one.low <= 0.5)
    assert simplest.name == name
    assert material.setup.test is not None
    back = undo(simplest, material.setup.test).head(10_000)
    returned = torch.cat([split_batch(batch)[0][0] for batch in back])
    assert returned.dtype == given.dtype
    # The fit has the noise of a few hundred samples.
    assert float((returned - given[400:]).abs().mean() / given.std()) < 0.12


def test_inputs_drawn_elsewhere_can_be_squeezed_back_but_their_targets_tell() -> None:
    inputs = features(1400)
    labels = (inputs[:, 7] > 0.0).long()
    far = (inputs[700:, 7] > 1.0).nonzero().flatten() + 700
    setup = setup_of(
        lambda: nn.Linear(8, 2),
        nn.CrossEntropyLoss(),
        (inputs[:700], labels[:700]),
        validation=(inputs[:60], labels[:60]),
        test=(inputs[far], labels[far]),
    )
    found = TwoSample.measure(prepared(setup))
    assert found.low > 0.5 and found.maps
    assert min(one.low for one in found.maps) < min(one.whole_low for one in found.maps)
    assert all(one.whole_low > 0.6 for one in found.maps)


def test_a_feature_of_few_values_does_not_give_a_fitted_map_away() -> None:
    inputs = torch.cat([features(), (torch.arange(700) % 2 * 1.7 - 0.8).unsqueeze(1)], 1)
    found = TwoSample.measure(against_test(inputs, lambda x: 16.0 * x + 3.0))
    assert min(one.whole_low for one in found.maps) <= 0.5


def test_a_shift_that_is_no_map_is_not_undone() -> None:
    draws = generator(1)
    mixed = torch.randn(900, 4, generator=draws)
    found = TwoSample.measure(
        against_test(mixed, lambda x: torch.cat([x[:, :1].abs() * x[:, 1:2].sign(), x[:, 1:]], 1))
    )
    assert found.low > 0.5
    assert all(one.low > 0.5 for one in found.maps)


@pytest.mark.parametrize("wide", [False, True])
def test_no_difference_is_covered(wide: bool) -> None:
    misses, ps = 0, []
    for seed in range(8):
        draws = generator(seed)
        inputs = torch.randn(260, 1, 20, 20, generator=draws).exp() if wide else torch.randn(260, 5, generator=draws)
        found = TwoSample.measure(against_test(inputs, lambda x: x, train=160))
        misses += not found.low <= 0.5 <= found.high
        ps.append(found.p_value)
        assert (found.maps == ()) == (found.low <= 0.5)
    assert misses <= 2
    assert min(ps) > 1e-3


def test_tokens_have_no_maps() -> None:
    tokens = torch.randint(0, 9, (600, 7), generator=generator())
    found = TwoSample.measure(against_test(tokens, lambda x: (x + 3) % 5))
    assert found.low > 0.5
    assert found.maps == ()


def test_the_validation_split_stands_in_and_a_carved_one_does_not() -> None:
    inputs = features()
    material = against_test(inputs, lambda x: x)
    shifted = setup_of(
        lambda: nn.Linear(8, 2),
        nn.CrossEntropyLoss(),
        (inputs[:400], torch.zeros(400, dtype=torch.long)),
        validation=(inputs[400:] + 3.0, torch.zeros(300, dtype=torch.long)),
    )
    found = TwoSample.measure(prepared(shifted))
    assert found.against == "validation"
    assert found.low > 0.5
    with pytest.raises(NotMeasurable, match="neither a test split"):
        TwoSample.measure(prepared(replace(material.setup, validation=None, test=None)))


def test_other_shapes_and_too_few_samples_say_so() -> None:
    with pytest.raises(NotMeasurable, match="different shapes"):
        TwoSample.measure(against_test(features(), lambda x: x[:, :7]))
    with pytest.raises(NotMeasurable, match="fewer than 20"):
        TwoSample.measure(against_test(features(410), lambda x: x))


def test_mapping_is_the_formula() -> None:
    images = torch.randn(4, 3, 2, 2)
    fit = MapFit("m", (2.0, 3.0, 4.0), (1.0, 0.0, -1.0), (2, 0, 1), 1)
    slow = torch.stack([2.0 * images[:, 2] + 1.0, 3.0 * images[:, 0], 4.0 * images[:, 1] - 1.0], 1)
    assert torch.allclose(mapped(fit, images), slow)
    assert torch.equal(mapped(MapFit("m", (), (), (), 1), images), images)
    assert math.isnan(fit.auc_after)


def test_random_state_and_inputs_stay() -> None:
    material = against_test(features(), lambda x: x * 2.0)
    before, legacy = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    assert TwoSample.measure(material) == TwoSample.measure(material)
    assert torch.equal(before, torch.random.get_rng_state())
    assert (np.random.get_state()[1] == legacy).all()
