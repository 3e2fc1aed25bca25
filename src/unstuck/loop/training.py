"""The training loop: the only one. It trains a set-up exactly as described, and records the run."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, final

from torch import nn
from torch.optim import Optimizer

from unstuck.errors import SetupError
from unstuck.loop.evaluate import evaluate
from unstuck.loop.record import RunRecord
from unstuck.loop.stages import stage, take_step
from unstuck.loop.trail import Trail, TrailKeeper
from unstuck.loop.watching import SAMPLED, Watcher, sampled_steps
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated, one_thread, seeded, trainable


@final
@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A finished training run.

    Attributes:
        setup: What was trained.
        model: The trained model; it takes the raw inputs.
        record: Everything that was recorded.
        trail: Where the weights were at the sampled steps, where the run was watched.
        ended: Weights at the end of the run, where those of its best epoch were kept; else None.
    """

    setup: Setup
    model: nn.Module
    record: RunRecord
    trail: Trail = Trail()
    ended: Mapping[str, Any] | None = None

    @property
    def losses(self) -> tuple[float, ...]:
        """Training loss before each step, shape `[T]`."""
        return self.record.losses

    @property
    def validation_losses(self) -> tuple[float, ...]:
        """Validation loss after each epoch, shape `[E]`."""
        return self.record.validation_losses


@final
@dataclass(frozen=True, slots=True)
class Step:
    """One step of a run.

    Attributes:
        index: Number of steps done before this one.
        epoch: Epoch it belongs to, from 0.
        loss: Training loss before the step.
        rate: Rate of the first parameter group.
        ends_epoch: Whether it is the last step of its epoch.
    """

    index: int
    epoch: int
    loss: float
    rate: float
    ends_epoch: bool


def fit(
    setup: Setup,
    *,
    seed: int | None = None,
    watched: bool = False,
    seconds: float | None = None,
    steps: int | None = None,
    validate: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> Run:
    """Train a set-up exactly as it describes.

    The user's objects and every random generator stay as they are. The same seed gives the same run, bit for
    bit, watched or not.

    Args:
        setup: What to train.
        seed: In place of the set-up's own.
        watched: Whether layers are sampled.
        seconds: Stop after this time.
        steps: Stop after so many steps.
        validate: Whether the validation loss is taken after each epoch.
        clock: What `seconds` is measured by; the wall clock where not given.

    Returns:
        The run, with the trained model.

    Raises:
        SetupError: If an argument is not what it must be.
    """
    if not isinstance(setup, Setup):
        raise SetupError("`setup` must be an unstuck.Setup", type(setup).__name__, "Make one with `unstuck.Setup.of`.")
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
        raise SetupError("`steps` must be a whole number of at least 1", repr(steps), "Leave it out to train in full.")
    setup = setup if seed is None else replace(setup, seed=seed)
    start, started = time.perf_counter(), clock()
    with trainable(), isolated(setup.seed), one_thread():
        own, model, optimizer = setup.fresh()
        training = _Training(own, model, optimizer, watched, validate)
        stopped = "finished"
        for step in training.steps():
            if not math.isfinite(step.loss):
                stopped = "non-finite"
                break
            if steps is not None and step.index + 1 >= steps:
                break
            if seconds is not None and clock() - started > seconds:
                stopped = "time"
                break
        ended = training.finish()
    return Run(setup, model, training.record(stopped, time.perf_counter() - start), training.keeper.trail(), ended)


@final
class _Training:
    """The state of a run in progress."""

    def __init__(self, setup: Setup, model: nn.Module, optimizer: Optimizer, watched: bool, validate: bool) -> None:
        self.setup, self.model, self.optimizer = setup, model, optimizer
        self.losses: list[float] = []
        self.rates: list[float] = []
        self.epoch_ends: list[int] = []
        self.validation_losses: list[float] = []
        self.watcher = Watcher(model, optimizer) if watched else None
        self.keeper = TrailKeeper(SAMPLED)
        self.validate = (validate or setup.early_stopping) and setup.validation is not None
        self.validate = self.validate and setup.loss is not None
        self.best: tuple[float, dict[str, Any]] | None = None
        self.scheduler: Any = None
        if setup.scheduler is not None:
            with stage("schedule"):
                self.scheduler = setup.scheduler(optimizer)

    def steps(self) -> Iterator[Step]:
        """Take the steps of the set-up, one at a time."""
        setup, generator = self.setup, seeded(self.setup.seed)
        wanted = sampled_steps(setup.epochs * (setup.train.batches_per_epoch or 1000))
        if not self.model.training:  # a model in training mode may hold layers that were set to eval() on purpose
            self.model.train()
        for epoch in range(setup.epochs):
            batches = iter(setup.train.batches(generator))
            batch = _next(batches)
            while batch is not None:
                index = len(self.losses)
                rate = self.optimizer.param_groups[0].get("lr", math.nan)
                self.rates.append(float(rate) * setup.optimizer.rate_factor)
                if self.watcher is not None and index in wanted:
                    self.keeper.note(index, self.model)
                with self._watched(index, due=index in wanted):
                    value = float(take_step(setup, self.model, self.optimizer, setup.placed(batch)))
                self.losses.append(value)
                if setup.schedule_every == "step":
                    self._schedule()
                batch = _next(batches)
                if batch is None:
                    self._end_epoch()
                yield Step(index, epoch, value, self.rates[-1], batch is None)

    def _watched(self, index: int, due: bool) -> AbstractContextManager[None]:
        return nullcontext() if self.watcher is None else self.watcher.step(index, due)

    def _schedule(self, *arguments: float) -> None:
        if self.scheduler is not None:
            with stage("schedule"):
                self.scheduler.step(*arguments)

    def _end_epoch(self) -> None:
        self.epoch_ends.append(len(self.losses))
        if self.validate:
            assert self.setup.validation is not None
            loss = evaluate(self.setup, self.model, self.setup.validation).loss
            self.validation_losses.append(loss)
            if self.setup.early_stopping and (self.best is None or loss < self.best[0]):
                self.best = (loss, copy.deepcopy(self.model.state_dict()))
        if self.setup.schedule_every == "plateau":
            watched = self.validation_losses or [sum(self.losses[-20:]) / len(self.losses[-20:])]
            self._schedule(watched[-1])
        elif self.setup.schedule_every == "epoch":
            self._schedule()

    def finish(self) -> dict[str, Any] | None:
        """End the sample under way, and go back to the best weights where the set-up stops early."""
        if self.watcher is not None:
            self.watcher.close(len(self.losses) - 1)
        return None if self.best is None else exchanged(self.model, self.best[1])

    def record(self, stopped: str, seconds: float) -> RunRecord:
        """What is kept of the run."""
        return RunRecord(
            seed=self.setup.seed,
            losses=tuple(self.losses),
            rates=tuple(self.rates),
            epoch_ends=tuple(self.epoch_ends),
            validation_losses=tuple(self.validation_losses),
            sampled_steps=() if self.watcher is None else tuple(self.watcher.sampled),
            layers=self.watcher.traces() if self.watcher is not None else (),
            stopped=stopped,
            seconds=seconds,
            epochs_planned=self.setup.epochs,
            cadence_seconds=self.watcher.seconds if self.watcher is not None else 0.0,
            gradient_norms=self.watcher.gradient_norms() if self.watcher is not None else (),
        )


def exchanged(model: nn.Module, weights: Mapping[str, Any]) -> dict[str, Any]:
    """Give a model other weights.

    Args:
        model: Its parameters and buffers are written to.
        weights: What it gets.

    Returns:
        A copy of those that it had.
    """
    had = copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    return had


def _next(batches: Iterator[Any]) -> Any:
    with stage("data", "train"):
        return next(batches, None)
