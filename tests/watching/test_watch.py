"""`watch`: what it sees, against slow twins; what it leaves behind: nothing."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from unstuck.errors import SetupError
from unstuck.recording import Record, open_record, records_in
from unstuck.watching import FindingWarning, Recording, watch
from unstuck.watching.cadence import Cadence

SAMPLES = 24


def data() -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(0)
    inputs = torch.randn(SAMPLES, 6, generator=draws)
    return inputs, (inputs[:, :3]).argmax(1)


def network(*more: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), *more, nn.Linear(8, 3))


def whole(tensors: Any) -> float:
    return float(sum(float((tensor.double() ** 2).sum()) for tensor in tensors) ** 0.5)


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: int = 6,
    criterion: Callable[..., Tensor] | None = None,
    each: Callable[[Tensor], None] = lambda loss: None,
) -> list[float]:
    criterion = criterion or nn.CrossEntropyLoss()
    inputs, targets = data()
    losses = []
    for step in range(steps):
        rows = slice(step * 8 % SAMPLES, step * 8 % SAMPLES + 8)
        optimizer.zero_grad()
        loss = criterion(model(inputs[rows]), targets[rows])
        each(loss)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Callable[..., Record]]:
    """Run a loop under `watch`, looking at every step; the record, open."""
    opened: list[Record] = []

    def run(model: nn.Module, loop: Callable[[Recording], Any], optimizer: Any = None, **options: Any) -> Record:
        optimizer = optimizer or torch.optim.SGD(model.parameters(), 0.1)
        with watch(model, optimizer, **{"folder": tmp_path, "share": 0, "findings": False, **options}) as recording:
            loop(recording)
        assert recording.path is not None
        opened.append(open_record(recording.path))
        return opened[-1]

    yield run
    for record in opened:
        record.close()


def test_norms_are_those_of_a_slow_twin(seen: Callable[..., Record]) -> None:
    model = network()
    twin = copy.deepcopy(model)
    losses: list[float] = []
    record = seen(model, lambda recording: losses.extend(train(model, recording.optimizer)))
    own = torch.optim.SGD(twin.parameters(), 0.1)
    inputs, targets = data()
    for step in range(6):
        rows = slice(step * 8 % SAMPLES, step * 8 % SAMPLES + 8)
        own.zero_grad()
        hidden = twin[0](inputs[rows])
        outputs = twin[2](torch.relu(hidden))
        functional.cross_entropy(outputs, targets[rows]).backward()
        hidden, outputs = hidden.detach(), outputs.detach()
        before = {name: [p.detach().clone() for p in twin.get_submodule(name).parameters()] for name in "02"}
        grads = {name: whole(p.grad for p in twin.get_submodule(name).parameters()) for name in "02"}
        own.step()
        for name, output in (("0", hidden), ("2", outputs)):

            def value(key: str, layer: str = name, step: int = step) -> float:
                return float(record.series(key, layer).values[step])

            moved = [
                p.detach() - old for p, old in zip(twin.get_submodule(name).parameters(), before[name], strict=True)
            ]
            assert value("weight_norm") == pytest.approx(whole(before[name]), rel=1e-5)
            assert value("gradient_norm") == pytest.approx(grads[name], rel=1e-5)
            assert value("update_norm") == pytest.approx(whole(moved), rel=1e-4)
            assert value("output_rms") == pytest.approx(float(output.square().mean().sqrt()), rel=1e-5)
            assert value("output_mean") == pytest.approx(float(output.mean()), rel=1e-4, abs=1e-6)
            assert value("output_max") == pytest.approx(float(output.max()), rel=1e-6)
            assert value("stale_share") == 0.0
        total = record.series("gradient_norm").values[step]
        assert total == pytest.approx((grads["0"] ** 2 + grads["2"] ** 2) ** 0.5, rel=1e-5)
    assert record.series("loss").values.tolist() == losses
    assert record.series("rate").values.tolist() == [0.1] * 6
    assert [(layer.name, layer.kind, layer.parameters, layer.depth) for layer in record.layers()] == [
        ("0", "Linear", 56, 0),
        ("2", "Linear", 27, 1),
    ]


def test_updates_of_large_layers_are_told_from_some_of_their_weights(seen: Callable[..., Record]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4000), nn.Tanh(), nn.Linear(4000, 3))
    before = copy.deepcopy(model)
    record = seen(model, lambda recording: train(model, recording.optimizer, steps=1))
    for name in "02":
        pairs = zip(model.get_submodule(name).parameters(), before.get_submodule(name).parameters(), strict=True)
        exact = whole(new.detach() - old.detach() for new, old in pairs)
        assert record.series("update_norm", name).values[0] == pytest.approx(exact, rel=0.1)


def test_large_outputs_are_told_from_some_of_their_elements(seen: Callable[..., Record]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Unflatten(1, (6, 1, 1)), nn.Upsample(24), nn.Conv2d(6, 40, 3, padding=1), nn.Flatten(2))
    head = nn.Sequential(model, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(40, 3))
    output = model[2](model[1](model[0](data()[0][:8]))).detach()
    assert output.numel() > 2 * 65_536
    record = seen(head, lambda recording: train(head, recording.optimizer, steps=1))
    assert record.series("output_rms", "0.2").values[0] == pytest.approx(output.square().mean().sqrt().item(), rel=0.03)
    assert record.series("output_mean", "0.2").values[0] == pytest.approx(output.mean().item(), abs=0.02)
    assert 0.5 * output.max().item() < record.series("output_max", "0.2").values[0] <= output.max().item()


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_the_training_is_bit_for_bit_the_same(share: float, tmp_path: Path) -> None:
    results = []
    for watched in (False, True):
        model = network(nn.BatchNorm1d(8), nn.Dropout(0.3))
        optimizer = torch.optim.AdamW(model.parameters(), 0.01)
        torch.manual_seed(3)
        if watched:
            with watch(model, optimizer, folder=tmp_path, share=share):
                losses = train(model, optimizer, steps=40)
        else:
            losses = train(model, optimizer, steps=40)
        state = [*model.state_dict().values(), torch.get_rng_state()]
        slots = [value for each in optimizer.state_dict()["state"].values() for value in each.values()]
        results.append((losses, state, slots))
    (losses, state, slots), (again, other, others) = results
    assert losses == again
    assert all(torch.equal(a, b) for a, b in zip([*state, *slots], [*other, *others], strict=True))


def count_hooks(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    dicts: list[Any] = [module._forward_hooks for module in model.modules()]
    dicts += [parameter._backward_hooks or {} for parameter in model.parameters()]
    dicts += [optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks]
    dicts += [nn.modules.module._global_forward_hooks]
    return sum(len(each) for each in dicts)


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_hooks_are_gone_afterwards(error: type[BaseException] | None, tmp_path: Path) -> None:
    model, criterion = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)

    def loop() -> None:
        with watch(model, optimizer, folder=tmp_path):
            assert count_hooks(model, optimizer) > 5
            train(model, optimizer, 2, criterion)
            if error is not None:
                raise error("so it is")
            train(model, optimizer, 2, criterion)

    if error is None:
        loop()
    else:
        with pytest.raises(error):
            loop()
    assert count_hooks(model, optimizer) == 0 and not criterion._forward_hooks
    (info,), _ = records_in(tmp_path)
    assert (info.status, info.last_step) == (("finished", 3) if error is None else ("crashed", 1))
    assert info.error == ("" if error is None else f"{error.__name__}: so it is")


def test_between_samples_no_layer_is_hooked(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with watch(model, optimizer, folder=tmp_path, share=1e-6) as recording:
        train(model, optimizer, 20)
        assert recording._cadence.samples == 3  # at once; the next has not been earned
        assert count_hooks(model, optimizer) == 1  # the optimizer's; the loss module has one of its own
        assert len(recording._losses._handles) == 1  # type: ignore[union-attr]


def test_a_step_is_looked_at_when_it_is_due_and_the_clock_is_left_alone_between(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    readings, norms = [0], []
    with watch(model, optimizer, folder=tmp_path, share=2.0, findings=False) as recording:
        clock = recording._clock

        def counted() -> float:
            readings[0] += 1
            return clock()

        recording._clock = recording._sampler._clock = counted
        for _ in range(200):
            norms.append(whole(each.detach() for each in model[0].parameters()))
            train(model, optimizer, 1, functional.cross_entropy, lambda loss: recording.log(loss=loss))
        recording._cadence.share = 1e-9
        train(model, optimizer, 200, functional.cross_entropy)
        before = readings[0]
        train(model, optimizer, 256, functional.cross_entropy)
        assert readings[0] - before <= 40, "a few every 64 steps"
    assert recording.path is not None
    with open_record(recording.path) as record:
        seen = record.series("weight_norm", "0")
        assert 3 < len(seen) == recording._cadence.samples
        steps = seen.steps[seen.steps < 200]
        assert seen.values[: len(steps)] == pytest.approx([norms[step] for step in steps], rel=1e-5)
        assert record.series("loss").steps.tolist() == list(range(200))
        assert record.series("rate").steps.tolist() == list(range(656))


class GivesLoss(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        outputs = self.inner(inputs)
        return {"loss": functional.cross_entropy(outputs, targets), "logits": outputs}


def test_the_loss_that_a_model_gives_is_seen(seen: Callable[..., Record]) -> None:
    model = GivesLoss()
    inputs, targets = data()
    losses = []

    def loop(recording: Recording) -> None:
        for _ in range(4):
            recording.optimizer.zero_grad()
            loss = model(inputs, targets)["loss"]
            loss.backward()
            recording.optimizer.step()
            losses.append(loss.item())

    assert seen(model, loop).series("loss").values.tolist() == losses


def test_a_functional_loss_is_handed_over_and_an_unknown_one_is_none(seen: Callable[..., Record]) -> None:
    model, other = network(), network()
    told = seen(model, lambda r: train(model, r.optimizer, 4, functional.cross_entropy, lambda loss: r.log(loss=loss)))
    assert len(told.series("loss")) == 4 and told.series("loss").bad.sum() == 0
    unknown = seen(other, lambda r: train(other, r.optimizer, 4, functional.cross_entropy))
    assert len(unknown.series("loss")) == 0 and len(unknown.series("rate")) == 4


def test_the_loss_of_another_model_is_none_of_this_one(seen: Callable[..., Record]) -> None:
    model, other = network(), network(nn.Tanh())
    losses: list[float] = []

    def loop(recording: Recording) -> None:
        for _ in range(20):  # with a new loss module each time
            losses.extend(train(model, recording.optimizer, 1))
            train(other, torch.optim.SGD(other.parameters(), 0.1), 1)

    assert seen(model, loop).series("loss").values.tolist() == losses


def test_a_loss_module_that_is_replaced_is_found_again(seen: Callable[..., Record]) -> None:
    model = network()

    def loop(recording: Recording) -> list[float]:
        return [loss for _ in range(3) for loss in train(model, recording.optimizer, 12)]  # each time a new one

    steps = seen(model, loop).series("loss").steps.tolist()
    assert set(range(36)) - set(steps) == {12, 24}, "but for the steps at which it came"


def test_accumulated_gradients_make_one_step(seen: Callable[..., Record]) -> None:
    model, criterion = network(), nn.CrossEntropyLoss()
    inputs, targets = data()

    def loop(recording: Recording) -> None:
        for _ in range(4):
            recording.optimizer.zero_grad(set_to_none=False)
            for rows in torch.arange(SAMPLES).split(8):
                (criterion(model(inputs[rows]), targets[rows]) / 3).backward()
            recording.optimizer.step()

    record = seen(model, loop)
    twin = network()
    assert record.series("loss").values[0] == pytest.approx(
        functional.cross_entropy(twin(inputs), targets).item(), rel=1e-5
    )
    assert record.series("loss").steps.tolist() == [0, 1, 2, 3]
    assert record.series("stale_share", "0").values.tolist() == [0.0] * 4
    rms = twin[0](inputs).square().mean().sqrt().item()
    assert record.series("output_rms", "0").values[0] == pytest.approx(rms, rel=1e-5)


def test_gradients_that_are_not_cleared_are_seen(seen: Callable[..., Record]) -> None:
    model, criterion = network(), nn.CrossEntropyLoss()
    inputs, targets = data()

    def loop(recording: Recording) -> None:
        for _ in range(4):
            criterion(model(inputs), targets).backward()
            recording.optimizer.step()

    shares = seen(model, loop).series("stale_share", "0").values
    assert shares[0] == 0.0 and shares[1:].min() > 0.3


def test_evaluation_is_told_from_training(seen: Callable[..., Record]) -> None:
    model, criterion = network(), nn.CrossEntropyLoss()
    inputs, targets = data()
    expected = []

    def loop(recording: Recording) -> None:
        for _ in range(2):
            for rows in recording.over(torch.arange(SAMPLES).split(8)):
                recording.optimizer.zero_grad()
                criterion(model(inputs[rows]), targets[rows]).backward()
                recording.optimizer.step()
            with torch.no_grad():
                for rows in torch.arange(SAMPLES).split(16):  # the last one is smaller
                    criterion(model(inputs[rows]), targets[rows])
                expected.append(functional.cross_entropy(model(inputs), targets).item())
        recording.log(accuracy=0.75)

    record = seen(model, loop)
    assert len(record.series("loss")) == 6
    assert [epoch.step for epoch in record.epochs()] == [3, 6]
    assert [epoch.measured["validation_loss"] for epoch in record.epochs()] == pytest.approx(expected, rel=1e-5)
    assert record.series("accuracy").values.tolist() == [0.75]


def test_it_is_iterated_over(tmp_path: Path) -> None:
    model, criterion = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    inputs, targets = data()
    for rows in watch(model, optimizer, torch.arange(SAMPLES).split(4), folder=tmp_path):
        optimizer.zero_grad()
        criterion(model(inputs[rows]), targets[rows]).backward()
        optimizer.step()
    (info,), _ = records_in(tmp_path)
    assert (info.status, info.last_step) == ("finished", 5) and count_hooks(model, optimizer) == 0
    with pytest.raises(SetupError, match="must be given batches"):
        next(iter(watch(model, optimizer, folder=None)))


class Reused(nn.Module):
    """One layer twice, one shared by two names, one frozen, one never run, one reparametrised."""

    def __init__(self) -> None:
        super().__init__()
        self.twice, self.out = nn.Linear(6, 6), nn.utils.parametrizations.weight_norm(nn.Linear(6, 3))
        self.again = self.twice
        self.frozen = nn.Linear(6, 6).requires_grad_(False)
        self.idle = nn.Linear(2, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.out(self.frozen(self.again(torch.relu(self.twice(inputs)))))


def test_shared_frozen_unused_and_reparametrised_layers(seen: Callable[..., Record]) -> None:
    torch.manual_seed(0)
    model = Reused()
    twin = copy.deepcopy(model)
    record = seen(model, lambda recording: train(model, recording.optimizer))
    names = [layer.name for layer in record.layers()]
    assert names == ["twice", "out", "frozen", "idle"]
    assert (
        set(record.series("gradient_norm", "frozen").values)
        == {0.0}
        == set(record.series("update_norm", "frozen").values)
    )
    assert record.series("gradient_norm", "twice").values.min() > 0 < record.series("gradient_norm", "out").values.min()
    assert len(record.series("output_rms", "idle")) == 0 and len(record.series("gradient_norm", "idle")) == 6
    first = twin.twice(data()[0][:8])
    both = torch.cat([first, twin.twice(torch.relu(first))])
    assert record.series("output_rms", "twice").values[0] == pytest.approx(both.square().mean().sqrt().item(), rel=1e-5)


class Bag(nn.Module):
    def __init__(self, sparse: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.out = nn.EmbeddingBag(9, 4, sparse=sparse), nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.out(self.embed((inputs.abs() * 3).long().clamp(max=8)))


def test_sparse_gradients_and_half_precision(seen: Callable[..., Record]) -> None:
    norms = []
    for sparse in (False, True):
        model = Bag(sparse)
        record = seen(model, lambda recording, model=model: train(model, recording.optimizer))
        norms.append(record.series("gradient_norm", "embed").values.tolist())
    assert norms[0] == pytest.approx(norms[1], rel=1e-5) and min(norms[0]) > 0
    half = network().bfloat16()
    record = seen(half, lambda r: train(_Casting(half), r.optimizer))
    assert record.series("gradient_norm", "0").values.min() > 0 < record.series("output_rms", "2").values.min()


class _Casting(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, inputs: Tensor) -> Tensor:
        return self.inner(inputs.bfloat16())


def test_closures(seen: Callable[..., Record]) -> None:
    model, criterion = network(), nn.CrossEntropyLoss()
    inputs, targets = data()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        loss.backward()
        return loss

    record = seen(model, lambda recording: [optimizer.step(closure) for _ in range(3)], optimizer)
    assert len(record.series("loss")) == 3 and record.series("gradient_norm", "0").values.min() > 0


def test_loss_scaling_does_not_show_in_the_gradients(seen: Callable[..., Record]) -> None:
    inputs, targets = data()
    norms = []
    for enabled in (False, True):
        model, criterion = network(), nn.CrossEntropyLoss()
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, enabled=enabled)

        def loop(recording: Recording, model: nn.Module = model, scaler: Any = scaler, loss: Any = criterion) -> None:
            for _ in range(3):
                recording.optimizer.zero_grad()
                scaler.scale(loss(model(inputs), targets)).backward()
                scaler.step(recording.optimizer)
                scaler.update()

        norms.append(seen(model, loop).series("gradient_norm").values.tolist())
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_a_compiled_model_is_not_hooked(seen: Callable[..., Record]) -> None:
    model = network()
    compiled = torch.compile(model, backend="eager")
    record = seen(compiled, lambda recording: train(compiled, recording.optimizer))
    assert record.series("gradient_norm", "0").values.min() > 0
    assert len(record.series("output_rms", "0")) == 0


def test_an_activation_in_place_does_not_change_what_is_seen(seen: Callable[..., Record]) -> None:
    found = []
    for inplace in (False, True):
        model = network()
        model[1] = nn.ReLU(inplace)
        record = seen(model, lambda recording, model=model: train(model, recording.optimizer))
        found.append(record.series("output_mean", "0").values.tolist())
    assert found[0] == found[1]


def test_a_layer_with_odd_outputs_does_not_stop_the_training(seen: Callable[..., Record]) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.lstm = network(), nn.LSTM(3, 3, batch_first=True)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.lstm(self.inner(inputs)[:, None])[0][:, 0]

    model = Odd()
    record = seen(model, lambda recording: train(model, recording.optimizer))
    assert len(record.series("output_rms", "lstm")) == 6


def test_layers_whose_weights_do_not_lie_in_order_are_seen_to_move(seen: Callable[..., Record]) -> None:
    model = network()
    model[0].weight = nn.Parameter(torch.randn(60, 80).t()[:8, :6] * 0.3)  # part of something larger
    model[2].weight = nn.Parameter(torch.randn(8, 3).t() * 0.3)
    before = copy.deepcopy(model)
    record = seen(model, lambda recording: train(model, recording.optimizer, steps=1))
    for name in "02":
        pairs = zip(model.get_submodule(name).parameters(), before.get_submodule(name).parameters(), strict=True)
        exact = whole(new.detach() - old.detach() for new, old in pairs)
        assert record.series("update_norm", name).values[0] == pytest.approx(exact, rel=1e-4) and exact > 0


def test_an_output_that_cannot_be_measured_does_not_stop_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Tensor.amax

    def fails(self: Tensor, *arguments: Any) -> Tensor:
        if self.shape == (8, 3):
            raise RuntimeError("not for this kind")
        return real(self, *arguments)

    monkeypatch.setattr(Tensor, "amax", fails)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.warns(RuntimeWarning, match="can no longer be looked at .*not for this kind"):
        with watch(model, optimizer, folder=tmp_path, findings=False, share=0) as recording:
            train(model, optimizer)
            assert not any(module._forward_hooks for module in model)
    assert recording.step == 6
    (info,), _ = records_in(tmp_path)
    assert info.last_step == 5


def test_a_loss_is_recorded_as_it_was_whatever_is_done_to_it(seen: Callable[..., Record]) -> None:
    model, criterion = network(), nn.CrossEntropyLoss()
    inputs, targets = data()
    losses = []

    def loop(recording: Recording) -> None:
        for _ in range(4):
            recording.optimizer.zero_grad()
            loss = criterion(model(inputs), targets)
            losses.append(loss.item())
            loss /= 3.0
            loss.backward()
            recording.optimizer.step()

    assert seen(model, loop).series("loss").values.tolist() == losses


def test_looking_that_fails_is_said_and_the_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*arguments: Any) -> Any:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr("unstuck.watching.sample.norms", fails)
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.warns(RuntimeWarning, match="can no longer be looked at .*no such kernel"):
        with watch(model, optimizer, folder=tmp_path, findings=False) as recording:
            train(model, optimizer)
    assert recording.step == 6 and count_hooks(model, optimizer) == 0
    (info,), _ = records_in(tmp_path)
    assert info.last_step == 5


def test_without_a_folder_to_write_to_the_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.warns(RuntimeWarning, match="The run goes on without a record"):
        recording = watch(model, optimizer, folder=tmp_path / "file")
    with recording:
        train(model, optimizer)
    assert recording.path is None and recording.step == 6


def test_a_run_is_resumed_from_a_checkpoint(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with watch(model, optimizer, folder=tmp_path, findings=False) as first:
        train(model, optimizer, 10)
    assert first.path is not None
    with watch(model, optimizer, resume=first.path, step=7, findings=False) as second:
        train(model, optimizer, 5)
    assert second.path == first.path
    with open_record(first.path) as record:
        assert record.series("loss").steps.tolist() == list(range(12))


def test_what_is_no_model_or_optimizer_is_refused() -> None:
    model = network()
    with pytest.raises(SetupError, match="`model` must be an nn.Module; got function"):
        watch(lambda: None, torch.optim.SGD(model.parameters(), 0.1))  # type: ignore[arg-type]
    with pytest.raises(SetupError, match="`optimizer` must be a torch.optim.Optimizer; got generator"):
        watch(model, model.parameters())  # type: ignore[arg-type]


@pytest.mark.parametrize("fixed", [0.0, 2e-5, 1e-3])
@pytest.mark.parametrize("cost", [1e-4, 1e-3, 3e-2])
@pytest.mark.parametrize("share", [0.001, 0.01, 0.1])
def test_the_cadence_keeps_to_its_share(cost: float, share: float, fixed: float) -> None:
    cadence, due, step_seconds = Cadence(share), 0, 4e-3
    samples, count, seconds, stop = [], 0, 0.0, 1
    for step in range(60_000):
        if step == due and len(samples) >= 3 and (ahead := cadence.steps_until_next()) > 1:
            due = step - 1 + ahead
        if step == due:
            cadence.see_sample(step_seconds + cost, cost)
            due = step + cadence.steps_until_next()
            samples.append(step)
            if cadence.may_judge(0.02):
                cadence.see_judgement(0.02)
            stop = step + 1 + cadence.steps_unseen()
            continue
        count, seconds = count + 1, seconds + fixed + (step_seconds if step % 1000 else 5.0)  # a validation
        if step + 1 >= min(stop, due):
            cadence.see_steps(count, seconds, count * fixed)
            count, seconds, stop = 0, 0.0, step + 1 + cadence.steps_unseen()
    assert samples[:3] == [0, 1, 2]
    # Where what is always there takes the most of it, samples keep a fifth and judging a quarter.
    allowed = max(share, fixed / step_seconds + 0.45 * share)
    assert cadence.overhead <= 1.01 * allowed or len(samples) == 3
    assert cadence.plain == pytest.approx(60_000 * step_seconds, rel=0.01), "a validation earns nothing"
    if 1.3 * cost / share / step_seconds < 1e4:
        assert cadence.overhead >= 0.5 * min(share, cost / step_seconds)


def test_a_healthy_run_in_its_warm_up_gives_no_alarm(tmp_path: Path) -> None:
    inputs = torch.randn(256, 6, generator=torch.Generator().manual_seed(1))
    targets = (inputs[:, :3]).argmax(1)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 200))
    criterion = nn.CrossEntropyLoss()
    draws = torch.Generator().manual_seed(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with watch(model, optimizer, folder=tmp_path, share=0) as recording:
            for _ in range(600):
                rows = torch.randint(256, (16,), generator=draws)
                optimizer.zero_grad()
                criterion(model(inputs[rows]), targets[rows]).backward()
                optimizer.step()
                schedule.step()
    assert recording.findings == []


def diverge(optimizer: torch.optim.Optimizer, model: nn.Module, steps: int) -> int:
    inputs, targets = data()
    criterion = nn.MSELoss()
    done = 0
    for _ in range(steps):
        optimizer.zero_grad()
        criterion(model(inputs), targets[:, None].float().expand(-1, 3)).backward()
        optimizer.step()
        done += 1
    return done


def test_a_loss_that_breaks_is_said_once(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 1e4)
    with pytest.warns(FindingWarning) as caught:
        with watch(model, optimizer, folder=tmp_path, share=0) as recording:
            assert diverge(optimizer, model, 200) == 200
    codes = [notice.code for notice in recording.findings]
    assert codes[0] == "OPT001" and len(set(codes)) == len(codes) == len(caught)
    assert "unstuck explain OPT001" in str(caught[0].message)
    assert recording.path is not None
    with open_record(recording.path) as record:
        notice = record.notices()[0]
    assert notice.severity == "severe" and notice.step < 30 and "no longer a finite number" in notice.sentence


def test_a_severe_finding_stops_the_loop_where_asked_for_and_others_are_suppressed(tmp_path: Path) -> None:
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 1e4)
    reached = 0
    with pytest.warns(FindingWarning):
        with watch(model, optimizer, folder=tmp_path, share=0, stop=True) as recording:
            diverge(optimizer, model, 200)
            reached = 1
    assert reached == 0 and recording.step < 30 and count_hooks(model, optimizer) == 0
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 1e4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with watch(model, optimizer, folder=tmp_path, share=0, ignore=("OPT001", "OPT007")) as recording:
            diverge(optimizer, model, 50)
    assert recording.findings == [] and math.isnan(model[0].weight.sum().item())
