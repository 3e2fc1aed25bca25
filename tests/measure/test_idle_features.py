"""Features that are constant in training, against columns looked at one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.measure.programs import generator, setup_of
from unstuck.measure.idle_features import IdleFeatures
from unstuck.measure.protocol import NotMeasurable


def idle(train: Tensor, validation: Tensor) -> IdleFeatures:
    pairs = [(part, torch.zeros(len(part), 1)) for part in (train, validation)]
    return IdleFeatures.measure(setup_of(lambda: nn.Linear(4, 1), nn.MSELoss(), pairs[0], validation=pairs[1]))


def rows(constants: tuple[int, ...], seed: int = 0) -> Tensor:
    values = torch.randn(100, 4, generator=generator(seed))
    values[:, list(constants)] = 2.0
    return values


def test_a_feature_that_wakes() -> None:
    train, other = rows((1, 3)), rows((1,), seed=1)
    found = idle(train, other)
    assert (found.count, found.constant, found.waking, found.first) == (4, 2, 1, (3,))
    slow = float((other[:, 3] - 2.0).square().mean() / train[:, [0, 2]].var(0).mean())
    assert found.energy == pytest.approx(slow, rel=1e-5)
    assert found.awake_share == 1.0


def test_a_feature_that_is_constant_everywhere() -> None:
    found = idle(rows((1,)), rows((1,), seed=1))
    assert (found.constant, found.waking, found.energy) == (1, 0, 0.0)


def test_scale_does_not_matter() -> None:
    train, other = rows((3,)), rows((), seed=1)
    assert idle(train, other).energy == pytest.approx(idle(100.0 * train, 100.0 * other).energy, rel=1e-4)


def test_tokens_are_no_features() -> None:
    tokens = torch.randint(0, 5, (60, 4), generator=generator())
    with pytest.raises(NotMeasurable):
        idle(tokens, tokens)
