"""What bad input gets: one sentence that says what must be what, what was got instead, and what to do."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import unstuck
from tests.setup.accepted import Bag, columns, network, padded, simple_step, usual
from unstuck import Setup
from unstuck.cli import main
from unstuck.errors import ExaminationError, SetupError, UnstuckError

Case = tuple[Callable[[], dict[str, Any]], str]
HERE = r"test_bad_input\.py:\d+"


def is_one_sentence(message: str) -> bool:
    """Whether a message has the grammar: must be what; got what; do this."""
    must, separator, rest = message.partition("; got ")
    advice = rest.rpartition(". ")[2]
    return (
        " must " in must
        and bool(separator)
        and "\n" not in message
        and bool(re.fullmatch(r"[A-Z].*\.", advice))
        and len(message) < 600
    )


class Without(nn.Module):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs


class Uncopyable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.lock = network(), threading.Lock()


class Samples(Dataset[Any]):
    def __init__(self, count: int, broken: int = -1) -> None:
        self.count, self.broken = count, broken

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        if index == self.broken:
            raise ValueError("cannot decode\nthis sample")
        inputs, targets = columns()
        return inputs[index % 36], targets[index % 36]


class Unmeasurable(Dataset[Any]):
    def __getitem__(self, index: int) -> Any:
        return columns()[0][0], 0


class Empty(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(())


class OneWay(IterableDataset[Any]):
    def __init__(self) -> None:
        self.source = (pair for pair in zip(*columns(), strict=True))

    def __iter__(self) -> Iterator[Any]:
        return self.source


def raising(*_: Any) -> Any:
    raise RuntimeError("no such file: weights.pt")


def with_nan(at: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, targets = columns()
    inputs[at, 1] = torch.nan
    return inputs, targets


def frozen() -> nn.Module:
    return network().requires_grad_(False)


def naming_the_live_model() -> dict[str, Any]:
    model = network()
    return usual(
        model=model,
        loss=lambda o, t: nn.functional.cross_entropy(o, t) + sum(p.square().sum() for p in model.parameters()),
    )


def step_on_the_live_model() -> dict[str, Any]:
    live = network()
    optimizer = torch.optim.SGD(live.parameters(), lr=0.1)
    return usual(model=live, optimizer=optimizer, train_step=lambda m, o, b: simple_step(live, optimizer, b))


def loss_trained_too() -> dict[str, Any]:
    model, loss = network(), nn.PReLU()
    return usual(model=model, loss=loss, optimizer=torch.optim.SGD([*model.parameters(), *loss.parameters()], lr=0.1))


def given_once_only() -> dict[str, Any]:
    made = network()
    holder = type("Holder", (), {"make": staticmethod(lambda: made), "__deepcopy__": lambda self, memo: self})()

    class Factory:
        def __call__(self) -> nn.Module:
            return made

        def __deepcopy__(self, memo: Any) -> Factory:
            return self

    assert holder.make() is made
    return usual(model=Factory(), optimizer=torch.optim.Adam)


X, Y = columns()
ROWS = X.tolist()

REFUSED: dict[str, Case] = {
    # the plain arguments
    "epochs zero": (lambda: usual(epochs=0), r"`epochs` must be .* got 0\."),
    "epochs negative": (lambda: usual(epochs=-3), r"`epochs` must be .* got -3\."),
    "epochs float": (lambda: usual(epochs=2.0), r"`epochs` must be a whole number .* got 2\.0\."),
    "epochs bool": (lambda: usual(epochs=True), r"`epochs` must be a whole number .* got True\."),
    "batch size zero": (lambda: usual(batch_size=0), r"`batch_size` must be .* got 0\."),
    "batch size text": (lambda: usual(batch_size="8"), r"`batch_size` must be .* got '8'\."),
    "seed float": (lambda: usual(seed=1.5), r"`seed` must be .* got 1\.5\."),
    "seed negative": (lambda: usual(seed=-1), r"`seed` must be .* got -1\."),
    "schedule unit": (lambda: usual(schedule_every="batch"), r"`schedule_every` must be .* got 'batch'\."),
    # the model
    "model none": (lambda: usual(model=0, optimizer=torch.optim.Adam), r"`model` must be .* got int\."),
    "model text": (lambda: usual(model="resnet", optimizer=torch.optim.Adam), r"`model` must be .* got str\."),
    "factory raises": (
        lambda: usual(model=raising, optimizer=torch.optim.Adam),
        rf"The model stage must .* got RuntimeError at {HERE}: no such file",
    ),
    "factory returns nonsense": (
        lambda: usual(model=lambda: "net", optimizer=torch.optim.Adam),
        r"The factory `model` must return .* got str\.",
    ),
    "no parameter": (
        lambda: usual(model=Without(), optimizer=torch.optim.Adam),
        r"`model` must have .* got none at all",
    ),
    "all frozen": (lambda: usual(model=frozen()), r"`model` must have .* got 6, none with requires_grad=True"),
    "lazy model": (
        lambda: usual(model=nn.LazyLinear(2), optimizer=torch.optim.Adam),
        r"Parameter `weight` of `model` must hold numbers; got a lazy one",
    ),
    "meta model": (lambda: usual(model=network().to("meta")), r"Parameter `0.weight` of .* got one on the meta device"),
    "uncopyable model": (lambda: usual(model=Uncopyable()), r"`model` must be copyable.*got Uncopyable"),
    "non-leaf model": (
        lambda: usual(model=type("Odd", (nn.Linear,), {"__deepcopy__": raising})(4, 2)),
        r"`model` must be copyable.*got Odd, which raised RuntimeError",
    ),
    # the optimizer
    "optimizer none": (lambda: usual(optimizer=None), r"`optimizer` must be .* got None\."),
    "optimizer a name": (lambda: usual(optimizer="adam"), r"`optimizer` must be .* got str\."),
    "optimizer over nothing": (
        lambda: usual(optimizer=lambda _: torch.optim.SGD([], lr=0.1)),
        rf"The optimizer stage must .* got ValueError at {HERE}: optimizer got an empty parameter list",
    ),
    "optimizer factory raises": (
        lambda: usual(optimizer=raising),
        rf"The optimizer stage must .* RuntimeError at {HERE}",
    ),
    "optimizer factory returns nonsense": (lambda: usual(optimizer=list), r"`optimizer` must return .* got list\."),
    "live optimizer for a factory": (
        lambda: usual(model=network, optimizer=torch.optim.SGD(network().parameters())),
        r"A model factory must come with .* got a live SGD",
    ),
    # the loss
    "loss none": (lambda: usual(loss=None), r"`loss` must be .* got None\."),
    "loss a name": (lambda: usual(loss="mse"), r"`loss` must be .* got str\."),
    "loss class": (lambda: usual(loss=nn.MSELoss), r"`loss` must be .* got the class MSELoss\. Pass `MSELoss\(\)`"),
    "loss names the model": (
        naming_the_live_model,
        r"`loss` must work on the model .* got one that names the live Seq",
    ),
    "loss with trained parameters": (
        loss_trained_too,
        r"Parameters that .* must belong to the model; got 1 of the loss PR",
    ),
    # schedules and steps
    "scheduler live": (
        lambda: usual(scheduler=lr_scheduler.StepLR(torch.optim.SGD(network().parameters()), 1)),
        r"`scheduler` must be a function .* got StepLR\.",
    ),
    "scheduler class that needs more": (
        lambda: usual(scheduler=lr_scheduler.StepLR),
        r"`scheduler` must be a function .* got one that raised TypeError",
    ),
    "scheduler returns nothing": (lambda: usual(scheduler=lambda _: None), r"`scheduler` must return .* got None\."),
    "scheduler returns the optimizer": (lambda: usual(scheduler=lambda o: o), r"`scheduler` must return .* got SGD\."),
    "forward text": (lambda: usual(forward="forward"), r"`forward` must be .* got str\."),
    "train_step text": (lambda: usual(train_step=3), r"`train_step` must be .* got int\."),
    "step on the live model": (
        step_on_the_live_model,
        r"`train_step` must work on the model .* names the live Sequential",
    ),
    # data
    "train none": (lambda: usual(train=None), r"`train` must be .* got NoneType\."),
    "train one tensor": (lambda: usual(train=X), r"`train` must be .* got one Tensor of shape \[36, 4\]"),
    "train a class": (lambda: usual(train=Samples), r"`train` must be .* got the class Samples"),
    "train a path": (lambda: usual(train="data/train"), r"`train` must be .* got str"),
    "no samples": (lambda: usual(train=(X[:0], Y[:0])), r"`train` must hold at least one sample; got no samples"),
    "empty list": (lambda: usual(train=[]), r"`train` must be .* got a list of 0"),
    "empty dataset": (lambda: usual(train=Samples(0)), r"`train` must hold at least one sample"),
    "empty stream": (lambda: usual(train=Empty()), r"`train` must hold .* got a loader that yields nothing"),
    "stream that is used up": (lambda: usual(train=OneWay()), r"An iterable data set must be copyable.* got OneWay"),
    "no whole batch": (
        lambda: usual(train=DataLoader(Samples(20), 32, drop_last=True)),
        r"at least one batch; got none of 32 samples from 20 with drop_last=True",
    ),
    "dataset without a length": (lambda: usual(train=Unmeasurable()), r"data set `train` must have a length"),
    "lengths differ": (lambda: usual(train=(X, Y[:30])), r"must have the same number of samples; got 36 and 30"),
    "test lengths differ": (lambda: usual(test=(X, Y[:30])), r"All parts of `test` must .* got 36 and 30"),
    "dataset raises": (
        lambda: usual(train=Samples(36, broken=20)),
        rf"The data stage must run through every batch of `train` .* ValueError at {HERE}: cannot decode this sample",
    ),
    "single tensors": (
        lambda: usual(train=DataLoader(X, 8)),  # type: ignore[arg-type]
        r"A batch must be \(inputs, targets\); got shape \[36, 4\]",
    ),
    "dictionary without targets": (
        lambda: usual(train={"input": X, "mask": X}),
        r"A dictionary batch must hold its targets .* got keys input, mask",
    ),
    "text labels": (
        lambda: usual(train=(X, ["cat", "dog"] * 18)),
        r"must be .* numeric .* got list of dtype <U3\. Number",
    ),
    "object array": (
        lambda: usual(train=(X, np.array([None] * 36))),
        r"must be .* numeric .* got ndarray of dtype object",
    ),
    "ragged lists": (lambda: usual(train=([[1, 2], [3]], [0, 1])), r"must be .* numeric array; got list \("),
    "dates": (
        lambda: usual(train=(np.array(["2024-01-01"] * 36, "datetime64[D]"), Y)),
        r"must be .* got ndarray of dtype d",
    ),
    "sparse": (lambda: usual(train=(X.to_sparse(), Y)), r"must be a dense tensor; got one of layout sparse_coo"),
    "number for targets": (lambda: usual(train=(X, 1.0)), r"must have one row a sample; got a single number"),
    "collate raises": (
        lambda: usual(model=Bag(), train=DataLoader([(torch.ones(2), 0), (torch.ones(3), 0)], 2)),  # type: ignore[arg-type]
        r"The data stage must .* got RuntimeError: stack expects each tensor to be equal size.* Pad the samples",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_setup_refuses(name: str) -> None:
    make, pattern = REFUSED[name]
    arguments = make()
    with pytest.raises(UnstuckError, match=pattern) as caught:
        Setup.of(**arguments)
    assert is_one_sentence(str(caught.value)), str(caught.value)
    assert isinstance(caught.value, (SetupError, ExaminationError))


class Raising(nn.Module):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.body, self.error = network(), error

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        raise self.error


class LateRaising(nn.Module):
    """Runs well on the training data, and raises on values that only the test data have."""

    def __init__(self) -> None:
        super().__init__()
        self.body = network()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        if inputs.max() > 50:
            raise ValueError("a value out of range")
        return self.body(inputs)


class Detaching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = network()

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.body(inputs).detach()


def out_of_memory(*_: Any) -> Any:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def cross_entropy(**settings: Any) -> nn.Module:
    return nn.CrossEntropyLoss(**settings)


REPORTED: dict[str, Case] = {
    "model raises": (
        lambda: usual(model=Raising(KeyError("hidden"))),
        rf"forward stage .* KeyError at {HERE}: 'hidden'",
    ),
    "inputs of another width": (
        lambda: usual(train=(X[:, :3], Y)),
        r"forward stage .* mat1 and mat2 .* Make the layer",
    ),
    "double inputs": (lambda: usual(train=(X.double(), Y)), r"forward stage .* one dtype"),
    "integer inputs": (lambda: usual(train=(X.long(), Y)), r"forward stage .* one dtype"),
    "complex inputs": (lambda: usual(train=(X.to(torch.complex64), Y)), r"forward stage .* RuntimeError"),
    "one sample": (lambda: usual(train=(X[:1], Y[:1])), r"forward stage .* Use a larger batch_size"),
    "index out of range": (
        lambda: usual(model=Bag(), train=(X.long() + 90, Y)),
        r"forward stage .* embedding as large",
    ),
    "out of memory": (
        lambda: usual(forward=out_of_memory),
        rf"forward stage .* OutOfMemoryError at {HERE}: .* Use a smaller batch_size",
    ),
    "memory error": (lambda: usual(model=Raising(MemoryError())), r"forward stage .* got MemoryError .* Use a smaller"),
    "out of CPU memory": (
        lambda: usual(model=Raising(RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"))),
        r"forward stage .* Use a smaller batch_size",
    ),
    "forward of the wrong kind": (lambda: usual(forward=lambda model: model), r"forward stage .* TypeError"),
    "loss raises": (lambda: usual(loss=raising), rf"loss stage .* RuntimeError at {HERE}: no such file"),
    "loss a vector": (
        lambda: usual(loss=cross_entropy(reduction="none")),
        r"`loss` must return a scalar; got shape \[8\]",
    ),
    "loss a float": (lambda: usual(loss=lambda o, t: 0.5), r"`loss` must return a scalar tensor; got float"),
    "loss none": (lambda: usual(loss=lambda o, t: None), r"`loss` must return a scalar tensor; got NoneType"),
    "loss whole": (lambda: usual(loss=lambda o, t: (o.argmax(1) != t).sum()), r"`loss` must return a real number"),
    "loss needs other shapes": (lambda: usual(loss=nn.BCEWithLogitsLoss()), r"loss stage .* ValueError: Target size"),
    "float class targets": (lambda: usual(train=(X, Y.float())), r"loss stage .* as whole numbers"),
    "class out of range": (lambda: usual(train=(X, Y + 1)), r"loss stage .* Number the classes from 0"),
    "loss detached": (lambda: usual(model=Detaching()), r"backward stage .* Check for \.detach\(\)"),
    "loss takes three": (lambda: usual(loss=lambda a, b, c: a), r"loss stage .* TypeError"),
    "step raises": (lambda: usual(train_step=raising), rf"step stage .* RuntimeError at {HERE}: no such file"),
    "step returns none": (lambda: usual(train_step=lambda m, o, b: None), r"`train_step` must return .* got None"),
    "step returns a vector": (
        lambda: usual(train_step=lambda m, o, b: torch.ones(3)),
        r"`train_step` must .* shape \[3\]",
    ),
    "validation of another width": (
        lambda: usual(validation=(X[:, :2], Y)),
        r"forward stage must run on a batch of `validation` .* mat1",
    ),
    "test raises": (
        lambda: usual(model=LateRaising(), test=(X + 90, Y)),
        rf"forward stage must run on a batch of `test` .* ValueError at {HERE}: a value out of range",
    ),
    "test without that class": (lambda: usual(test=(X, Y + 7)), r"loss stage must run on a batch of `test`"),
    "schedule runs out": (
        lambda: usual(scheduler=lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=2)),
        r"schedule stage must run without an error; got ValueError: Tried to step",
    ),
    "plateau stepped by hand": (
        lambda: usual(scheduler=lambda o: Fragile()),
        rf"schedule stage .* TypeError at {HERE}",
    ),
    "collate raises later": (
        lambda: usual(model=Bag(), train=DataLoader(Broken(), 4, collate_fn=padded)),
        rf"data stage must run through every batch of `train` .* ValueError at {HERE}: cannot decode",
    ),
}


class Fragile:
    def step(self) -> None:
        raise TypeError("step() missing 1 required positional argument: 'metrics'")


class Broken(Dataset[Any]):
    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> Any:
        if index == 33:
            raise ValueError("cannot decode")
        return torch.full((1 + index % 3,), index % 7), index % 2


@pytest.mark.parametrize("name", REPORTED)
def test_diagnose_reports(name: str, tmp_path: Path) -> None:
    make, pattern = REPORTED[name]
    setup = Setup.of(**make())
    report = unstuck.diagnose(setup, budget=4.0)
    assert not report.complete
    assert re.search(pattern, report.error), report.error
    assert is_one_sentence(report.error), report.error
    assert report.error in " ".join(str(report).split())
    report.save(tmp_path / "report.json")


@pytest.mark.parametrize("name", ["model raises", "loss a vector", "step raises", "schedule runs out"])
def test_fit_raises(name: str) -> None:
    make, pattern = REPORTED[name]
    with pytest.raises(UnstuckError, match=pattern) as caught:
        unstuck.fit(Setup.of(**make()))
    assert is_one_sentence(str(caught.value))


@pytest.mark.parametrize(
    "splits",
    [
        {"train": with_nan()},
        {"train": DataLoader(TensorDataset(*with_nan()), 8)},
        {"train": (X, torch.full((36, 1), torch.inf)), "loss": nn.MSELoss()},
        {"test": with_nan()},
    ],
    ids=["inputs", "loader", "targets", "test data"],
)
def test_data_that_are_no_numbers_are_a_finding_not_an_error(splits: dict[str, Any]) -> None:
    found = unstuck.diagnose(Setup.of(**usual(**splits)), budget=20.0)
    assert not found.error
    assert found.findings[0].rule.code == "DAT003", str(found)


def test_there_are_enough_cases() -> None:
    assert len(REFUSED) + len(REPORTED) >= 45


def test_the_same_network_again_is_refused_once_it_would_be_trained() -> None:
    setup = Setup.of(**given_once_only())
    with pytest.raises(SetupError, match="must build a new network at each call; got the same Sequential again"):
        unstuck.fit(setup)


@pytest.mark.parametrize(
    ("call", "pattern"),
    [
        (lambda setup: unstuck.fit("setup"), "`setup` must be an unstuck.Setup; got str"),
        (lambda setup: unstuck.fit(setup, steps=0), "`steps` must be a whole number of at least 1; got 0"),
        (lambda setup: unstuck.fit(setup, steps=1.5), "`steps` must be a whole number of at least 1; got 1.5"),
    ],
)
def test_fit_refuses(call: Callable[[Setup], Any], pattern: str) -> None:
    with pytest.raises(UnstuckError, match=pattern):
        call(Setup.of(**usual()))


SPLIT = ("test raises", "test without that class", "schedule runs out")


@pytest.mark.filterwarnings("ignore:Using a target size:UserWarning")
@pytest.mark.parametrize("name", SPLIT)
def test_what_was_found_before_is_kept(name: str) -> None:
    make, _ = REPORTED[name]
    broadcast = nn.Sequential(nn.Linear(4, 1))
    inputs = columns()[0]
    arguments = make()
    arguments.update(loss=nn.MSELoss(), train=(inputs, inputs.sum(1)))
    if name == "test raises":
        arguments.update(model=LateRaisingScalar(), test=(inputs + 90, inputs.sum(1)))
    elif name == "test without that class":
        arguments.update(model=broadcast, test=(inputs[:, :2], inputs.sum(1)))
    else:
        arguments.update(model=broadcast)
    arguments["optimizer"] = torch.optim.SGD(arguments["model"].parameters(), lr=0.01)
    report = unstuck.diagnose(Setup.of(**arguments), budget=4.0)
    assert not report.complete
    assert report.error
    assert "SET001" in [finding.rule.code for finding in report.findings]


class LateRaisingScalar(LateRaising):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 1)


@pytest.mark.parametrize("budget", [0, -1, "fast", "0x", "x", None, True, float("nan")])
def test_diagnose_refuses_a_budget(budget: Any) -> None:
    with pytest.raises(ValueError, match="`budget` must be .*; got .*\\. Use 60\\."):
        unstuck.diagnose(Setup.of(**usual()), budget=budget)


def test_diagnose_refuses_what_is_no_setup() -> None:
    with pytest.raises(SetupError, match="`setup` must be an unstuck.Setup; got dict") as caught:
        unstuck.diagnose(usual())  # type: ignore[arg-type]
    assert is_one_sentence(str(caught.value))


PROGRAM = """
import torch
from torch import nn
from unstuck import Setup

class Net(nn.Linear):
    def forward(self, inputs):
        return super().forward(inputs){mistake}

def setup():
    inputs = torch.randn(40, 4)
    return Setup.of(model=lambda: Net(4, 2), loss=nn.CrossEntropyLoss(reduction={reduction!r}),
                    optimizer=torch.optim.Adam, train=(inputs, inputs[:, 0].gt(0).long()), epochs={epochs})
"""

PROGRAMS = {
    "model raises": (
        dict(mistake="[:, 5]", reduction="mean", epochs=2),
        r"forward stage .* program\.py:\d+: index 5 is out",
    ),
    "loss a vector": (dict(mistake="", reduction="none", epochs=2), r"`loss` must return a scalar; got shape \[32\]"),
    "no epochs": (
        dict(mistake="", reduction="mean", epochs=0),
        r"`epochs` must be a whole number of at least 1; got 0",
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_command_line_ends_with_2(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts, pattern = PROGRAMS[name]
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(**parts))
    assert main(["diagnose", str(program), "--budget", "4"]) == 2
    shown = capsys.readouterr()
    assert re.search(pattern, " ".join((shown.out + shown.err).split()))
    assert "Traceback" not in shown.out + shown.err
