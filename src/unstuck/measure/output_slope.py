"""How much of a loss's pull passes the last activation, against a cross-entropy, as the network starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from unstuck.loop.evaluate import predict
from unstuck.loop.stages import compute_loss
from unstuck.measure.first_batch import SAMPLES
from unstuck.measure.layout import Layout
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.task import Kind, Task
from unstuck.setup import Batch, Setup
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated, one_thread

SQUASHING: Final = ("sigmoid", "softmax")
KINDS: Final = (Kind.CLASSES, Kind.BINARY, Kind.LABELS)


@final
@dataclass(frozen=True, slots=True)
class OutputSlope:
    """The pull on the inputs of the last activation.

    Attributes:
        activation: "sigmoid" or "softmax"; "" where the outputs are not squashed, or the loss undoes it.
        passing: Gradient of the loss with respect to what the last activation takes, over that of a cross-entropy, as
            a share of the same ratio at undecided outputs; 1 for outputs that are undecided, 0 on a plateau. NaN
            where there is no such activation.
        wrong: Share of the outputs that are further from their target than undecided ones.
    """

    cost: ClassVar[float] = 0.0

    activation: str
    passing: float
    wrong: float

    @classmethod
    def measure(cls, prepared: Prepared, task: Task, layout: Layout) -> OutputSlope:
        """Look at the outputs of the untrained model on some samples.

        With z what the activation takes, o = σ(z) and ∂L/∂z = σ'(z) ∂L/∂o; of a cross-entropy it is o − y (Bridle
        1990).

        Args:
            prepared: The set-up.
            task: The task.
            layout: Names the last activation.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If outputs and targets do not match.
        """
        setup, activation = prepared.setup, layout.last_operation
        if activation not in SQUASHING or task.output_form is not OutputForm.VALUES or task.kind not in KINDS:
            return cls("", math.nan, math.nan)
        with isolated(setup.seed), one_thread():
            own, model, _ = setup.fresh()
            batch = own.placed(gather(own.train.head(SAMPLES)))
            outputs = predict(own, model, [batch])[0]
            wanted = _wanted(task, outputs, own.targets(batch))
            share = 1.0 / outputs.shape[1] if activation == "softmax" and outputs.dim() > 1 else 0.5
            undecided = torch.full_like(outputs, share)
            here = _pull(own, activation, outputs, batch) / _norm(outputs - wanted)
            there = _pull(own, activation, undecided, batch) / _norm(undecided - wanted)
        wrong = (outputs - wanted).abs() > (undecided - wanted).abs() + 1e-6
        passing = here / there if there > 0.0 else math.nan
        return cls(activation, passing, float(wrong.double().mean()))


def _wanted(task: Task, outputs: Tensor, targets: Tensor) -> Tensor:
    """Targets as zeros and ones in the shape of the outputs."""
    if targets.numel() == outputs.numel():
        return targets.reshape(outputs.shape).to(outputs.dtype)
    if task.kind is not Kind.CLASSES or outputs.dim() < 2:
        raise NotMeasurable(f"outputs {list(outputs.shape)} and targets {list(targets.shape)} do not match")
    labels = targets.long().reshape(len(outputs), *outputs.shape[2:]).clamp(0, outputs.shape[1] - 1)
    return torch.nn.functional.one_hot(labels, outputs.shape[1]).movedim(-1, 1).to(outputs.dtype)


def _pull(setup: Setup, activation: str, outputs: Tensor, batch: Batch) -> float:
    """Norm of the loss's gradient with respect to what the activation takes."""
    with torch.enable_grad():
        leaf = outputs.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(compute_loss(setup, leaf, batch), leaf)
    made, slope = outputs.double(), gradient.double()
    if activation == "sigmoid":
        return _norm(made * (1.0 - made) * slope)
    return _norm(made * (slope - (made * slope).sum(1, keepdim=True)))


def _norm(values: Tensor) -> float:
    return max(float(values.double().norm()), 1e-300)
