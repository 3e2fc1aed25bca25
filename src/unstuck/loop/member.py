"""One of several runs that are trained together."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, final

import torch
from torch import nn
from torch.optim import LBFGS, Optimizer

from unstuck.loop.evaluate import evaluate
from unstuck.loop.record import RunRecord
from unstuck.loop.training import Run, exchanged
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated


class NotTogether(Exception):
    """These set-ups cannot be trained as one; each can be trained alone."""


@final
@dataclass
class Member:
    """One of the runs, with what `fit` keeps of a run.

    Attributes:
        setup: With private copies of its functions.
        model: Its parameters are views of the stack until the run stops.
        optimizer: Over those.
        scheduler: Over the optimizer, or None.
        validate: Whether the validation loss is taken after each epoch.
        losses: Training loss before each step.
        rates: Rate at each step.
        epoch_ends: Number of steps done at the end of each epoch.
        validation_losses: Validation loss after each epoch.
        best: Lowest validation loss and its weights, where the set-up stops early.
        stopped: Why the run has stopped, as in `RunRecord`; "" while it goes on.
    """

    setup: Setup
    model: nn.Module
    optimizer: Optimizer
    scheduler: Any
    validate: bool
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    epoch_ends: list[int] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    best: tuple[float, dict[str, Any]] | None = None
    stopped: str = ""

    def end_epoch(self) -> None:
        """Validate, keep the best weights, and step the scheduler."""
        setup = self.setup
        self.epoch_ends.append(len(self.losses))
        if self.validate and setup.validation is not None:
            loss = evaluate(setup, self.model, setup.validation).loss
            self.validation_losses.append(loss)
            if setup.early_stopping and (self.best is None or loss < self.best[0]):
                self.best = (loss, copy.deepcopy(self.model.state_dict()))
        if self.scheduler is not None and setup.schedule_every == "plateau":
            recent = self.losses[-20:]
            self.scheduler.step(self.validation_losses[-1] if self.validation_losses else sum(recent) / len(recent))
        elif self.scheduler is not None and setup.schedule_every == "epoch":
            self.scheduler.step()

    def stop(self, why: str) -> None:
        """Leave the stack: the other runs go on."""
        self.stopped = why
        with torch.no_grad():
            for part in (*self.model.parameters(), *self.model.buffers()):
                part.data, part.grad = part.data.clone(), None

    def finished(self, given: Setup, seconds: float) -> Run:
        """The run, on its own memory again, of the set-up as given; `seconds` is its share of the wall time."""
        if not self.stopped:
            self.stop("finished")
        ended = None if self.best is None else exchanged(self.model, self.best[1])
        record = RunRecord(
            seed=self.setup.seed,
            losses=tuple(self.losses),
            rates=tuple(self.rates),
            epoch_ends=tuple(self.epoch_ends),
            validation_losses=tuple(self.validation_losses),
            sampled_steps=(),
            layers=(),
            stopped=self.stopped,
            seconds=seconds,
            epochs_planned=self.setup.epochs,
        )
        return Run(given, self.model, record, ended=ended)


def begin(setup: Setup, validate: bool) -> Member:
    """Make model, optimizer and scheduler, each from the run's own seed.

    Args:
        setup: With the seed of the run.
        validate: Whether the validation loss is taken after each epoch.

    Returns:
        The run, no step taken.

    Raises:
        NotTogether: If hooks or the optimizer need the run to be alone.
    """
    with isolated(setup.seed):
        own, model, optimizer = setup.fresh()
        scheduler = None if own.scheduler is None else own.scheduler(optimizer)
    if isinstance(optimizer, LBFGS) or any(_has_hooks(module) for module in model.modules()):
        raise NotTogether
    if any(parameter._backward_hooks for parameter in model.parameters()):
        raise NotTogether
    if not model.training:
        model.train()
    return Member(own, model, optimizer, scheduler, (validate or setup.early_stopping) and own.loss is not None)


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)
