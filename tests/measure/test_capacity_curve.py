"""The bias–complexity curve."""

import pytest
from torch import nn

from unstuck import patients
from unstuck.examine import Examination
from unstuck.measure.capacity_curve import Capacity, CapacityCurve, capacity_curve
from unstuck.measure.preparation import Allowance, Prepared, Trained
from unstuck.measure.protocol import NotMeasurable, Unmeasured


def test_a_model_that_is_too_small_falls_with_its_width() -> None:
    examination = Examination(patients.shells(lambda: patients.perceptron(4, 8, 3), epochs=8))
    examination.put(Allowance(60.0))
    prepared, trained = examination.get(Prepared), examination.get(Trained)
    assert isinstance(prepared, Prepared) and isinstance(trained, Trained)
    found = capacity_curve(prepared, trained.run.model, 60.0)
    assert [point.factor for point in found.points] == [0.125, 0.25, 0.5, 1.0, 2.0, 4.0]
    assert [point.parameters for point in found.points] == [4 * w + w + 3 * w + 3 for w in (1, 2, 4, 8, 16, 32)]
    narrow, wide = found.points[0], found.points[-1]
    assert narrow.training > 2.0 * wide.training and narrow.held_out > 2.0 * wide.held_out
    assert found.best is wide


def test_a_model_without_hidden_layers_has_no_curve() -> None:
    examination = Examination(patients.classification(lambda: nn.Linear(4, 3), epochs=1))
    examination.put(Allowance(60.0))
    prepared, trained = examination.get(Prepared), examination.get(Trained)
    assert isinstance(prepared, Prepared) and isinstance(trained, Trained)
    with pytest.raises(NotMeasurable, match="no hidden layer"):
        capacity_curve(prepared, trained.run.model, 60.0)


def test_it_is_taken_only_where_there_is_a_gap() -> None:
    examination = Examination(patients.shells(epochs=8))
    examination.put(Allowance(60.0))
    found = examination.get(CapacityCurve)
    assert isinstance(found, Unmeasured) and "no gap" in found.reason


def test_the_best_is_the_one_with_the_lowest_held_out_loss() -> None:
    held_out = ((0.25, 0.9), (0.5, 0.52), (1.0, 0.5), (2.0, float("nan")))
    curve = CapacityCurve(tuple(Capacity(factor, 10, 0.1, loss, 0.03) for factor, loss in held_out))
    assert curve.best.factor == 1.0
