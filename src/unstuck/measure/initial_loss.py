"""The loss before the first step, against the best constant prediction and the lowest that there is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor, nn

from unstuck.edits.last_layer import last_affine
from unstuck.errors import RemedyError, UnstuckError
from unstuck.loop import score_of
from unstuck.loop.stages import stage
from unstuck.measure.best_constant import KEPT, BestConstant
from unstuck.measure.layout import Layout
from unstuck.measure.output_reach import OutputReach
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.task import Task
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated, one_thread

SAMPLES: Final = 256
"""Training samples that the loss is taken on, in batches as they are trained on."""

ROUNDING: Final = 1e-4
"""Share of the outputs' range by which a straight line may miss them: rounding of float32 numbers about an offset."""

RAREST: Final = 1e-3
"""Probability below which a constant counts as this, since what never happens would want a bias of minus infinity."""


@final
@dataclass(frozen=True, slots=True)
class InitialLoss:
    """Where training starts.

    Attributes:
        loss: Of the untrained model, in training mode.
        constant: Of the best constant prediction.
        ideal: The lowest that any outputs can have; infinite where it is not known.
        mean: Mean over samples of what the last layer gives, output by output; empty where that is not known.
        wanted: What it would have to give for the best constant prediction; likewise.
        spread: Standard deviation over samples of what the last layer gives, root mean square over outputs.
        unit: By how much the outputs move, before their activation, where what the last layer gives moves by 1, root
            mean square over outputs: 1 unless something fixed behind it scales them.
    """

    cost: ClassVar[float] = 0.1

    loss: float
    constant: float
    ideal: float
    mean: tuple[float, ...]
    wanted: tuple[float, ...]
    spread: float
    unit: float

    @classmethod
    def measure(
        cls, prepared: Prepared, task: Task, best: BestConstant, reach: OutputReach, layout: Layout
    ) -> InitialLoss:
        """Run the untrained model on some batches.

        Args:
            prepared: The set-up.
            task: The task.
            best: The best constant prediction.
            reach: Holds the lowest loss.
            layout: Names the last activation.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If the outputs are no tensors, or the loss cannot take them.
        """
        setup = prepared.setup
        with isolated(setup.seed), one_thread():
            own, model, _ = setup.fresh()
            model.train()  # as the first step sees it: batch-norm with the batch's own statistics
            batches = own.train.head(SAMPLES)
            with torch.no_grad(), stage("forward"), _watching(own, model) as given:
                outputs = [own.outputs(model, own.placed(batch)) for batch in batches]
            if not all(isinstance(part, Tensor) and part.dim() for part in outputs):
                raise NotMeasurable("the outputs must be tensors `[N, …]`")
            try:
                loss = score_of(own, outputs, batches).loss
            except UnstuckError as error:
                raise NotMeasurable(str(error)) from error
            made = _before(layout.last_operation, torch.cat(outputs).double().cpu())
        if made is not None and made.dim() == 1:  # one output a sample, its dimension squeezed away
            made = made.unsqueeze(1)
        found = cls(loss, best.training_loss, reach.ideal, (), (), math.nan, math.nan)
        constant = torch.tensor(best.constant, dtype=torch.float64)
        if made is None or made.dim() < 2 or not len(constant) == made[0].numel() <= KEPT:
            return found
        wanted = _before(layout.last_operation, constant.reshape(1, *made.shape[1:]))
        if wanted is None:
            return found
        rows, wanted, unit = _in_units_of(given, made.reshape(len(made), -1), wanted.reshape(1, -1))
        mean = rows.mean(0)
        if not torch.isfinite(wanted - mean).all():
            return found
        spread = float(rows.var(0, correction=0).mean().sqrt())
        middles = tuple(mean.tolist()), tuple(wanted.flatten().tolist())
        return cls(found.loss, found.constant, found.ideal, *middles, spread, unit)


@contextmanager
def _watching(setup: Setup, model: nn.Module) -> Iterator[list[Tensor]]:
    """What the last affine layer gives by itself, before anything that is hung behind it."""
    given: list[Tensor] = []
    try:
        layer = model.get_submodule(last_affine(setup))
    except RemedyError:
        yield given
        return

    def note(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, Tensor):
            given.append(output.detach().double().cpu())

    handle = layer.register_forward_hook(note, prepend=True)
    try:
        yield given
    finally:
        handle.remove()


def _in_units_of(given: list[Tensor], rows: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor, float]:
    """Outputs before their activation, and what is wanted of them, in units of what the last layer gives.

    Args:
        given: What it gave, batch by batch.
        rows: Those outputs `[N, K]`.
        wanted: Shape `[1, K]`.

    Returns:
        Both, shapes `[N, K]` and `[1, K]`, and what one unit is; as they are where they are no straight line of it.
    """
    raw = torch.cat([part.reshape(len(part), -1) for part in given]) if given else rows
    if raw.shape != rows.shape:
        return rows, wanted, 1.0
    centre, middle = raw.mean(0), rows.mean(0)
    slope = ((raw - centre) * (rows - middle)).sum(0) / (raw - centre).square().sum(0)
    line = middle + slope * (raw - centre)
    straight = (line - rows).abs().amax(0) <= ROUNDING * (rows - middle).abs().amax(0)
    if not (straight & (slope != 0.0)).all():
        return rows, wanted, 1.0
    return raw, centre + (wanted - middle) / slope, float(slope.square().mean().sqrt())


def _before(activation: str, outputs: Tensor) -> Tensor | None:
    """What the last activation took to give some outputs `[N, K]`; None where it cannot be told."""
    if activation in ("", "log_softmax"):
        return outputs
    if activation == "sigmoid":
        return outputs.logit(RAREST)
    return outputs.clamp_min(RAREST).log() if activation == "softmax" else None
