"""Training inputs that are drawn at each reading, and read through the transform of the test data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from unstuck import patients
from unstuck.edits.transforms import HALF, through_transform_of, with_strong_augmentation
from unstuck.errors import RemedyError
from unstuck.examine import Examination
from unstuck.measure.preparation import Allowance
from unstuck.measure.shift.drawn_inputs import DrawnInputs
from unstuck.setup import LoadedData, Setup, StackedData
from unstuck.setup.data import Transform
from unstuck.setup.loader import data_of
from unstuck.setup.randomness import seeded


class Pictures(Dataset[Any]):
    """Of the kind that torchvision has."""

    def __init__(self, transform: Any) -> None:
        self.transform = transform

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = torch.full((3,), float(index))
        return (picture if self.transform is None else self.transform(picture)), index % 2


def noisy(values: Tensor) -> Tensor:
    return values + 100.0 * torch.rand(())


def order(data: Any, seed: int = 0) -> Tensor:
    return torch.cat([batch[0][:, 0] for batch in data.batches(seeded(seed))])


def measured(setup: Setup) -> Any:
    examination = Examination(setup)
    examination.put(Allowance(20.0))
    return examination.get(DrawnInputs)


def test_a_data_set_is_read_through_another_transform_in_the_same_order() -> None:
    data = data_of("train", DataLoader(Pictures(noisy), 8, shuffle=True), None)
    assert isinstance(data, LoadedData) and data.transform is not None and data.transform.apply is not None
    plain = data.through(Transform(None))
    assert sorted(order(plain).tolist()) == [float(number) for number in range(40)]
    assert (order(data) - order(plain)).min() >= 0.0 and (order(data) - order(plain)).max() > 1.0
    kept, held = data.split(0.25, 0)
    both = torch.cat([order(part.through(Transform(None))) for part in (kept, held)])
    assert sorted(both.tolist()) == [float(number) for number in range(40)] and len(order(held)) == 10


def test_the_transform_is_found_inside_a_subset_and_kept_of_stacked_data() -> None:
    data = data_of("test", DataLoader(Subset(Pictures(torch.neg), [3, 5, 7]), 2), None)
    assert isinstance(data, StackedData) and data.transform is not None
    assert float(data.transform.apply(torch.tensor(2.0))) == -2.0
    assert data.subset(torch.tensor([0])).transform is data.transform


def test_samples_without_a_transform_are_refused() -> None:
    setup = patients.shells()
    assert setup.test is not None
    with pytest.raises(RemedyError, match="attribute `transform`"):
        through_transform_of(setup, setup.test, HALF)


def test_augmentation_is_told_from_its_absence() -> None:
    given = patients.shells(epochs=12)
    assert not measured(given).drawn
    sick = with_strong_augmentation(given, 4.0, 4.0)
    assert sick.test is not None and isinstance(sick.train, LoadedData)
    found = measured(sick)
    assert found.drawn and found.gap > 0.1 and found.p_value <= 0.05
    assert found.plain_p_value > 0.05 and found.plain_area < 0.6 < found.area
    cured = through_transform_of(sick, sick.test, 1.0)
    assert isinstance(cured.train, LoadedData)
    inputs = cured.train.head(2000)
    assert isinstance(given.train, StackedData)
    assert float(torch.cat([batch[0] for batch in inputs]).std() / given.train.samples[0].std()) == pytest.approx(1.0)
    half = through_transform_of(sick, sick.test, HALF)
    assert isinstance(half.train, LoadedData)
    same = torch.cat([batch[0] for batch in half.train.head(2000)]).abs().amax(1) <= given.train.samples[0].abs().max()
    assert 0.3 < float(same.float().mean()) < 0.8


def test_data_that_do_not_tell_their_transform_say_so() -> None:
    sick = with_strong_augmentation(patients.shells(epochs=12), 4.0, 4.0)
    assert isinstance(sick.test, StackedData)
    found = measured(replace(sick, test=replace(sick.test, transform=None)))
    assert found.drawn and "attribute `transform`" in found.reason
