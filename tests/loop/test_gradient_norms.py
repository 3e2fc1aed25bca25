"""The norm of the whole gradient at every step: against a slow twin, and clipped."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from unstuck import Setup, patients
from unstuck.edits.clipping import Cliffs, clip_gradients
from unstuck.errors import RemedyError
from unstuck.loop import fit


def plain() -> Setup:
    inputs, labels = torch.randn(40, 4, generator=torch.Generator().manual_seed(5)), torch.arange(40) % 3
    torch.manual_seed(6)
    net = patients.perceptron(4, 8, 3)
    return Setup.of(
        model=net,
        loss=nn.CrossEntropyLoss(),
        optimizer=torch.optim.SGD(net.parameters(), 0.5),
        train=torch.utils.data.DataLoader(torch.utils.data.TensorDataset(inputs, labels), batch_size=40),
        epochs=4,
    )


def slow_twin(setup: Setup, largest: float | None = None) -> tuple[list[float], nn.Module]:
    model, optimizer = setup.build()
    (inputs, labels) = next(iter(setup.train.batches(torch.Generator())))
    norms = []
    for _ in range(setup.epochs):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), labels).backward()
        whole = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        if largest is not None and float(whole.norm()) > largest:
            for parameter in model.parameters():
                assert parameter.grad is not None
                parameter.grad *= largest / whole.norm()
            whole = whole * (largest / whole.norm())
        norms.append(float(whole.norm()))
        optimizer.step()
    return norms, model


def test_every_step_is_recorded() -> None:
    setup = plain()
    record = fit(setup, watched=True).record
    expected, _ = slow_twin(setup)
    assert record.gradient_norms == pytest.approx(expected, rel=1e-4)
    assert fit(setup).record.gradient_norms == ()


def test_clipping_bounds_the_step_and_says_so() -> None:
    setup = plain()
    expected, _ = slow_twin(setup)
    limit = 0.7 * expected[0]
    clipped = clip_gradients(setup, limit)
    run = fit(clipped, watched=True)
    norms, model = slow_twin(setup, limit)
    assert run.record.gradient_norms == pytest.approx(norms, rel=1e-4)
    assert max(run.record.gradient_norms) <= limit * 1.0001
    for mine, theirs in zip(run.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    assert "gradient_clipping" in clipped.described


@pytest.mark.parametrize("limit", [0.0, -1.0, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(limit: float) -> None:
    with pytest.raises(RemedyError):
        clip_gradients(plain(), limit)


def test_cliffs_are_steep_beyond_their_edge_and_nothing_before() -> None:
    cliffs = Cliffs(1000.0)
    cliffs.edge.fill_(1.0)
    cliffs.height.fill_(0.1)
    values = torch.tensor([-2.0, 0.5, 1.0 + 1e-6, 3.0], requires_grad=True)
    outputs = copy.deepcopy(cliffs)(values)
    outputs.sum().backward()
    assert values.grad is not None
    assert torch.equal(outputs[:2], values[:2]) and values.grad[:2].tolist() == [1.0, 1.0]
    assert float((outputs - values).detach().abs().max()) <= 0.1
    assert float(values.grad[2]) == pytest.approx(1001.0, rel=0.05)
