"""A straight line to be learnt in some hundredths of a second, and records made by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from unstuck.edits.scaling import standardise_inputs
from unstuck.measure.comparison import OTHER_LEARNER, Comparator, Comparison, shortfall
from unstuck.measure.preparation import Prepared
from unstuck.measure.scores import Scores, SplitScore
from unstuck.report import Applies, Finding, Outcome, RuleSummary, Status, Verdict
from unstuck.rule import Aim, Remedy, Rule
from unstuck.setup import Setup


def line(rate: float = 0.1, scale: float = 1.0, **others: Any) -> Setup:
    """Learn y = x, with inputs of this scale, by gradient descent at this rate; healthy as it is."""
    draws = torch.Generator().manual_seed(3)
    values = torch.randn(160, 1, generator=draws)
    given: dict[str, Any] = {
        "model": flat,
        "loss": nn.MSELoss(),
        "optimizer": lambda parameters: torch.optim.SGD(parameters, rate),
        "train": (scale * values[:64], values[:64]),
        "validation": (scale * values[64:112], values[64:112]),
        "test": (scale * values[112:], values[112:]),
        "epochs": 5,
        "batch_size": 8,
    }
    return Setup.of(**{**given, **others})


def flat() -> nn.Module:
    """A line that starts level, whatever the seed."""
    model = nn.Linear(1, 1)
    nn.init.zeros_(model.weight), nn.init.zeros_(model.bias)
    return model


def prepared(setup: Setup) -> Prepared:
    return Prepared.measure(setup)


def with_rate(factor: float) -> Callable[[Setup], Setup]:
    def change(setup: Setup) -> Setup:
        return replace(setup, optimizer=setup.optimizer.with_rate_times(factor))

    return change


def standardised(setup: Setup) -> Setup:
    return standardise_inputs(setup)


def split(loss: float, error: float = float("nan")) -> SplitScore:
    return SplitScore(loss, 0.0, error, 100)


def scores(training: float, held_out: float | None = None, test: float | None = None) -> Scores:
    """Losses; the held-out one as the training one where not given."""
    return Scores(
        split(training), split(training if held_out is None else held_out), None if test is None else split(test)
    )


def comparison(given: float, reached: float = 0.0, constant: float = 1.0, kind: str = OTHER_LEARNER) -> Comparison:
    """A run that ends at `given` against something that ends at `reached`."""
    short = shortfall(given, reached, constant)
    other = Comparator("something", kind, "loss", reached, reached, short, short, short)
    return Comparison(constant, constant, constant, scores(given, given, given), (other,))


def rule(code: str, apply: Callable[..., Setup | tuple[Setup, ...]] | None, aim: Aim = Aim.TRAINING) -> Rule:
    remedy = Remedy(f"Undo {code}.", apply, Applies.SAFE)
    return Rule(code, lambda: None, None, remedy, (), aim=aim, module=f"rules.{code}")


def suspicion(code: str) -> Finding:
    verdict = Verdict(Outcome.PRESENT, "It looks like it.")
    return Finding(RuleSummary(code, code, code), Outcome.PRESENT, Status.SUSPECTED, verdict)


def shifted(change: Callable[[Tensor], Tensor]) -> Callable[[Setup], Setup]:
    """A change of the test split only."""
    return lambda setup: replace(setup, test=line(test=_test(change)).test)


def _test(change: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    values = torch.randn(48, 1, generator=torch.Generator().manual_seed(4))
    return change(values), values
