"""Labels that are contradicted confidently, against the definition written out."""

from __future__ import annotations

import numpy as np
import pytest

from unstuck.examine import Examination
from unstuck.measure.label_noise import LabelNoise, contradicted, forest, kernel_machine, out_of_fold
from unstuck.measure.learners import logistic
from unstuck.measure.preparation import Allowance
from unstuck.measure.protocol import Unmeasured
from unstuck.patients import regression, shells


def test_contradicted_against_loops() -> None:
    draws = np.random.default_rng(0)
    chances = draws.dirichlet(np.ones(3), 50)
    labels = draws.integers(0, 3, 50)
    usual = [np.mean([chances[i, k] for i in range(50) if labels[i] == k]) for k in range(3)]
    slow = set()
    for i in range(50):
        confident = [k for k in range(3) if chances[i, k] >= usual[k]]
        if confident and max(confident, key=lambda k: chances[i, k]) != labels[i]:
            slow.add(i)
    found = contradicted(chances, labels)
    assert set(found.tolist()) == slow
    margins = [chances[i, labels[i]] - max(chances[i, k] for k in range(3) if chances[i, k] >= usual[k]) for i in found]
    assert margins == sorted(margins)


@pytest.mark.parametrize("learner", [logistic, kernel_machine, forest])
def test_answers_are_out_of_fold(learner: object) -> None:
    """Labels that nothing tells are answered at chance, which no learner does that has seen them."""
    draws = np.random.default_rng(1)
    table, labels = draws.normal(size=(300, 4)), draws.integers(0, 3, 300)
    said = out_of_fold(learner, table, labels, 3)  # type: ignore[arg-type]
    assert np.allclose(np.exp(said).sum(1), 1.0, atol=1e-6)
    assert abs(float((said.argmax(1) == labels).mean()) - 1 / 3) < 0.1


def test_most_suspects_are_wrong() -> None:
    sick, healthy = shells(wrong=0.3), shells()
    examination = Examination(sick)
    examination.put(Allowance(20.0))
    found = examination.get(LabelNoise)
    assert isinstance(found, LabelNoise)
    wrong = (sick.targets(sick.train.samples) != healthy.targets(healthy.train.samples)).nonzero().flatten().tolist()  # type: ignore[attr-defined]
    assert len(set(found.suspects) & set(wrong)) > 0.7 * max(len(found.suspects), len(wrong))


def test_numbers_cannot_be_contradicted() -> None:
    examination = Examination(regression())
    examination.put(Allowance(20.0))
    assert isinstance(examination.get(LabelNoise), Unmeasured)
