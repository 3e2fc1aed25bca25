"""The best constant prediction: the loss of a model that does not look at its inputs.

Found numerically under the set-up's own loss, whatever it is, so that class weights, label smoothing, sums in
place of means and losses of the user's own making are all accounted for.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Final, final

import numpy as np
import torch
from torch import Tensor, nn

from unstuck.errors import UnstuckError
from unstuck.loop import score_of
from unstuck.loop.evaluate import SAMPLES, predict
from unstuck.measure.constant_loss import loss_and_slope
from unstuck.measure.descent import Array, descend
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.output_range import parametrisation, range_of
from unstuck.measure.preparation import Prepared
from unstuck.measure.problem import positions_line_up
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.structured_constant import best_constants
from unstuck.measure.task import OF_CLASSES, Task
from unstuck.setup import Batch, Data, Setup
from unstuck.setup.batch import concatenate, length, map_tensors, tensors
from unstuck.setup.randomness import isolated, one_thread

Attempt = tuple[Setup, list[Batch], torch.dtype]

KEPT: Final = 64
"""Entries of the constant that are kept in the measurement at most."""

LARGEST_BATCH: Final = 2**22
"""Numbers in the outputs of one call of the loss at most; beyond, it is called batch by batch."""


@final
@dataclass(frozen=True, slots=True)
class BestConstant:
    """The best constant prediction; it is fitted on the training split only.

    Attributes:
        training_loss: Its loss on the training split, comparable with `evaluate(setup, model, setup.train)`.
        held_out_loss: On the held-out split.
        test_loss: On the test split, where there is one.
        constant: The outputs themselves, flattened, at most `KEPT` of them; one a class for targets
            per position.
    """

    cost: ClassVar[float] = 0.1

    training_loss: float
    held_out_loss: float
    test_loss: float | None
    constant: tuple[float, ...]

    @classmethod
    def measure(cls, prepared: Prepared, task: Task | Unmeasured) -> BestConstant:
        """Minimise the loss over constants.

        Args:
            prepared: The set-up with its splits.
            task: The task; where it cannot be told since outputs or targets are structures, a constant is sought for
                each tensor of the outputs.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If outputs have no row a sample, or the loss has no lowest value over constants.
        """
        if isinstance(task, Task) and not task.output_shape:
            raise NotMeasurable("each output must have a row a sample to be held against a constant")
        setup = prepared.setup
        if setup.loss is None:
            raise NotMeasurable("the loss is inside train_step; give `loss` as well")
        with isolated(setup.seed), one_thread():
            if isinstance(task, Unmeasured):
                found = best_constants(setup)
                outputs, kept = found.outputs, found.values
            else:
                constant = _best(setup, task)
                outputs, kept = partial(_outputs, setup, task, constant), constant.flatten()
            training = _loss(setup, outputs, setup.train)
            held_out = _loss(setup, outputs, prepared.held_out)
            test = None if setup.test is None else _loss(setup, outputs, setup.test)
        if not math.isfinite(training):
            raise NotMeasurable(f"the loss of the best constant prediction is {training}")
        return cls(training, held_out, test, tuple(kept[:KEPT].tolist()))


def constant_shape(task: Task) -> tuple[int, ...]:
    """Shape of a constant prediction: that of one output, or one number a class for targets per position."""
    return task.output_shape[1:2] if positions_line_up(task) else task.output_shape[1:]


def expanded(task: Task, constant: Tensor, samples: int, targets: Any) -> Tensor:
    """A constant as the outputs of a batch.

    Args:
        task: The task.
        constant: Of shape `constant_shape(task)`.
        samples: Number of samples in the batch.
        targets: The batch's targets; they give the number of positions where there is a target for each.

    Returns:
        Outputs, shape `[samples, …]`, in memory of their own.
    """
    if positions_line_up(task) and isinstance(targets, Tensor):
        places = tuple(targets.shape[1:])
        constant = constant.reshape(-1, *(1 for _ in places)).expand(-1, *places)
    return constant.unsqueeze(0).expand(samples, *constant.shape).contiguous()


def _outputs(setup: Setup, task: Task, constant: Tensor, batch: Batch) -> Tensor:
    """A constant as the outputs of a batch, in double precision where the batch is."""
    doubled = any(tensor.dtype == torch.float64 for tensor in tensors(batch))
    outputs = expanded(task, constant, length(batch), setup.targets(batch))
    return outputs.to(torch.float64 if doubled else torch.float32).to(setup.device)


def _loss(setup: Setup, outputs: Callable[[Batch], Any], data: Data) -> float:
    batches = data.head(SAMPLES)
    return score_of(setup, [outputs(batch) for batch in batches], batches).loss


def _best(setup: Setup, task: Task) -> Tensor:
    """The constant with the lowest training loss, of all starts and in the first precision that works."""
    batches = [setup.placed(batch) for batch in setup.train.head(SAMPLES)]
    form = _range_of_outputs(setup, batches) if task.output_form is OutputForm.UNKNOWN else task.output_form
    valid, inverse = parametrisation(form)
    reason = "no start gives a finite loss"
    for attempt in _attempts(setup, task, batches):
        objective = _Objective(task, valid, attempt)
        try:
            found = [descend(objective, inverse(start)) for start in _starts(setup, task, batches)]
        except (UnstuckError, RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
            reason = " ".join(str(error).split())[:200]
            continue
        finite = [(value, point) for value, point in found if math.isfinite(value)]
        if finite:
            point = min(finite, key=lambda pair: pair[0])[1]
            return valid(torch.from_numpy(point).reshape(constant_shape(task))).detach()
    raise NotMeasurable(f"the best constant prediction cannot be found: {reason}")


def _attempts(setup: Setup, task: Task, batches: list[Batch]) -> list[Attempt]:
    """What to try: in float64 on one large batch, then batch by batch, then in float32."""
    precise = setup
    if isinstance(setup.loss, nn.Module):
        precise = replace(setup, loss=copy.deepcopy(setup.loss).double())
    fine = [map_tensors(batch, lambda t: t.double() if t.is_floating_point() else t) for batch in batches]
    made = [(precise, fine, torch.float64), (setup, batches, torch.float32)]
    size = sum(map(length, batches)) * math.prod(task.output_shape[1:])
    if size <= LARGEST_BATCH and len(batches) > 1:
        try:
            made.insert(0, (precise, [concatenate(fine)], torch.float64))
        except (ValueError, RuntimeError, KeyError, TypeError):
            pass
    return made


@final
class _Objective:
    """The training loss as a function of the parameters of a constant."""

    def __init__(self, task: Task, valid: Callable[[Tensor], Tensor], attempt: Attempt) -> None:
        self.task, self.valid = task, valid
        self.setup, self.batches, self.dtype = attempt

    def __call__(self, point: Array) -> tuple[float, Array]:
        """Loss and gradient at a point."""
        return loss_and_slope(self.setup, self.batches, point, self._outputs)

    def _outputs(self, parameters: Tensor) -> Callable[[Batch], Tensor]:
        constant = self.valid(parameters.reshape(constant_shape(self.task))).to(self.dtype).to(self.setup.device)
        return lambda batch: expanded(self.task, constant, length(batch), self.setup.targets(batch))


def _starts(setup: Setup, task: Task, batches: list[Batch]) -> list[Array]:
    """Valid constants to start from: zeros, then mean, median or class shares of the targets."""
    shape = constant_shape(task)
    size = math.prod(shape)
    made = [np.zeros(size)]
    try:
        targets = torch.cat([setup.targets(batch) for batch in batches]).cpu()
    except (RuntimeError, TypeError):
        return made
    if task.classes == size and size > 1 and not task.one_hot and not targets.is_floating_point():
        whole = targets.flatten().long()
        counts = torch.bincount(whole[(whole >= 0) & (whole < size)], minlength=size).double()
        made.append(((counts + 0.5) / (counts.sum() + 0.5 * size)).log().numpy())
    elif targets.numel() == len(targets) * size:
        columns = targets.double().reshape(-1, size)
        middles = [columns.mean(0).numpy(), columns.median(0).values.numpy()]
        if task.output_form in OF_CLASSES:
            middles = [np.log(np.clip(middles[0], 1e-4, None))]
        made.extend(middles)
    return made


def _range_of_outputs(setup: Setup, batches: list[Batch]) -> OutputForm:
    """What the outputs of the untrained model are valid as, where the loss is not known."""
    model, _ = setup.build()
    outputs = predict(setup, model, batches[:1])[0]
    return range_of(outputs) if isinstance(outputs, Tensor) else OutputForm.VALUES
