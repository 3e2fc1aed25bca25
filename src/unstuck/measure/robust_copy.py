"""The same model, trained as robustly as we know how.

It tells failed optimisation from model bias: the architecture, the loss and the data are the user's; the
start, the scale of the inputs, the optimizer, its rate and the regularisation are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Final, final

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from unstuck.edits.initialisation import initialise_soundly
from unstuck.edits.normalisation import insert_normalisation
from unstuck.edits.regularisation import without_dropout
from unstuck.edits.scaling import standardise_inputs
from unstuck.errors import UnstuckError
from unstuck.loop import Run, fit
from unstuck.loop.clock import WorkClock
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.scores import Scores, scores_of
from unstuck.measure.task import Task
from unstuck.setup import OptimizerRecipe, Setup

RATES: Final = (3e-3, 1e-3, 1e-2)
"""Rates of Adam that are raced; its useful range on standardised inputs (Kingma & Ba 2015 use 1e-3)."""

FEWEST_STEPS: Final = 400
"""Steps that the copy is given at least: a short run as given must not keep it from going lower."""

SCREEN_SHARE: Final = 0.25
"""Share of the epochs that each rate of the race is given."""

LONGEST_SECONDS: Final = 5.0
"""Time of this thread's own work after which no further recipe is begun."""

RATE_SHARE: Final = 1.0 / 6.0
"""Share of the time left that each rate of the race may take, so that most is left for the copy itself."""


@final
@dataclass(frozen=True, slots=True)
class RobustCopy:
    """The best of several robust trainings of the same model.

    Attributes:
        scores: Its scores at the epoch with the lowest held-out loss.
        recipe: How it was trained, in words.
        rate: The rate of Adam.
        steps: Steps that it took.
        start: "as given", "drawn anew" or "drawn anew, normalised".
        complete: Whether one of them took as many steps as the run as given at least; else their time was up before.
    """

    cost: ClassVar[float] = 3.0

    scores: Scores
    recipe: str
    rate: float
    steps: int
    start: str
    complete: bool = True

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained, task: Task | Unmeasured) -> RobustCopy:
        """Race the recipes.

        Returns:
            The best copy.

        Raises:
            NotMeasurable: If the model cannot be run outside the user's own training step.
        """
        known = None if isinstance(task, Unmeasured) else task
        return race(prepared, prepared.setup, known, trained.run)


def race(prepared: Prepared, setup: Setup, task: Task | None, given: Run) -> RobustCopy:
    """Train a set-up's model by several robust recipes, and keep the best.

    Args:
        prepared: Gives the yardstick and the held-out samples.
        setup: Whose model is trained; may be an enlarged version.
        task: The task, where it is known.
        given: The run as given; the copy gets as many steps at least, and at least `FEWEST_STEPS`. The first one may
            take as long as that run did, too: cut shorter, it would not tell what the model can do.

    Returns:
        The best copy by held-out loss.

    Raises:
        NotMeasurable: If nothing could be trained.
    """
    if setup.loss is None:
        raise NotMeasurable("the loss is inside train_step; give `loss` as well")
    clock = WorkClock()
    failures: list[str] = []
    best: RobustCopy | None = None
    for start, change in _starts(setup):
        try:
            least = given.record.seconds if best is None else 0.0
            candidate = _race_rates(prepared, change(setup), task, len(given.losses), start, clock, least)
        except UnstuckError as error:
            failures.append(str(error))
            continue
        if candidate is None:  # which says nothing of what the model can do
            failures.append(f"start {start}: its loss or its weights ended in NaN or infinity")
            continue
        complete = candidate.complete or (best is not None and best.complete)
        if best is None or _order(candidate.scores) < _order(best.scores):
            best = candidate
        best = replace(best, complete=complete)
        if clock() > LONGEST_SECONDS or _is_perfect(best.scores):
            break
    if best is None:
        raise NotMeasurable("the model could not be trained robustly: " + "; ".join(failures))
    return best


def _starts(setup: Setup) -> list[tuple[str, Callable[[Setup], Setup]]]:
    drawn = ("drawn anew", lambda setup: initialise_soundly(setup))
    normalised = ("drawn anew, normalised", lambda setup: insert_normalisation(initialise_soundly(setup)))
    given = ("as given", lambda setup: setup)
    frozen = any(not p.requires_grad for p in (setup.model.live or nn.Module()).parameters())
    if setup.model.draws_weights:
        return [drawn, normalised, given]
    return [given, drawn, normalised] if not frozen else [given]


def robust(setup: Setup, rate: float, epochs: int) -> Setup:
    """A set-up with the robust recipe around its model.

    Adam with a linear warm-up over 5 % of the steps and a cosine decay, gradients clipped at norm 1, inputs
    standardised, no dropout, no decay, the weights of the best held-out epoch kept.

    Args:
        setup: What to train.
        rate: Highest rate of Adam.
        epochs: Passes over the training split.

    Returns:
        The set-up.
    """
    for change in (standardise_inputs, without_dropout):
        try:
            setup = change(setup)
        except UnstuckError:
            continue  # token inputs, no dropout: nothing to change
    total = epochs * max(1, setup.train.batches_per_epoch or 100)
    warm = max(1, total // 20)

    def shape(step: int) -> float:
        return min(1.0, (step + 1) / warm) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / total)))

    return replace(
        setup,
        optimizer=OptimizerRecipe(lambda parameters: clipped_adam(list(parameters), rate)),
        scheduler=lambda optimizer: LambdaLR(optimizer, shape),
        schedule_every="step",
        train_step=None,
        epochs=epochs,
        early_stopping=setup.validation is not None,
        corrections=setup.corrections.of_model(),
    )


def clipped_adam(parameters: list[nn.Parameter], rate: float) -> Optimizer:
    """Adam that clips the gradient's norm at 1 before each step."""
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    optimizer = torch.optim.Adam(trainable, lr=rate)

    def clip(*_: object) -> None:
        torch.nn.utils.clip_grad_norm_(trainable, 1.0)

    optimizer.register_step_pre_hook(clip)
    return optimizer


def _race_rates(
    prepared: Prepared, setup: Setup, task: Task | None, steps: int, start: str, clock: WorkClock, least: float
) -> RobustCopy | None:
    """The best copy from one start, which may take so many seconds at least; None where it ended in no numbers."""
    batch_size = min(64, max(setup.train.batch_size, 16))
    setup = replace(setup, train=setup.train.with_batch_size(batch_size), validation=prepared.held_out)
    per_epoch = max(1, setup.train.batches_per_epoch or 100)
    wanted = max(steps, FEWEST_STEPS)
    epochs = max(2, math.ceil(wanted / per_epoch))
    screened: list[tuple[float, float]] = []
    for rate in RATES:
        if screened and clock() > LONGEST_SECONDS:
            break
        trial = robust(setup, rate, max(1, math.ceil(SCREEN_SHARE * epochs)))
        run = fit(trial, seconds=max(0.3, RATE_SHARE * (LONGEST_SECONDS - clock())), clock=clock)
        screened.append((_order(scores_of(prepared, task, trial, run.model)), rate))
    rate = min(screened)[1]
    final_setup = robust(setup, rate, epochs)
    run = fit(final_setup, seconds=max(0.5, least, LONGEST_SECONDS - clock()), clock=clock)
    scores = scores_of(prepared, task, final_setup, run.model)
    if not math.isfinite(_order(scores)) or not all(
        bool(torch.isfinite(weight).all()) for weight in run.model.parameters()
    ):
        return None
    recipe = f"Adam, rate {rate:g}, standardised inputs, start {start}"
    complete = run.record.stopped != "time" or len(run.losses) >= steps
    return RobustCopy(scores, recipe, rate, len(run.losses), start, complete)


def _order(scores: Scores) -> float:
    loss = scores.held_out.loss
    return loss if math.isfinite(loss) else math.inf


def _is_perfect(scores: Scores) -> bool:
    """Whether no other recipe could change a verdict: next to no loss is left, on held-out samples too."""
    return scores.held_out.error < 0.03 and scores.training.loss < 0.03
