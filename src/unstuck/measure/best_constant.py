"""The best constant prediction: the loss of a model that does not look at its inputs.

Found numerically under the set-up's own loss, whatever it is, so that class weights, label smoothing, sums in
place of means and losses of the user's own making are all accounted for.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, final

import numpy as np
import torch
from torch import Tensor, nn

from unstuck.errors import UnstuckError
from unstuck.loop import score_of
from unstuck.loop.evaluate import SAMPLES, predict
from unstuck.loop.stages import compute_loss
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.preparation import Prepared
from unstuck.measure.problem import positions_line_up
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.task import OF_CLASSES, Task
from unstuck.setup import Batch, Data, Setup
from unstuck.setup.batch import concatenate, length, map_tensors, tensors
from unstuck.setup.randomness import isolated, one_thread

Array = np.ndarray[Any, np.dtype[np.float64]]
Attempt = tuple[Setup, list[Batch], torch.dtype]

KEPT: Final = 64
"""Entries of the constant that are kept in the measurement at most."""

LARGEST_BATCH: Final = 2**22
"""Numbers in the outputs of one call of the loss at most; beyond, it is called batch by batch."""

STILL_FALLING: Final = 1e-3
"""A minimum from which the same way again gains more than this share of what was gained is none."""

RESTARTS: Final = 3
"""How often the search goes on from a point that is still falling before it counts as unbounded."""


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
    def measure(cls, prepared: Prepared, task: Task) -> BestConstant:
        """Minimise the loss over constants.

        Args:
            prepared: The set-up with its splits.
            task: The task.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If the outputs are no tensor, or the loss has no lowest value over constants.
        """
        if len(task.output_shape) < 1:
            raise NotMeasurable("the outputs must be a tensor to be held against a constant")
        setup = prepared.setup
        with isolated(setup.seed), one_thread():
            constant = _best(setup, task)
            training = _loss(setup, task, constant, setup.train)
            held_out = _loss(setup, task, constant, prepared.held_out)
            test = None if setup.test is None else _loss(setup, task, constant, setup.test)
        if not math.isfinite(training):
            raise NotMeasurable(f"the loss of the best constant prediction is {training}")
        return cls(training, held_out, test, tuple(constant.flatten()[:KEPT].tolist()))


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


def _loss(setup: Setup, task: Task, constant: Tensor, data: Data) -> float:
    batches = data.head(SAMPLES)
    doubled = any(tensor.dtype == torch.float64 for tensor in tensors(batches[0]))
    outputs = [
        expanded(task, constant, length(batch), setup.targets(batch))
        .to(torch.float64 if doubled else torch.float32)
        .to(setup.device)
        for batch in batches
    ]
    return score_of(setup, outputs, batches).loss


def _best(setup: Setup, task: Task) -> Tensor:
    """The constant with the lowest training loss, of all starts and in the first precision that works."""
    batches = [setup.placed(batch) for batch in setup.train.head(SAMPLES)]
    valid, inverse = _parametrisation(setup, task, batches)
    reason = "no start gives a finite loss"
    for attempt in _attempts(setup, task, batches):
        objective = _Objective(task, valid, attempt)
        try:
            found = [_descend(objective, inverse(start)) for start in _starts(setup, task, batches)]
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
        """Loss and gradient at a point, shape `[P]`; a gradient of zeros where the loss is not finite."""
        with torch.enable_grad():
            parameters = torch.from_numpy(point.copy()).requires_grad_()
            constant = self.valid(parameters.reshape(constant_shape(self.task)))
            constant = constant.to(self.dtype).to(self.setup.device)
            whole: Tensor = torch.zeros((), dtype=torch.float64)
            weights = [length(batch) for batch in self.batches]
            for batch, weight in zip(self.batches, weights, strict=True):
                outputs = expanded(self.task, constant, weight, self.setup.targets(batch))
                loss = compute_loss(self.setup, outputs, batch)
                whole = whole + loss.double().cpu() * (weight / sum(weights))
            if not whole.requires_grad:
                raise ValueError("the loss does not depend on the outputs through differentiable operations")
            (gradient,) = torch.autograd.grad(whole, parameters)
        value, slope = float(whole.detach()), gradient.numpy().astype(np.float64)
        if math.isnan(value) or not np.isfinite(slope).all():
            return math.inf, np.zeros_like(slope)
        return value, slope


def _descend(objective: _Objective, start: Array) -> tuple[float, Array]:
    """Minimise from one start: L-BFGS, then Powell's method where there is a kink.

    Args:
        objective: The training loss.
        start: Free parameters, shape `[P]`.

    Returns:
        The lowest loss, infinite where it is not finite at the start, and where it is.

    Raises:
        NotMeasurable: If the loss goes on falling without end.
    """
    from scipy import optimize

    minimize: Any = optimize.minimize  # its stubs know no plain dictionary of options

    first, slope = objective(start)
    if not math.isfinite(first):
        return math.inf, start
    value, point = first, start
    settings = {"maxfun": 200, "ftol": 1e-14, "gtol": 1e-9}
    for _ in range(RESTARTS):
        found = minimize(objective, point, jac=True, method="L-BFGS-B", options=settings)
        if float(found.fun) <= value:
            value, point = float(found.fun), np.asarray(found.x, dtype=np.float64)
        further = objective(2.0 * point - start)[0]
        if not (value - further > STILL_FALLING * (first - value) and value - further > 1e-9):
            break
    else:
        raise NotMeasurable("the loss has no lowest value over constant predictions: it falls without end")
    steepest = float(np.abs(slope).max(initial=1e-12))
    if float(np.abs(objective(point)[1]).max(initial=0.0)) > 1e-4 * steepest and point.size <= 16:
        settings = {"maxfev": 60 * (1 + point.size), "xtol": 1e-6, "ftol": 1e-10}
        found = minimize(lambda p: objective(p)[0], point, method="Powell", options=settings)
        if float(found.fun) < value:
            value, point = float(found.fun), np.atleast_1d(np.asarray(found.x, dtype=np.float64))
    return value, point


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


def _parametrisation(
    setup: Setup, task: Task, batches: list[Batch]
) -> tuple[Callable[[Tensor], Tensor], Callable[[Array], Array]]:
    """From free parameters to valid outputs, and from a start back to parameters."""
    form = _range_of_outputs(setup, batches) if task.output_form is OutputForm.UNKNOWN else task.output_form
    if form is OutputForm.CLASS_LOG_PROBABILITIES:
        return lambda free: free.log_softmax(0), lambda start: start
    if form is OutputForm.PROBABILITIES:
        return torch.sigmoid, _logit
    if form is OutputForm.CLASS_PROBABILITIES:
        return lambda free: free.softmax(0), lambda start: start
    if form is OutputForm.RATES:
        return torch.exp, lambda start: np.log(np.clip(start, 1e-4, None)) if start.any() else start
    return lambda free: free * 1.0, lambda start: start


def _logit(start: Array) -> Array:
    if not start.any():
        return start
    inside = np.clip(start, 1e-3, 1.0 - 1e-3)
    return np.asarray(np.log(inside / (1.0 - inside)), dtype=np.float64)


def _range_of_outputs(setup: Setup, batches: list[Batch]) -> OutputForm:
    """What the outputs of the untrained model are valid as, where the loss is not known.

    Args:
        setup: Gives the model.
        batches: Of the training split.

    Returns:
        The form; VALUES stands for anything.
    """
    model, _ = setup.build()
    outputs = predict(setup, model, batches[:1])[0]
    if not isinstance(outputs, Tensor) or not outputs.numel():
        return OutputForm.VALUES
    outputs = outputs.double()
    ones = torch.ones((), dtype=torch.float64, device=outputs.device)
    if outputs.dim() > 1 and outputs.shape[1] > 1:
        if torch.allclose(outputs.exp().sum(1), ones, atol=1e-4):
            return OutputForm.CLASS_LOG_PROBABILITIES
        if bool((outputs >= 0.0).all()) and torch.allclose(outputs.sum(1), ones, atol=1e-4):
            return OutputForm.CLASS_PROBABILITIES
    return OutputForm.PROBABILITIES if bool(((outputs > 0.0) & (outputs < 1.0)).all()) else OutputForm.VALUES
