"""The set-up: everything that is needed to train once more, and nothing of the user's own objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.setup.batch import Batch, map_tensors, replace_targets, split_batch
from unstuck.setup.corrections import Corrections
from unstuck.setup.data import Data
from unstuck.setup.model import Edit, ModelRecipe
from unstuck.setup.optimizer import OptimizerRecipe
from unstuck.setup.private import Memo, private

if TYPE_CHECKING:
    from unstuck.setup.of import DataSource, ModelSource, OptimizerSource

Loss = Callable[[Any, Any], Tensor]
Forward = Callable[[nn.Module, Batch], Any]
TrainStep = Callable[[nn.Module, Optimizer, Batch], Tensor]
SchedulerFactory = Callable[[Optimizer], Any]


@final
@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Setup:
    """A training set-up. Made by `Setup.of`; remedies and faults are functions from one set-up to another.

    Attributes:
        model: Makes the model.
        loss: `(outputs, targets) -> scalar`, or None where `train_step` does it all.
        optimizer: Makes the optimizer.
        train: The training split.
        validation: The validation split, where the user gave one.
        test: The test split, likewise.
        unlabelled: Test inputs without labels, in place of `test`: batches `(inputs, …, None)`.
        epochs: Passes over the training split.
        scheduler: Makes the rate scheduler, where there is one.
        schedule_every: "step", "epoch" or "plateau": when and how the scheduler is stepped.
        forward: `(model, batch) -> outputs`, where calling the model on the inputs is not enough.
        train_step: `(model, optimizer, batch) -> loss`, where the user brings their own step.
        seed: Seeds initialisation, order and dropout.
        device: Where model and batches live.
        early_stopping: Whether the weights of the epoch with the lowest validation loss are kept.
        corrections: What is put right around the training step.
        candidates_tried: Candidates judged on the validation split before this one was chosen, where known.
        described: Further fields for the diff of the set-up, field → rendering, such as the loss.
        lines: Part, such as "optimizer" → where the user's source makes or uses it, as "train.py:12".
    """

    model: ModelRecipe
    loss: Loss | None
    optimizer: OptimizerRecipe
    train: Data
    validation: Data | None = None
    test: Data | None = None
    unlabelled: Data | None = None
    epochs: int = 10
    scheduler: SchedulerFactory | None = None
    schedule_every: str = "epoch"
    forward: Forward | None = None
    train_step: TrainStep | None = None
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    early_stopping: bool = False
    corrections: Corrections = Corrections()
    candidates_tried: int | None = None
    described: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def of(
        *,
        model: ModelSource,
        loss: Loss | None,
        optimizer: OptimizerSource,
        train: DataSource,
        validation: DataSource | None = None,
        test: DataSource | None = None,
        epochs: int = 10,
        batch_size: int | None = None,
        scheduler: SchedulerFactory | None = None,
        schedule_every: str | None = None,
        forward: Forward | None = None,
        train_step: TrainStep | None = None,
        seed: int = 0,
        candidates_tried: int | None = None,
    ) -> Setup:
        """Make a set-up from live objects or factories; they are copied once and never touched again.

        Args:
            model: An `nn.Module`, whose present weights are the starting point of every run, or a function
                without arguments that makes one, drawn anew for each seed.
            loss: `(outputs, targets) -> scalar tensor`; None only together with `train_step`.
            optimizer: A live optimizer over `model`'s parameters, or `parameters -> Optimizer`.
            train: A `DataLoader`, a `Dataset`, or `(inputs, …, targets)` as tensors or arrays.
            validation: Likewise; held-out samples of the training distribution.
            test: Likewise; where the model is meant to work. `(inputs, …, None)` where it has no labels.
            epochs: Passes over the training split.
            batch_size: Samples per batch where `train` is no `DataLoader`; 32 where not given.
            scheduler: `optimizer -> LRScheduler`.
            schedule_every: "epoch" or "step"; where not given, "step" for the schedulers of torch that are made
                for it (OneCycleLR, CyclicLR) and "epoch" for the others.
            forward: `(model, batch) -> outputs`.
            train_step: `(model, optimizer, batch) -> loss`.
            seed: Seeds initialisation, order and dropout.
            candidates_tried: How many candidates were judged on `validation` before this one was chosen, itself
                included; where not given, the log of `unstuck select` is asked.

        Returns:
            The set-up.

        Raises:
            SetupError: If an argument is not what it must be; the message says what to do.
            ExaminationError: If a factory or the data set raises.
        """
        from unstuck.setup.checks import check_count
        from unstuck.setup.of import setup_of  # the checks need this class

        made = setup_of(
            model=model,
            loss=loss,
            optimizer=optimizer,
            train=train,
            validation=validation,
            test=test,
            epochs=epochs,
            batch_size=batch_size,
            scheduler=scheduler,
            schedule_every=schedule_every,
            forward=forward,
            train_step=train_step,
            seed=seed,
        )
        return replace(made, candidates_tried=check_count("candidates_tried", candidates_tried))

    def with_edit(self, edit: Edit) -> Setup:
        """The same set-up with one more change to its model."""
        return replace(self, model=self.model.with_edit(edit))

    def corrected(self, **corrections: Any) -> Setup:
        """The same set-up with something more put right around its training step; names as in `Corrections`."""
        return replace(self, corrections=replace(self.corrections, **corrections))

    def with_loss(self, loss: Loss, description: str) -> Setup:
        """The same set-up with another loss."""
        return replace(self, loss=loss, described={**self.described, "loss": description})

    def build(self) -> tuple[nn.Module, Optimizer]:
        """Make model and optimizer under the present random state."""
        return self.fresh()[1:]

    def fresh(self) -> tuple[Setup, nn.Module, Optimizer]:
        """Make all that a run changes under the present random state.

        Returns:
            This set-up with private copies of its functions, the model, and the optimizer. What the functions hold
            on to (a gradient scaler, a list, a second network) is copied with them.
        """
        memo: Memo = {}
        model, live = self.model.make(memo)
        model.to(self.device)
        optimizer = self.optimizer.make(model, live, memo)
        loss, forward = private(self.loss, memo), private(self.forward, memo)
        train_step, scheduler = private(self.train_step, memo), private(self.scheduler, memo)
        self.corrections.install(model, optimizer)
        own = replace(self, loss=loss, forward=forward, train_step=train_step, scheduler=scheduler)
        return own, model, optimizer

    def outputs(self, model: nn.Module, batch: Batch) -> Any:
        """Run the model on a batch that is already on the device."""
        if self.forward is not None:
            return self.forward(model, batch)
        inputs, named, _ = split_batch(batch)
        return model(*inputs, **named)

    def targets(self, batch: Batch) -> Any:
        """The targets of a batch."""
        return split_batch(batch)[2]

    def placed(self, batch: Batch) -> Batch:
        """The batch on the set-up's device."""
        if self.device.type == "cpu":
            return batch
        return map_tensors(batch, lambda tensor: tensor.to(self.device))

    def with_targets(self, batch: Batch, targets: Any) -> Batch:
        """The batch with other targets."""
        return replace_targets(batch, targets)
