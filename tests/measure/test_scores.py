"""How sure the loss on the test split is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from unstuck import patients
from unstuck.examine import Examination
from unstuck.loop import predict
from unstuck.measure.comparison import Comparison
from unstuck.measure.gap import gap
from unstuck.measure.preparation import Allowance, Trained
from unstuck.measure.scores import FinalScores, SplitScore
from unstuck.setup import Setup


def on_test(setup: Setup) -> tuple[SplitScore, Tensor]:
    """The score of the test split, and the loss of each of its samples."""
    assert setup.test is not None
    examination = Examination(setup)
    examination.put(Allowance(60.0))
    found, trained = examination.get(FinalScores), examination.get(Trained)
    assert isinstance(found, FinalScores) and isinstance(trained, Trained) and found.scores.test is not None
    batches = setup.test.head(2000)
    outputs = torch.cat(predict(setup, trained.run.model, batches))
    targets = torch.cat([setup.targets(batch) for batch in batches])
    return found.scores.test, functional.cross_entropy(outputs, targets, reduction="none").double()


def in_two_batches(setup: Setup) -> Setup:
    assert setup.test is not None and setup.test.size is not None
    return replace(setup, test=setup.test.with_batch_size(setup.test.size // 2 + 1))


def test_error_of_the_test_loss_is_over_samples_however_they_are_batched() -> None:
    score, losses = on_test(in_two_batches(patients.shells(epochs=3)))
    assert score.loss == pytest.approx(float(losses.mean()), rel=1e-5)
    assert score.standard_error == pytest.approx(float(losses.std() / len(losses) ** 0.5), rel=1e-3)


def test_error_of_a_loss_that_is_no_mean_over_samples_is_over_batches() -> None:
    def worst(outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, targets, reduction="none").max()

    setup = replace(in_two_batches(patients.shells(epochs=3)), loss=worst)
    score, losses = on_test(setup)
    first, second = (float(part.max()) for part in losses.split(len(losses) // 2 + 1))
    assert score.standard_error == pytest.approx(abs(first - second) / 2.0, rel=0.05)


def test_a_run_that_keeps_its_best_epoch_is_scored_by_how_low_it_came_in_training() -> None:
    long = patients.shells(wrong=0.35, rows=80, epochs=60)
    stopped = replace(long, early_stopping=True)
    given, kept = (score(setup) for setup in (long, stopped))
    assert kept.given.training == given.given.training
    assert kept.given.held_out.loss < given.given.held_out.loss - 0.1
    assert not kept.training_is_large, "the optimizer brought the training loss down; the epoch was chosen for another"
    assert gap(kept, "held_out", "training").value > 0.1


def score(setup: Setup) -> Comparison:
    examination = Examination(setup)
    examination.put(Allowance(60.0))
    found = examination.get(Comparison)
    assert isinstance(found, Comparison)
    return found
