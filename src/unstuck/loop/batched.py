"""Several runs of one model at once: the seeds and rates of a trial as one batched run, where the model allows.

The parameters of all runs are stacked; one forward and one backward pass under `vmap` serves all of them. Each run
keeps its own model, whose parameters are views of the stack, and its own optimizer and scheduler over those, so
that any optimizer of torch does exactly what it does alone; those that treat every number by itself are stepped on
the stack. Sums are taken in another order than alone, so results agree to rounding, not to the bit.

Measured on one core (batch 32, CPU time alone / together): a 64-64 MLP with Adam 1.3 for 4 runs and 2.4 for 8, eight
dense layers 1.5 and 2.4, a small CNN with batch-norm 1.4 and 1.8, a CNN whose convolutions fill the time 1.1 and 1.2;
with SGD 0.9 to 1.2 for 4 and 1.1 to 2.1 for 8. Three runs gain nothing worth having.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from unstuck.errors import UnstuckError
from unstuck.loop.member import Member, NotTogether, begin
from unstuck.loop.stacked import StackedOptimizer
from unstuck.loop.stages import compute_loss
from unstuck.loop.training import Run
from unstuck.setup import Batch, Setup, StackedData
from unstuck.setup.batch import map_tensors, tensors
from unstuck.setup.randomness import isolated, one_thread, seeded, trainable

MAY_DIFFER: Final = ("seed", "optimizer", "described")


def fit_together(
    setups_and_seeds: Sequence[tuple[Setup, int]],
    *,
    seconds: float | None = None,
    steps: int | None = None,
    validate: bool = True,
) -> tuple[Run, ...] | None:
    """Train set-ups that differ only in their seed and the factor of their rate, as one batched run.

    Args:
        setups_and_seeds: K set-ups, each with the seed it is to run with.
        seconds: Stop after this wall time for each run.
        steps: Stop after so many steps.
        validate: Whether the validation loss is taken after each epoch.

    Returns:
        What `fit` gives for each of them, to rounding; None where the model or the set-ups do not allow it: they
        differ in more, bring their own step, read their data through a loader, draw random numbers while training,
        carry hooks, or use an operation that cannot be batched.
    """
    setups = [replace(setup, seed=seed) for setup, seed in setups_and_seeds]
    if not setups or not _alike(setups):
        return None
    order = sorted(range(len(setups)), key=lambda number: setups[number].optimizer.rate_factor)
    start = time.perf_counter()
    try:
        with trainable(), isolated(setups[0].seed), one_thread():
            runs = [begin(setups[number], validate) for number in order]
            together = _Together(runs)
            limit = math.inf if seconds is None else start + seconds * len(runs)
            together.train(math.inf if steps is None else steps, limit)
    except (NotTogether, UnstuckError):  # trained alone, each gives its own error
        return None
    share = (time.perf_counter() - start) / len(runs)
    made = {number: run.finished(setups[number], share) for number, run in zip(order, runs, strict=True)}
    return tuple(made[number] for number in range(len(setups)))


def can_train_together(setups: Sequence[Setup]) -> bool:
    """Whether set-ups look as if `fit_together` would take them; what only running them shows is not asked."""
    return _alike(setups)


def _alike(setups: Sequence[Setup]) -> bool:
    first = setups[0]
    if (
        first.train_step is not None
        or first.loss is None
        or not first.corrections.none
        or not isinstance(first.train, StackedData)
    ):
        return False
    for other in setups[1:]:
        for part in dataclasses.fields(Setup):
            if part.name not in MAY_DIFFER and getattr(first, part.name) is not getattr(other, part.name):
                if getattr(first, part.name) != getattr(other, part.name):
                    return False
        mine, theirs = (replace(each.optimizer, rate_factor=1.0) for each in (first, other))
        if any(getattr(mine, part.name) != getattr(theirs, part.name) for part in dataclasses.fields(mine)):
            return False
    return True


class _Loss(nn.Module):
    """Model and loss as one function of a batch."""

    def __init__(self, setup: Setup, model: nn.Module) -> None:
        super().__init__()
        self.setup, self.model = setup, model

    def forward(self, batch: Batch) -> Tensor:
        return compute_loss(self.setup, self.setup.outputs(self.model, batch), batch)


@final
class _Together:
    """K runs whose weights are stacked."""

    def __init__(self, runs: Sequence[Member]) -> None:
        self.runs = runs
        self.whole = _Loss(runs[0].setup, runs[0].model)
        named = [dict(run.model.named_parameters()) for run in runs]
        held = [dict(run.model.named_buffers()) for run in runs]
        if any(_shapes(other) != _shapes(named[0]) for other in named[1:]):
            raise NotTogether
        self.parameters = {name: self._stacked([each[name] for each in named]) for name in named[0]}
        self.buffers = {name: self._stacked([each[name] for each in held]) for name in held[0]}
        self.views = {name: [each[name] for each in named] for name in named[0]}
        optimizers, factors = [run.optimizer for run in runs], [run.setup.optimizer.rate_factor for run in runs]
        self.optimizer: StackedOptimizer | None = None
        if runs[0].setup.schedule_every != "plateau" and StackedOptimizer.fits(optimizers, factors):
            names = {id(each): name for name, views in self.views.items() for each in views}
            self.optimizer = StackedOptimizer(optimizers, factors, self.parameters, names)

    def _stacked(self, parts: Sequence[Tensor]) -> Tensor:
        """One tensor `[K, …]`; every part becomes a view of it."""
        with torch.no_grad():
            whole = torch.stack([part.detach() for part in parts])
            for number, part in enumerate(parts):
                part.data = whole[number]
        return whole.requires_grad_(parts[0].requires_grad)

    def train(self, steps: float, until: float) -> None:
        """Take the steps of all runs.

        Args:
            steps: At most so many.
            until: `time.perf_counter()` value at which to stop.
        """
        for done, (batch, ends_epoch) in enumerate(self._batches()):
            self._step(batch, first=done == 0)
            active = [run for run in self.runs if not run.stopped]
            for run in active:
                if ends_epoch:
                    run.end_epoch()
                if not math.isfinite(run.losses[-1]):
                    run.stop("non-finite")
                elif done + 1 >= steps:
                    run.stop("finished")
                elif time.perf_counter() > until:
                    run.stop("time")
            if all(run.stopped for run in self.runs):
                break

    def _batches(self) -> Iterator[tuple[Batch, bool]]:
        """The batches of all runs, each in its own order, `[K, B, …]`, and whether they end an epoch."""
        data, epochs = self.whole.setup.train, self.whole.setup.epochs
        assert isinstance(data, StackedData)  # `_alike` has asked
        samples, device = data.samples, self.whole.setup.device
        generators = [seeded(run.setup.seed) for run in self.runs]
        for _ in range(epochs):
            order = torch.stack([data.order(generator) for generator in generators])
            for number in range(data.batches_per_epoch):
                chosen = order[:, number * data.batch_size : (number + 1) * data.batch_size]
                yield _taken(samples, chosen, device), number + 1 == data.batches_per_epoch

    def _step(self, batch: Batch, first: bool) -> None:
        losses = self._losses(batch, first)
        try:
            torch.autograd.backward(losses.sum())
        except RuntimeError as error:  # the sparse gradient of an embedding cannot be batched
            raise NotTogether from error
        for run, loss in zip(self.runs, losses.tolist(), strict=True):
            if not run.stopped:
                run.losses.append(loss)
                rate = run.optimizer.param_groups[0].get("lr", math.nan)
                run.rates.append(float(rate) * run.setup.optimizer.rate_factor)
        self._update()
        for whole in self.parameters.values():
            whole.grad = None
        for run in self.runs:
            if not run.stopped and run.setup.schedule_every == "step" and run.scheduler is not None:
                run.scheduler.step()

    def _update(self) -> None:
        if self.optimizer is not None:
            self.optimizer.step()
            for run in self.runs:
                vars(run.optimizer)["_opt_called"] = True  # what a scheduler asks before it steps
            return
        for name, whole in self.parameters.items():
            for run, number, view in zip(self.runs, range(len(self.runs)), self.views[name], strict=True):
                view.grad = None if whole.grad is None or run.stopped else whole.grad[number]
        for run in self.runs:
            if not run.stopped:
                run.optimizer.step()

    def _losses(self, batch: Batch, first: bool) -> Tensor:
        """The loss of each run, `[K]`; whatever keeps them from being batched shows here, most of it the first time."""
        weights = {f"model.{name}": part for name, part in (*self.parameters.items(), *self.buffers.items())}

        def one(weights: dict[str, Tensor], batch: Batch) -> Tensor:
            loss: Tensor = functional_call(self.whole, weights, (batch,))
            return loss

        before = torch.random.get_rng_state() if first else None
        if first and not all(tensor.dim() > 1 for tensor in tensors(batch)):
            raise NotTogether
        try:
            result: Tensor = vmap(one, randomness="different" if first else "error")(weights, batch)
        except Exception as error:  # control flow on values, no batching rule; a loss that refuses what has diverged
            raise NotTogether from error
        if before is None:
            return result
        if not torch.equal(before, torch.random.get_rng_state()) or not result.requires_grad:
            raise NotTogether  # dropout would draw other masks than alone
        return result


def _shapes(named: dict[str, nn.Parameter]) -> dict[str, torch.Size]:
    return {name: parameter.shape for name, parameter in named.items()}


def _taken(samples: Batch, chosen: Tensor, device: torch.device) -> Batch:
    return map_tensors(samples, lambda tensor: tensor[chosen.to(tensor.device)].to(device))
