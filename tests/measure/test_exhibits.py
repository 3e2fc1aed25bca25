"""Samples that are shown: they are the ones that were named, on one scale, bounded in size."""

from __future__ import annotations

import base64

import pytest
import torch
from torch import Tensor, nn

from unstuck import Setup
from unstuck.examine import Examination
from unstuck.measure.confusion import confusion
from unstuck.measure.exhibits import SIDE, Strangers, Suspects, drawn
from unstuck.measure.label_noise import LabelNoise
from unstuck.measure.preparation import Allowance, Prepared, Trained
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.shift.drift import InputDrift
from unstuck.measure.task import Task
from unstuck.setup import StackedData


def bytes_of(look: tuple[str, tuple[float, ...]]) -> list[int]:
    return list(base64.b64decode(look[0]))


def test_images_of_two_groups_share_one_scale_of_brightness() -> None:
    dark, light = torch.zeros(2, 1, 8, 8), torch.full((1, 1, 8, 8), 4.0)
    dark[0, 0, 0, 1] = 2.0
    (shape, first), (_, second) = drawn([dark, light])
    assert shape == (8, 8, 1)
    assert bytes_of(first[0])[:3] == [0, 128, 0] and set(bytes_of(second[0])) == {255}


@pytest.mark.parametrize(
    ("samples", "shape"),
    [
        (torch.rand(3, 3, 200, 100), (SIDE, SIDE // 2, 3)),
        (torch.rand(3, 40, 40, 3), (SIDE, SIDE, 3)),
        (torch.rand(3, 7, 12, 12), (12, 12, 1)),
        (torch.rand(3, 28, 28), (28, 28, 1)),
        (torch.full((2, 1, 8, 8), float("nan")), (8, 8, 1)),
    ],
)
def test_images_of_every_layout_are_small(samples: Tensor, shape: tuple[int, int, int]) -> None:
    ((found, looks),) = drawn([samples])
    assert found == shape and len(looks) == len(samples)
    assert all(len(bytes_of(look)) == shape[0] * shape[1] * shape[2] for look in looks)


def test_what_is_no_image_shows_its_first_numbers() -> None:
    ((shape, looks),) = drawn([torch.arange(40.0).reshape(2, 20)])
    assert shape == (0, 0, 0)
    assert looks[1] == ("", tuple(float(number) for number in range(20, 32)))


def set_up() -> Setup:
    """Images of two classes; the first test sample is like no other."""
    draws = torch.Generator().manual_seed(0)
    targets = torch.arange(80) % 2
    images = 0.1 * torch.randn(80, 1, 8, 8, generator=draws) + targets[:, None, None, None]
    test = images[:20].clone()
    test[0] = 9.0
    return Setup.of(
        model=lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 2)),
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        train=(images, targets),
        test=(test, targets[:20]),
        batch_size=20,
        epochs=3,
    )


def examined(*known: object) -> Examination:
    examination = Examination(set_up())
    for one in (Allowance(60.0), *known):
        examination.put(one)
    return examination


def test_suspects_are_the_samples_that_were_named() -> None:
    noise = LabelNoise(64, 0.5, "x", 0.9, 0.5, 20, 2, (5, 7, 9), ((0, 1), (1, 0)))
    examination = examined(noise)
    found, prepared = examination.get(Suspects), examination.get(Prepared)
    assert isinstance(found, Suspects) and isinstance(prepared, Prepared)
    assert [(one.row, one.label, one.answer) for one in found.samples] == [(5, 0, 1), (7, 1, 0)]
    data = prepared.setup.train
    assert isinstance(data, StackedData)
    ((_, looks),) = drawn([data.samples[0][torch.tensor([5, 7])]])
    assert [one.pixels for one in found.samples] == [look[0] for look in looks]


def test_without_suspects_there_is_nothing_to_show() -> None:
    assert isinstance(examined(LabelNoise(0, 0.5, "", 1.0, 0.0, 0, 0, ())).get(Suspects), Unmeasured)


def test_strangers_come_with_their_loss_and_with_training_samples() -> None:
    nothing = float("nan")
    drift = InputDrift(0.01, (), 0.9, nothing, nothing, (), (0,), nothing, nothing, 64, 20, unlike=(0, 3))
    found = examined(drift).get(Strangers)
    assert isinstance(found, Strangers)
    assert [one.row for one in found.test] == [0, 3] and len(found.training) == 12
    assert found.test[0].loss != found.test[1].loss
    assert set(base64.b64decode(found.test[0].pixels)) == {255}  # 9 everywhere is the brightest of all
    assert max(base64.b64decode(found.training[0].pixels)) < 60


def test_confusions_count_every_sample_once() -> None:
    examination = examined()
    prepared, trained, task = (examination.get(kind) for kind in (Prepared, Trained, Task))
    assert isinstance(prepared, Prepared) and isinstance(trained, Trained) and isinstance(task, Task)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].bias.copy_(torch.tensor([0.0, 1.0]))  # always answers 1
    counts = confusion(prepared.setup, task, prepared.setup, model, prepared.held_out)
    truth = [int(target) for batch in prepared.held_out.head(100) for target in prepared.setup.targets(batch)]
    assert counts == ((0, truth.count(0)), (0, truth.count(1)))


def test_a_table_of_too_many_classes_is_refused() -> None:
    examination = examined()
    prepared, task = examination.get(Prepared), examination.get(Task)
    assert isinstance(prepared, Prepared) and isinstance(task, Task)
    many = type(task)(**{name: getattr(task, name) for name in task.__slots__} | {"classes": 1000})
    with pytest.raises(NotMeasurable, match="1000 classes"):
        confusion(prepared.setup, many, prepared.setup, nn.Identity(), prepared.held_out)
