"""The same model, trained robustly: it heals what ails the recipe, and cannot heal what ails the model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from tests.tiny import line
from unstuck.examine import Examination
from unstuck.loop import fit
from unstuck.measure import enlarged_copy
from unstuck.measure.enlarged_copy import EnlargedCopy
from unstuck.measure.preparation import HELD_OUT_SHARE, Allowance, Prepared, Trained
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.robust_copy import FEWEST_STEPS, RATES, RobustCopy, clipped_adam, race, robust
from unstuck.measure.scores import FinalScores, scores_of
from unstuck.patients import perceptron, sgd, shells
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated

UNKNOWN = Unmeasured("the task is not known")
MINUTE = Allowance(60.0)


def copy_of(setup: Setup) -> RobustCopy:
    examination = Examination(setup)
    examination.put(Allowance(60.0))
    copy = examination.get(RobustCopy)
    if isinstance(copy, Unmeasured):
        raise NotMeasurable(copy.reason)
    return copy


@pytest.mark.parametrize(
    "sick",
    [
        lambda: line(rate=1e-7),
        lambda: line(rate=1e3),
        lambda: line(scale=1e-4),
        lambda: line(epochs=1, rate=1e-3),
    ],
    ids=["rate too low", "rate too high", "inputs not normalised", "stopped too early"],
)
def test_it_heals_the_recipe(sick: object) -> None:
    assert callable(sick)
    copy = copy_of(sick())
    assert copy.scores.training.loss < 0.05 and copy.scores.held_out.loss < 0.05
    assert copy.rate in RATES and f"{copy.rate:g}" in copy.recipe and copy.start in copy.recipe


def test_it_gets_at_least_as_many_steps() -> None:
    assert copy_of(line()).steps >= FEWEST_STEPS


def test_a_copy_that_ran_out_of_time_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("unstuck.measure.robust_copy.LONGEST_SECONDS", 0.01)
    setup = line()
    prepared = Prepared.measure(setup)
    run = fit(setup, steps=1)
    long = replace(run, record=replace(run.record, losses=(0.0,) * 10**6, seconds=0.0))
    assert race(prepared, setup, None, run).complete
    assert not race(prepared, setup, None, long).complete


class Flat(nn.Module):
    """A model that cannot tell its inputs apart."""

    def __init__(self) -> None:
        super().__init__()
        self.level = nn.Parameter(torch.zeros(1))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.level + 0.0 * inputs


def test_it_cannot_heal_a_model_that_is_too_small() -> None:
    assert copy_of(line(model=Flat)).scores.training.loss > 0.5


def test_it_starts_anew_where_the_weights_are_dead() -> None:
    def dead() -> nn.Module:
        model = perceptron(4, 32, 3)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        return model

    copy = copy_of(shells(dead, optimizer=sgd(0.1)))
    assert copy.start.startswith("drawn anew")
    assert copy.scores.held_out.loss < 0.3


def test_frozen_weights_stay_frozen_and_as_they_are() -> None:
    model = perceptron(4, 32, 3)
    first = model[0]
    assert isinstance(first, nn.Linear)
    first.requires_grad_(False)
    before = first.weight.clone()
    setup = shells(model, optimizer=lambda parameters: torch.optim.Adam([p for p in parameters if p.requires_grad]))
    copy = copy_of(setup)
    assert copy.start == "as given"
    assert torch.equal(first.weight, before)


def test_it_is_the_same_again() -> None:
    assert repr(copy_of(line(rate=1e-7))) == repr(copy_of(line(rate=1e-7)))  # NaN is not equal to NaN


def test_a_loss_inside_the_users_own_step_cannot_be_copied() -> None:
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, Tensor]) -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = (model(batch[0]) - batch[1]).square().mean()
        torch.autograd.backward(loss)
        optimizer.step()
        return loss

    with pytest.raises(NotMeasurable, match="train_step"):
        copy_of(line(loss=None, train_step=step))


def test_what_cannot_be_trained_says_why() -> None:
    prepared = Prepared.measure(line())
    broken = Prepared.measure(line(loss=lambda outputs, targets: 1 / 0)).setup
    with pytest.raises(NotMeasurable, match="ZeroDivisionError"):
        race(prepared, broken, None, fit(line(), steps=10))


def test_it_trains_on_no_held_out_sample() -> None:
    setup = Prepared.measure(line(validation=None)).setup
    trial = robust(setup, 1e-3, 2)
    assert trial.train.size == round(64 * (1 - HELD_OUT_SHARE))
    assert trial.early_stopping


def test_gradients_are_clipped() -> None:
    weight = nn.Parameter(torch.zeros(3))
    optimizer = clipped_adam([weight], 0.1)
    weight.grad = torch.full((3,), 1e6)
    optimizer.step()
    assert float(weight.grad.norm()) == pytest.approx(1.0, rel=1e-4)


def test_a_larger_copy_heals_what_is_too_narrow() -> None:
    prepared = Prepared.measure(shells(lambda: perceptron(4, 2, 3), epochs=10))
    trained = Trained(fit(prepared.setup))
    enlarged = EnlargedCopy.measure(prepared, trained, UNKNOWN, MINUTE)
    same = RobustCopy.measure(prepared, trained, UNKNOWN)
    assert enlarged.scores.held_out.loss < 0.6 * same.scores.held_out.loss


def test_what_cannot_be_trained_in_time_is_widened_by_less_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = Prepared.measure(shells(lambda: perceptron(4, 8, 3), epochs=2))
    trained = Trained(fit(prepared.setup))

    def seconds(setup: Setup) -> float:
        with isolated(0):
            return 1e-4 * sum(parameter.numel() for parameter in setup.build()[0].parameters())

    monkeypatch.setattr(enlarged_copy, "_forward_seconds", seconds)
    # Of 8 units, 4 times as wide are 259 parameters, 7.8 s a hundred steps; 8 times as wide are twice that.
    assert EnlargedCopy.measure(prepared, trained, UNKNOWN, Allowance(8.0)).factor == 4
    with pytest.raises(NotMeasurable, match="2 times as wide take longer"):
        EnlargedCopy.measure(prepared, trained, UNKNOWN, Allowance(1.0))


def test_what_has_no_hidden_layer_is_given_one() -> None:
    prepared = Prepared.measure(shells(lambda: nn.Linear(4, 3), epochs=10))
    enlarged = EnlargedCopy.measure(prepared, Trained(fit(prepared.setup)), UNKNOWN, MINUTE)
    assert (enlarged.factor, enlarged.how) == (1, "a residual block of 64 units in front of each linear layer")
    assert enlarged.scores.held_out.loss < 0.3


def test_what_has_no_linear_layer_has_no_larger_copy() -> None:
    prepared = Prepared.measure(
        shells(lambda: nn.Sequential(nn.Unflatten(1, (1, 4)), nn.Conv1d(1, 3, 4), nn.Flatten()))
    )
    with pytest.raises(NotMeasurable, match="no hidden layer.*no linear layer"):
        EnlargedCopy.measure(prepared, Trained(fit(prepared.setup)), UNKNOWN, MINUTE)


def test_a_fifth_is_held_out_where_no_validation_split_is_given() -> None:
    prepared = Prepared.measure(line(validation=None))
    assert prepared.carved
    assert (prepared.setup.train.size, prepared.held_out.size) == (51, 13)
    again = Prepared.measure(line(validation=None))
    assert torch.equal(_first(again), _first(prepared))


def _first(prepared: Prepared) -> Tensor:
    batch = prepared.held_out.head(100)[0]
    assert isinstance(batch, (tuple, list)) and isinstance(batch[0], Tensor)
    return batch[0]


def test_a_given_validation_split_is_used_as_it_is() -> None:
    setup = line()
    prepared = Prepared.measure(setup)
    assert prepared.setup is setup and prepared.held_out is setup.validation and not prepared.carved


def test_few_samples_are_not_divided() -> None:
    values = torch.arange(6.0).unsqueeze(1)
    prepared = Prepared.measure(line(train=(values, values), validation=None))
    assert prepared.setup.train.size == 6 and not prepared.carved


def test_scores_are_on_the_yardstick_of_the_set_up_as_given() -> None:
    prepared = Prepared.measure(line())
    changed = line(loss=nn.L1Loss(), rate=1e-9)
    run = fit(changed)
    found = scores_of(prepared, None, changed, run.model)
    plain = scores_of(prepared, None, prepared.setup, run.model)
    assert found.training.loss == plain.training.loss
    assert found.training.samples == 64 and found.held_out.samples == 48


def test_final_scores_hold_the_start_beside_the_end() -> None:
    prepared = Prepared.measure(line())
    final = FinalScores.measure(prepared, Trained(fit(prepared.setup)), UNKNOWN)
    assert final.scores.training.loss < 0.05 * final.initial.loss
    assert final.scores.test is not None


def test_a_diverged_run_scores_infinity() -> None:
    prepared = Prepared.measure(line(rate=1e9))
    final = FinalScores.measure(prepared, Trained(fit(prepared.setup)), UNKNOWN)
    assert final.scores.training.loss == float("inf")
