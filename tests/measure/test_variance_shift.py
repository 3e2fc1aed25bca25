"""The variance that batch-norm is fed, with dropout and without."""

import math

import pytest
from torch import nn

from tests.tiny import comparison
from unstuck import patients
from unstuck.edits.regularisation import dropout_rates
from unstuck.examine import Examination
from unstuck.measure.best_constant import BestConstant
from unstuck.measure.preparation import Allowance
from unstuck.measure.variance_shift import VarianceShift
from unstuck.report import Outcome
from unstuck.rules.dropout_with_batch_norm import judge, part_them
from unstuck.setup import Setup


def measured(setup: Setup) -> VarianceShift:
    examination = Examination(setup)
    examination.put(Allowance(20.0))
    found = examination.get(VarianceShift)
    assert isinstance(found, VarianceShift), found
    return found


def net(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


def centred(rate: float) -> nn.Sequential:
    """Dropout on inputs of mean 0, straight into batch-norm: the variance grows by 1 / (1 − p) exactly."""
    return net(nn.Dropout(rate), nn.BatchNorm1d(4), nn.Linear(4, 3))


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_units_of_mean_zero_are_scaled_as_theory_has_it(rate: float) -> None:
    found = measured(patients.classification(lambda: centred(rate), epochs=2))
    assert found.shift == pytest.approx(1.0 / (1.0 - rate), rel=0.05)
    assert found.worst == "1"


def test_dropout_behind_the_norm_changes_nothing() -> None:
    def model() -> nn.Sequential:
        return net(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))

    found = measured(patients.classification(model, epochs=2))
    assert found.shift == pytest.approx(1.0) and found.layers == 1


def test_without_dropout_or_norm_nothing_is_run() -> None:
    plain = measured(patients.classification(epochs=2))
    assert (plain.layers, plain.shift) == (0, 1.0) and math.isnan(plain.own_loss)


def test_what_dropout_costs_in_evaluation_shows() -> None:
    def model() -> nn.Sequential:
        hidden = [(nn.Linear(size, 32), nn.Dropout(0.6), nn.BatchNorm1d(32), nn.ReLU()) for size in (4, 32, 32)]
        return net(*(layer for block in hidden for layer in block), nn.Linear(32, 3))

    found = measured(patients.shells(model, epochs=10))
    assert found.shift > 1.5
    assert found.evaluation_loss > found.own_loss + 0.01


def shifted(ratio: float, evaluation: float, own: float) -> VarianceShift:
    return VarianceShift(2, ratio, "1", evaluation, own)


@pytest.mark.parametrize(
    ("shift", "reached", "outcome"),
    [
        pytest.param(shifted(1.3, 0.5, 0.3), 0.5, Outcome.PRESENT, id="evaluation shows it"),
        pytest.param(shifted(3.0, 0.5, 0.6), 0.1, Outcome.PRESENT, id="noise drowns the signal, and others go lower"),
        pytest.param(shifted(3.0, 2.0, 2.5), 0.1, Outcome.PRESENT, id="likewise, worse than a constant"),
        pytest.param(shifted(3.0, 0.5, 0.6), 0.5, Outcome.ABSENT, id="noise, but nothing goes lower"),
        pytest.param(shifted(1.3, 0.5, 0.6), 0.1, Outcome.ABSENT, id="little noise"),
        pytest.param(shifted(1.3, 2.0, 2.5), 0.1, Outcome.UNDECIDED, id="no span to measure the cost by"),
    ],
)
def test_the_shift_is_blamed_where_evaluation_or_the_training_loss_shows_it(
    shift: VarianceShift, reached: float, outcome: Outcome
) -> None:
    run = comparison(min(shift.evaluation_loss, 1.0), reached)
    assert judge(shift, BestConstant(1.0, 1.0, None, ()), run).outcome is outcome


def test_training_without_dropout_is_proof_only_where_evaluation_shows_the_shift() -> None:
    setup = patients.classification(lambda: centred(0.5))
    best = BestConstant(1.0, 1.0, None, ())
    assert len(part_them(setup, shifted(2.0, 0.5, 0.3), best)) == 2
    (alone,) = part_them(setup, shifted(2.0, 0.5, 0.6), best)
    assert dropout_rates(alone) == (0.5,)
