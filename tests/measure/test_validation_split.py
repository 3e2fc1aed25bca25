"""What the user's validation split can bear, and how often it was asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from unstuck import Setup, candidate_log, patients
from unstuck.errors import SetupError
from unstuck.examine import Examination
from unstuck.measure.fingerprint import fingerprint
from unstuck.measure.noise_floor import NoiseFloor
from unstuck.measure.preparation import Allowance
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.validation_split import CandidatesTried, ValidationScore
from unstuck.report import Outcome
from unstuck.rules import selection_overfit, validation_unreliable


def score(setup: Setup) -> ValidationScore:
    examination = Examination(setup)
    examination.put(Allowance(60.0))
    found = examination.get(ValidationScore)
    assert not isinstance(found, Unmeasured), found
    return found


def test_score_is_that_of_the_validation_split() -> None:
    found = score(patients.classification())
    assert found.samples == 240 and found.training_samples == 320
    assert found.low <= found.error <= found.high and found.high - found.low < 0.15
    assert 0.5 < found.constant < 0.7 and found.distance < 0.1


def test_number_of_candidates_is_as_given_or_from_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    setup = patients.classification()
    assert setup.validation is not None
    nothing = Examination(setup).get(CandidatesTried)
    assert isinstance(nothing, Unmeasured) and "candidates_tried=" in nothing.reason
    candidate_log.append(fingerprint(setup.validation), ["a", "b", "c"])
    logged = Examination(setup).get(CandidatesTried)
    assert isinstance(logged, CandidatesTried) and logged.candidates == 3
    given = Examination(replace(setup, candidates_tried=7)).get(CandidatesTried)
    assert isinstance(given, CandidatesTried) and (given.candidates, given.source) == (7, "as given")


def test_other_samples_have_another_fingerprint() -> None:
    one = patients.classification().validation
    other = patients.classification(inputs=lambda values: values + 1e-3).validation
    again = patients.classification().validation
    assert one is not None and other is not None and again is not None
    assert fingerprint(one) == fingerprint(again) != fingerprint(other)


@pytest.mark.parametrize("count", [0, -1, 2.5, True])
def test_a_number_of_candidates_that_is_none_is_refused(count: object) -> None:
    values = torch.zeros(8, 4), torch.zeros(8, dtype=torch.long)
    with pytest.raises(SetupError, match="candidates_tried"):
        patients.classification(candidates_tried=count, train=values)


def test_the_more_were_tried_the_less_the_score_proves() -> None:
    known = ValidationScore(20, 100, error=0.1, low=0.0, high=0.3, constant=0.6, shares=True, distance=0.0, p_value=1.0)
    outcomes = [selection_overfit.judge(CandidatesTried(count, "as given"), known).outcome for count in (1, 2, 100_000)]
    assert outcomes[0] is outcomes[1] is Outcome.ABSENT and outcomes[2] is Outcome.PRESENT


def test_a_split_with_other_classes_is_told_by_its_classes() -> None:
    verdict = validation_unreliable.judge(score(validation_unreliable.validate_on_a_handful(patients.classification())))
    assert verdict.outcome is Outcome.PRESENT and "other classes" in verdict.sentence


def test_noise_floor_rises_with_the_noise_and_is_no_lower_than_it() -> None:
    clean = Examination(patients.classification()).get(NoiseFloor)
    noisy = Examination(patients.classification(noise=0.3)).get(NoiseFloor)
    assert isinstance(clean, NoiseFloor) and isinstance(noisy, NoiseFloor)
    assert noisy.value > clean.value + 0.1
    assert noisy.high >= 0.2  # of the drawn labels, a third are right by chance


def test_noise_floor_of_two_normal_classes_is_the_error_of_the_best_rule() -> None:
    draws = torch.Generator().manual_seed(3)
    labels = torch.randint(2, (500,), generator=draws)
    inputs = torch.randn(500, 2, generator=draws)
    inputs[:, 0] += 2.0729 * labels  # so that Φ(−1.0364) = 0.15 of all are on the wrong side
    found = Examination(
        patients.classification(
            lambda: patients.perceptron(2, 8, 2), train=(inputs, labels), validation=None, test=None
        )
    ).get(NoiseFloor)
    assert isinstance(found, NoiseFloor)
    assert found.low <= 0.15 <= found.high and found.high - found.low < 0.12
