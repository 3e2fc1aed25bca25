"""The operation with which NaN began, on programs that are known to make one."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from unstuck.loop import fit
from unstuck.measure.numerical_failure import NumericalFailure
from unstuck.measure.operations import Operations
from unstuck.measure.preparation import Prepared, Trained
from unstuck.patients import adam, classification, perceptron, sgd
from unstuck.setup import Setup


def failure_of(setup: Setup) -> NumericalFailure:
    prepared = Prepared.measure(setup)
    return NumericalFailure.measure(prepared, Trained(fit(prepared.setup)))


class Between(nn.Module):
    """A two-layer network with a function between its layers."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first = nn.Linear(4, 24)
        self.between = Applied(function)
        self.last = nn.Linear(24, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        scores: Tensor = self.last(self.between(self.first(inputs)))
        return scores


class Applied(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, hidden: Tensor) -> Tensor:
        return self.function(hidden)


def between(function: Callable[[Tensor], Tensor]) -> Setup:
    return classification(lambda: Between(function))


def by_constant_deviation(hidden: Tensor) -> Tensor:
    flat = torch.cat([hidden[:, :-1], torch.ones_like(hidden[:, :1])], 1)
    return flat / flat.std(0).detach()


def by_length_of_zero(hidden: Tensor) -> Tensor:
    off = hidden - hidden.detach()
    return hidden + (off * off).sum(1, keepdim=True).sqrt()


FORWARD: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "logarithm of what may be negative": (torch.log, "log"),
    "square root of what may be negative": (torch.sqrt, "sqrt"),
    "division by the deviation of a constant": (by_constant_deviation, "div"),
    "exponential of large numbers": (lambda hidden: torch.exp(1000.0 * hidden), "exp"),
    "arc cosine outside its range": (lambda hidden: torch.acos(2.0 + hidden * hidden), "acos"),
    "power of what may be negative": (lambda hidden: hidden**0.5, "pow"),
    "softmax of rows that are masked out": (
        lambda hidden: hidden.masked_fill(hidden < 1e3, -torch.inf).softmax(1),
        "softmax",
    ),
}

BACKWARD: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "square root of zero": (by_length_of_zero, "sqrt"),
    "the branch that where leaves out": (
        lambda hidden: torch.where(hidden > 0.0, hidden.abs().sqrt() + (hidden * 0.0).sqrt(), 0.0 * hidden),
        "sqrt",
    ),
    "power of zero": (lambda hidden: hidden + (0.0 * hidden) ** 0.5, "pow"),
}


@pytest.mark.parametrize("name", FORWARD)
def test_a_failure_of_the_forward_pass(name: str) -> None:
    function, operation = FORWARD[name]
    failure = failure_of(between(function))
    assert (failure.stage, failure.module, failure.operation) == ("forward", "between", operation)
    assert failure.happened and failure.step == 0 and failure.growth == 1.0 and not failure.is_overflow
    assert failure.place.startswith("test_numerical_failure.py:")


@pytest.mark.parametrize("name", BACKWARD)
def test_a_failure_of_the_backward_pass(name: str) -> None:
    function, operation = BACKWARD[name]
    failure = failure_of(between(function))
    assert (failure.stage, failure.module, failure.operation) == ("backward", "between", operation)
    assert failure.step == 0 and failure.steps == 2 and not failure.is_overflow
    assert failure.place.startswith("test_numerical_failure.py:")


def home_made(outputs: Tensor, targets: Tensor) -> Tensor:
    chances = (500.0 * outputs).softmax(1)
    wanted = functional.one_hot(targets, 3)
    return -(wanted * torch.log(chances)).sum(1).mean()


def test_a_logarithm_of_zero_in_the_loss() -> None:
    failure = failure_of(classification(loss=home_made))
    line = home_made.__code__.co_firstlineno + 3
    assert (failure.stage, failure.module, failure.operation) == ("loss", "", "log")
    assert (failure.place, failure.made) == (f"test_numerical_failure.py:{line}", "infinity")


def test_an_optimizer_that_divides_by_zero() -> None:
    def without_eps(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, 0.01, eps=0.0)

    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.idle = nn.Linear(4, 3), nn.Parameter(torch.ones(3))

        def forward(self, inputs: Tensor) -> Tensor:
            scores: Tensor = self.net(inputs) + 0.0 * self.idle
            return scores

    failure = failure_of(classification(Idle, optimizer=without_eps))
    assert failure.stage == "optimizer" and failure.step == 0 and "div" in failure.operation


def test_a_divergence_is_an_overflow_after_growth() -> None:
    def squares(outputs: Tensor, targets: Tensor) -> Tensor:
        return ((outputs - functional.one_hot(targets, 3)) ** 2).mean()

    failure = failure_of(classification(loss=squares, optimizer=sgd(30.0)))
    assert failure.happened and failure.is_overflow and failure.growth > 1e3


def test_half_precision_overflows_early() -> None:
    def build() -> nn.Module:
        return perceptron(4, 24, 3).half()

    setup = classification(build, inputs=lambda values: (values * 1e4).half(), optimizer=sgd(1e-3))
    failure = failure_of(setup)
    assert failure.happened and failure.dtype == "float16"


def test_what_came_with_the_data_is_said_to() -> None:
    model, inputs = nn.Linear(4, 3), torch.ones(8, 4)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    inputs[5, 1] = torch.nan
    seen = Operations()
    with seen.around(model, optimizer, inputs):
        loss = model(inputs).square().mean()
        loss.backward()
        optimizer.step()
    for tensor in (loss, *model.parameters()):
        origin = seen.origin(tensor)
        assert origin is not None and origin.stage == "data"


def test_masks_and_left_out_branches_accuse_nobody() -> None:
    def masked(hidden: Tensor) -> Tensor:
        weights = hidden.masked_fill(hidden < hidden.amax(1, keepdim=True), -torch.inf).softmax(1)
        return hidden + weights.detach() + torch.where(hidden > 0.0, hidden.detach().log(), 0.0)

    setup = between(masked)
    assert not failure_of(setup).happened


def test_it_is_found_in_a_step_of_the_users_own() -> None:
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> float:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(batch[0]), batch[1]) + (0.0 * model(batch[0])).sum(1).sqrt().mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    failure = failure_of(classification(train_step=step, optimizer=adam()))
    assert (failure.stage, failure.operation, failure.step) == ("backward", "sqrt", 0)
    assert failure.place.endswith(str(step.__code__.co_firstlineno + 2))


def test_weights_that_broke_long_before_the_loss_did() -> None:
    class Late(nn.Module):
        """A head that the loss does not see until the tenth step."""

        def __init__(self) -> None:
            super().__init__()
            self.net, self.head, self.calls = nn.Linear(4, 3), nn.Linear(4, 3), 0

        def forward(self, inputs: Tensor) -> Tensor:
            self.calls += self.training
            unseen = (0.0 * self.head(inputs)).abs().sum(1, keepdim=True)
            scores: Tensor = self.net(inputs)
            if self.calls > 9:
                return scores + self.head(inputs)
            return scores + (unseen.sqrt() if self.calls == 4 else 0.0)

    failure = failure_of(classification(Late))
    assert (failure.stage, failure.operation, failure.step, failure.steps) == ("backward", "sqrt", 3, 10)


def test_a_run_that_ends_well_has_none() -> None:
    failure = failure_of(classification())
    assert not failure.happened and failure.steps == 200


def test_weights_that_the_loss_never_shows() -> None:
    failure = failure_of(between(lambda hidden: torch.where(hidden > 0.0, hidden**0.9, torch.zeros_like(hidden))))
    assert (failure.stage, failure.module, failure.operation) == ("backward", "between", "pow")
    assert (failure.step, failure.steps) == (0, 200)
