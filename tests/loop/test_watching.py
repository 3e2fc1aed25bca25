"""What the watcher sees, against slow obvious twins."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from tests.setup.accepted import Bag, Tied, columns, network, usual
from unstuck import Setup
from unstuck.loop import LayerTrace, fit
from unstuck.loop.layers import parametrised_layers
from unstuck.loop.watching import Watcher, sampled_steps

STEPS = 6


def whole(tensors: Any) -> float:
    return float(sum(float((tensor.double() ** 2).sum()) for tensor in tensors) ** 0.5)


def test_norms_are_those_of_a_slow_twin() -> None:
    torch.manual_seed(0)
    model = network()
    arguments = usual(model=model, epochs=1)
    traces = {trace.name: trace for trace in fit(Setup.of(**arguments), watched=True, steps=STEPS).record.layers}
    mine, own = copy.deepcopy((model, arguments["optimizer"]))
    inputs, targets = columns()
    torch.manual_seed(0)
    order = torch.randperm(36, generator=torch.Generator().manual_seed(0))
    for step, chosen in enumerate(order.split(8)):
        own.zero_grad()
        outputs = {}
        hidden = inputs[chosen]
        for name, layer in mine.named_children():
            hidden = layer(hidden)
            outputs[name] = hidden.detach().clone()
        nn.functional.cross_entropy(hidden, targets[chosen]).backward()
        for name in ("0", "1", "4"):
            layer, trace = mine.get_submodule(name), traces[name]
            before = [p.detach().clone() for p in layer.parameters()]
            assert trace.weight_norm[step] == pytest.approx(whole(before), rel=1e-5)
            assert trace.gradient_norm[step] == pytest.approx(whole(p.grad for p in layer.parameters()), rel=1e-5)
            assert trace.output_rms[step] == pytest.approx(float(outputs[name].square().mean().sqrt()), rel=1e-5)
            assert trace.output_zero_share[step] == float((outputs[name] == 0).double().mean())
        kept = {name: [p.detach().clone() for p in mine.get_submodule(name).parameters()] for name in ("0", "1", "4")}
        own.step()
        for name, before in kept.items():
            moved = [p.detach() - old for p, old in zip(mine.get_submodule(name).parameters(), before, strict=True)]
            assert traces[name].update_norm[step] == pytest.approx(whole(moved), rel=1e-4)
    assert [trace.depth for trace in traces.values()] == [0, 1, 2]


def loss_of(model: nn.Module, batch: Any) -> torch.Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


def not_cleared(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> torch.Tensor:
    loss = loss_of(model, batch)
    loss.backward()
    optimizer.step()
    return loss


def cleared(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> torch.Tensor:
    optimizer.zero_grad(set_to_none=False)
    return not_cleared(model, optimizer, batch)


def cleared_after(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> torch.Tensor:
    loss = not_cleared(model, optimizer, batch)
    model.zero_grad()
    return loss


def clipped(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> torch.Tensor:
    optimizer.zero_grad()
    loss = loss_of(model, batch)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
    optimizer.step()
    return loss


def clipped_by_value(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> torch.Tensor:
    optimizer.zero_grad()
    loss = loss_of(model, batch)
    loss.backward()
    nn.utils.clip_grad_value_(model.parameters(), 1e-3)
    optimizer.step()
    return loss


def accumulated_within(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> torch.Tensor:
    optimizer.zero_grad()
    losses = [loss_of(model, (batch[0][part], batch[1][part])) for part in torch.arange(len(batch[0])).split(4)]
    for loss in losses:
        loss.backward()
    optimizer.step()
    return losses[0]


def accumulated_over_calls() -> Callable[..., torch.Tensor]:
    calls = 0

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> torch.Tensor:
        nonlocal calls
        loss = loss_of(model, batch)
        loss.backward()
        calls += 1
        if calls % 3 == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss

    return step


def scaled() -> Callable[..., torch.Tensor]:
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> torch.Tensor:
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return loss

    return step


CLEAN = {
    "no step of one's own": None,
    "cleared": cleared,
    "cleared after": cleared_after,
    "clipped": clipped,
    "clipped by value": clipped_by_value,
    "accumulated within a call": accumulated_within,
    "accumulated over calls": accumulated_over_calls(),
    "scaled": scaled(),
}


@pytest.mark.parametrize("name", CLEAN)
def test_nothing_is_stale_where_gradients_are_cleared(name: str) -> None:
    torch.manual_seed(0)
    record = fit(Setup.of(**usual(train_step=CLEAN[name], epochs=4)), watched=True).record
    for trace in record.layers:
        assert trace.stale_share and set(trace.stale_share) == {0.0}
        assert all(norm > 0 for norm in trace.gradient_norm)
        assert len(trace.stale_share) == len(record.sampled_steps)


def test_a_sample_of_an_accumulated_step_ends_where_the_optimizer_steps() -> None:
    record = fit(Setup.of(**usual(train_step=accumulated_over_calls(), epochs=4)), watched=True).record
    assert record.sampled_steps == (2, 5, 8, 11, 14, 17, 19)  # the last is cut short by the end of the run
    assert [norm > 0 for norm in record.layers[0].update_norm] == [True] * 6 + [False]


def test_the_stale_share_is_exact_where_gradients_are_never_cleared() -> None:
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    arguments = usual(model=model, train_step=not_cleared, epochs=1)
    trace = fit(Setup.of(**arguments), watched=True).record.layers[0]
    mine, own = copy.deepcopy((model, arguments["optimizer"]))
    inputs, targets = columns()
    expected = []
    for chosen in torch.randperm(36, generator=torch.Generator().manual_seed(0)).split(8):
        stale = whole(p.grad for p in mine.parameters() if p.grad is not None)
        not_cleared(mine, own, (inputs[chosen], targets[chosen]))
        expected.append(stale / whole(p.grad for p in mine.parameters()))
    assert expected[0] == 0.0 and min(expected[1:]) > 0.3
    assert list(trace.stale_share) == pytest.approx(expected, rel=1e-5)


def test_a_loop_that_never_steps() -> None:
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> torch.Tensor:
        loss = loss_of(model, batch)
        loss.backward()
        return loss

    record = fit(Setup.of(**usual(train_step=step, epochs=20)), watched=True).record
    trace = record.layers[0]
    assert len(record.sampled_steps) >= 3
    assert set(trace.update_norm) == {0.0} and all(norm > 0 for norm in trace.gradient_norm)
    lengths = {len(values) for values in (trace.update_norm, trace.weight_norm, trace.gradient_norm, trace.output_rms)}
    assert lengths == {len(record.sampled_steps)}


def watched(**changes: Any) -> dict[str, LayerTrace]:
    torch.manual_seed(0)
    return {trace.name: trace for trace in fit(Setup.of(**usual(**changes)), watched=True).record.layers}


def test_sparse_gradients() -> None:
    tokens = torch.arange(36 * 3).reshape(36, 3) % 7
    norms = []
    for sparse in (True, False):
        torch.manual_seed(0)
        model = Bag(sparse)
        traces = watched(
            model=model, train=(tokens, columns()[1]), optimizer=torch.optim.SGD(model.parameters(), lr=0.1)
        )
        norms.append(traces["embed"].gradient_norm)
        assert set(traces["embed"].stale_share) == {0.0}
    assert norms[0] == pytest.approx(norms[1], rel=1e-5) and min(norms[0]) > 0


def test_shared_unused_and_reparametrised_layers() -> None:
    traces = watched(model=Tied())
    assert {name: trace.depth for name, trace in traces.items()} == {"first": 0, "second": 1, "head": 2}

    class Spare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.used(inputs)

    traces = watched(model=Spare())
    assert traces["spare"].depth == -1 and not traces["spare"].output_rms
    assert set(traces["spare"].gradient_norm) == {0.0} and set(traces["spare"].stale_share) == {0.0}

    normed = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 6)), nn.ReLU(), nn.Linear(6, 2))
    traces = watched(model=normed)
    assert [(trace.name, trace.kind, trace.depth) for trace in traces.values()] == [
        ("0", "Linear", 0),
        ("2", "Linear", 1),
    ]
    assert len(traces["0"].gradient_norm) == len(traces["0"].output_rms) and min(traces["0"].gradient_norm) > 0


def test_the_projection_inside_attention_counts_as_run() -> None:
    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attend, self.head = nn.MultiheadAttention(4, 2, batch_first=True), nn.Linear(4, 2)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            rows = inputs[:, None]
            return self.head(self.attend(rows, rows, rows)[0][:, 0])

    depths = {name: trace.depth for name, trace in watched(model=Attending()).items()}
    assert depths == {"attend": 0, "attend.out_proj": 1, "head": 2}


def test_an_activation_in_place_does_not_change_what_is_seen() -> None:
    torch.manual_seed(0)
    plain, inplace = (nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace), nn.Linear(6, 2)) for inplace in (False, True))
    inplace.load_state_dict(plain.state_dict())
    assert watched(model=plain)["0"] == watched(model=inplace)["0"]


def test_half_precision() -> None:
    inputs, targets = columns()
    trace = watched(model=network().bfloat16(), train=(inputs.bfloat16(), targets))["0"]
    assert min(trace.gradient_norm) > 0 and min(trace.output_rms) > 0


def count_hooks(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    dicts: list[Any] = [module._forward_hooks for module in model.modules()]
    dicts += [parameter._backward_hooks or {} for parameter in model.parameters()]
    dicts += [optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks]
    return sum(len(each) for each in dicts)


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_hooks_are_gone_afterwards(error: type[BaseException] | None) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    handle: RemovableHandle = model[0].register_forward_hook(lambda *_: None)
    watcher = Watcher(model, optimizer)
    inputs, targets = columns()
    try:
        with watcher.step(0, due=True):
            assert count_hooks(model, optimizer) > 8
            nn.functional.cross_entropy(model(inputs), targets).backward()
            if error is not None:
                raise error
            optimizer.step()
    except (ValueError, KeyboardInterrupt):
        pass
    assert count_hooks(model, optimizer) == 1
    handle.remove()


def test_sampled_steps() -> None:
    assert sampled_steps(10) == frozenset(range(10))
    chosen = sampled_steps(1000)
    assert {0, 1, 2, 999} <= chosen and len(chosen) <= 24


def test_layers_are_found_once() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model.append(model[0])
    assert list(parametrised_layers(model)) == ["0"]
