"""Examining moves nothing: what the user holds, and the process, are bit for bit what they were."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special  # noqa: F401 - filters its own warnings when first imported, which is no trace of ours
import sympy  # noqa: F401 - likewise
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

import unstuck
from tests.fingerprint import changes, fingerprint, process
from tests.setup.accepted import ACCEPTED, columns, network, usual
from unstuck import Setup
from unstuck.errors import UnstuckError

pytestmark = [
    pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*torch.nn.utils.spectral_norm.*:FutureWarning"),
]


def untouched(arguments: dict[str, Any], examine: Callable[[], Any]) -> Any:
    """Run something and check that it left no trace; gives back what it gave, or the error that it raised."""
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    random.random(), np.random.randn(), torch.randn(1)
    with warnings.catch_warnings():
        held, around = fingerprint(arguments), process()
        try:
            result: Any = examine()
        except (UnstuckError, KeyboardInterrupt) as error:
            result = error
        assert changes(around, process()) == []
        assert changes(held, fingerprint(arguments)) == []
    return result


@pytest.mark.parametrize("name", ACCEPTED)
def test_fit_leaves_no_trace(name: str) -> None:
    torch.manual_seed(0)
    arguments = ACCEPTED[name]()
    arguments.setdefault("validation", arguments["train"])
    run = untouched(arguments, lambda: unstuck.fit(Setup.of(**arguments), watched=True))
    assert isinstance(run, unstuck.Run)


DIAGNOSED = (
    "hooks_on_modules_and_gradients",
    "step_with_a_scaler_and_globals",
    "random_augmentation",
    "tied_weights_and_shared_modules",
    "dictionary_batches_and_outputs",
    "schedule_plateau",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ACCEPTED if name not in DIAGNOSED])
def test_diagnose_leaves_no_trace_on_any(name: str) -> None:
    diagnosed_without_a_trace(name, budget=8.0)


@pytest.mark.parametrize("name", DIAGNOSED)
def test_diagnose_leaves_no_trace(name: str) -> None:
    diagnosed_without_a_trace(name, budget=3.0)


def diagnosed_without_a_trace(name: str, budget: float) -> None:
    torch.manual_seed(0)
    arguments = ACCEPTED[name]()
    report = untouched(arguments, lambda: unstuck.diagnose(Setup.of(**arguments), budget=budget))
    assert isinstance(report, unstuck.Report)
    assert report.complete, report.error


def test_the_loaders_next_epochs_are_those_that_they_would_have_been() -> None:
    def loader() -> DataLoader[Any]:
        generator = torch.Generator().manual_seed(4)
        return DataLoader(TensorDataset(*columns()), 8, shuffle=True, generator=generator)

    examined, left_alone = loader(), loader()
    list(examined), list(left_alone)
    unstuck.fit(Setup.of(**usual(train=examined)))
    for _ in range(2):
        for one, other in zip(examined, left_alone, strict=True):
            assert torch.equal(one[0], other[0])


def test_training_goes_on_as_if_it_had_not_been_examined() -> None:
    def losses(examined: bool) -> list[float]:
        torch.manual_seed(0)
        model = network()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        loader = DataLoader(TensorDataset(*columns()), 8, shuffle=True)
        found = []
        for _ in range(3):
            for inputs, targets in loader:
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(model(inputs), targets)
                loss.backward()
                optimizer.step()
                found.append(loss.item())
            if examined:
                arguments = usual(model=model, optimizer=optimizer, train=loader)
                unstuck.fit(Setup.of(**arguments), watched=True)
        return found

    assert losses(True) == losses(False)


def test_examined_from_within_no_grad_and_inference_mode() -> None:
    plain = unstuck.fit(Setup.of(**_seeded())).losses
    with torch.no_grad():
        assert unstuck.fit(Setup.of(**_seeded())).losses == plain
    with torch.inference_mode():
        assert unstuck.fit(Setup.of(**_seeded(built_outside=True))).losses == plain


def _seeded(built_outside: bool = False) -> dict[str, Any]:
    with torch.inference_mode(False):
        torch.manual_seed(0)
        return usual()


class Fuse(Exception):
    pass


class Fused(nn.Module):
    """Goes off at its n-th forward pass, whichever copy runs it, and turns every switch before."""

    calls, fuse = 0, 0
    kind: type[BaseException] = Fuse

    def __init__(self) -> None:
        super().__init__()
        self.body = network()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs: torch.Tensor = self.body(inputs)
        Fused.calls += 1
        if Fused.calls == Fused.fuse:
            torch.set_default_dtype(torch.float64)
            torch.set_num_threads(2)
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.set_float32_matmul_precision("high")
            torch.backends.cudnn.benchmark = True
            torch.autograd.set_detect_anomaly(True)
            torch.set_grad_enabled(not torch.is_grad_enabled())
            warnings.simplefilter("ignore")
            self.body.eval()
            random.random(), np.random.rand(), torch.rand(1)
            raise Fused.kind("went off")
        return outputs


@pytest.fixture
def fuse(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, type[BaseException]], None]:
    def light(calls: int, kind: type[BaseException]) -> None:
        monkeypatch.setattr(Fused, "calls", 0)
        monkeypatch.setattr(Fused, "fuse", calls)
        monkeypatch.setattr(Fused, "kind", kind)

    return light


@pytest.mark.parametrize("kind", [Fuse, KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("calls", [1, 2, 4, 6, 8, 11])
def test_fit_leaves_no_trace_when_it_is_broken_off(fuse: Any, calls: int, kind: type[BaseException]) -> None:
    arguments = usual(model=Fused(), validation=columns())
    fuse(calls, kind)
    error = untouched(arguments, lambda: unstuck.fit(Setup.of(**arguments), watched=True))
    assert isinstance(error, KeyboardInterrupt if kind is KeyboardInterrupt else UnstuckError)


@pytest.mark.parametrize("calls", [1, 2, 3, 7, 12, 19, 30, 60, 150])
def test_diagnose_gives_the_report_so_far_at_ctrl_c(fuse: Any, calls: int) -> None:
    arguments = usual(model=Fused(), optimizer=lambda p: torch.optim.SGD(p, lr=10.0), test=columns())
    fuse(calls, KeyboardInterrupt)
    report = untouched(arguments, lambda: unstuck.diagnose(Setup.of(**arguments), budget=30.0))
    assert isinstance(report, unstuck.Report)
    assert not report.complete
    assert str(report)


@pytest.mark.parametrize("calls", [1, 3, 7, 30, 150])
def test_diagnose_reports_an_error_of_the_users(fuse: Any, calls: int) -> None:
    arguments = usual(model=Fused(), optimizer=lambda p: torch.optim.SGD(p, lr=10.0), test=columns())
    fuse(calls, Fuse)
    report = untouched(arguments, lambda: unstuck.diagnose(Setup.of(**arguments), budget=4.0))
    assert isinstance(report, unstuck.Report)
    assert str(report)


class Leaky(Dataset[Any]):
    """Interrupts at its n-th sample; changes itself while it is read."""

    calls, fuse = 0, 0

    def __init__(self) -> None:
        self.seen: list[int] = []

    def __len__(self) -> int:
        return 36

    def __getitem__(self, index: int) -> Any:
        self.seen.append(index)
        Leaky.calls += 1
        if Leaky.calls == Leaky.fuse:
            raise KeyboardInterrupt
        inputs, targets = columns()
        return inputs[index] + 0.1 * torch.randn(4), targets[index]


@pytest.mark.parametrize("calls", [1, 17, 40, 100, 300])
def test_ctrl_c_while_data_are_read(monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    monkeypatch.setattr(Leaky, "calls", 0)
    monkeypatch.setattr(Leaky, "fuse", calls)
    arguments = usual(train=DataLoader(Leaky(), 8, shuffle=True, generator=torch.Generator().manual_seed(0)))

    def examine() -> Any:
        return unstuck.diagnose(Setup.of(**arguments), budget=3.0)

    result = untouched(arguments, examine)
    assert isinstance(result, (KeyboardInterrupt, unstuck.Report))  # the first where `Setup.of` was reading
    assert not (isinstance(result, unstuck.Report) and result.complete)
