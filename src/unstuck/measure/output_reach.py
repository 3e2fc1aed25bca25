"""What the outputs can ever be, whatever the weights become, and how low a loss that leaves.

The last layer's parameters are driven far both ways: what comes out of the activation behind it is what it can
give, also where it is scaled, shifted, or written by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from unstuck.edits.structure import AFFINE, RECURRENT
from unstuck.errors import UnstuckError
from unstuck.loop import score_of
from unstuck.loop.evaluate import SAMPLES, predict
from unstuck.measure.first_batch import SAMPLES as LOOKED_AT
from unstuck.measure.layout import Layout
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.task import Kind, Task
from unstuck.setup import Batch, Setup
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated, one_thread

DRIVE: Final = 1e3
"""How far the last layer is driven, in units of the largest target: far enough that a bound shows."""

DRAWS: Final = 6
"""Random draws of the last layer's parameters, besides its biases all down and all up."""

SHARPNESS: Final = (1.0, 3.0, 10.0, 30.0)
"""How far apart logits are put to see how low the loss goes: one of them suits a smoothed loss too."""

TINY: Final = 1e-6
"""How far probabilities and rates keep from their bounds, where the logarithm is infinite."""

ONE: Final = 1e-4
"""Distance from 1 within which a sum in float32 is taken for 1."""


@final
@dataclass(frozen=True, slots=True)
class OutputReach:
    """What the outputs can be.

    Attributes:
        low: The smallest output found; unbounded where it is beyond every target by orders of magnitude.
        high: The largest, likewise.
        constant: Whether the outputs are the same whatever the weights.
        sum_low: The smallest sum of a sample's outputs over dimension 1; NaN where there is one output.
        sum_high: The largest, likewise.
        sums_to_one: Whether a sample's outputs sum to 1 whatever the weights.
        logarithms: Whether their exponentials do.
        stuck_share: Share of the untrained model's outputs that lie on a bound exactly, where no gradient passes.
        floor: Lowest loss on the training split that outputs within reach can have.
        ideal: Lowest loss that any outputs that the loss accepts can have.
        missed: Share of targets, of those that are numbers in the shape of the outputs, beyond what these can be; NaN
            where the two are otherwise.
        shares: Whether each sample's targets, of those that are numbers, are shares of a whole: none below 0, and a
            sum of 1 over dimension 1.
    """

    cost: ClassVar[float] = 0.1

    low: float
    high: float
    constant: bool
    sum_low: float
    sum_high: float
    sums_to_one: bool
    logarithms: bool
    stuck_share: float
    floor: float
    ideal: float
    missed: float
    shares: bool

    @classmethod
    def measure(cls, prepared: Prepared, task: Task, layout: Layout) -> OutputReach:
        """Drive the last layer, and look for the lowest loss between what comes out.

        Args:
            prepared: The set-up.
            task: The task.
            layout: Names the last layer.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If there is no layer to be driven.
        """
        setup = prepared.setup
        with isolated(setup.seed), one_thread():
            model, _ = setup.build()
            batch = setup.placed(gather(setup.train.head(LOOKED_AT)))
            targets = setup.targets(batch).double()
            untrained = predict(setup, model, [batch])[0].double()
            layer = _last_layer(model, layout)
            size = DRIVE * (1.0 + float(targets.abs().max()) + float(untrained.abs().max()))
            driven = torch.cat([untrained, *_driven(setup, model, layer, batch, size)])
            finite = driven[torch.isfinite(driven)]
            if not finite.numel():
                raise NotMeasurable("the outputs are not finite when the last layer is driven far")
            low, high = float(finite.min()), float(finite.max())
            wide = driven.dim() > 1 and driven.shape[1] > 1
            sums = driven.sum(1) if wide else torch.full((1,), math.nan)
            one = wide and _all_one(sums)
            reach = _Reach(low, high, one)
            batches = setup.train.head(SAMPLES)
            return cls(
                low=low,
                high=high,
                constant=high - low <= TINY * max(1.0, abs(low)),
                sum_low=float(sums.min()),
                sum_high=float(sums.max()),
                sums_to_one=one,
                logarithms=wide and _all_one(driven.exp().sum(1)),
                stuck_share=float(((untrained == low) | (untrained == high)).double().mean()),
                floor=_lowest(setup, task, batches, reach),
                ideal=_lowest(setup, task, batches, _Reach(-math.inf, math.inf, False)),
                missed=_missed(task, targets, untrained, low, high),
                shares=task.kind is Kind.VALUES and _shares(targets),
            )


@final
@dataclass(frozen=True, slots=True)
class _Reach:
    low: float
    high: float
    sums_to_one: bool


def _last_layer(model: nn.Module, layout: Layout) -> nn.Module:
    for layer in reversed(layout.layers):
        module = model.get_submodule(layer.name)
        if isinstance(module, (*AFFINE, *RECURRENT)) and any(True for _ in module.parameters()):
            return module
    raise NotMeasurable("no linear, convolutional or recurrent layer was found that makes the outputs")


def _driven(setup: Setup, model: nn.Module, layer: nn.Module, batch: Batch, size: float) -> Iterator[Tensor]:
    """Outputs with the last layer's parameters far up, far down, and drawn far out."""
    for draw in range(2 + DRAWS):
        with torch.no_grad():
            for name, parameter in layer.named_parameters():
                if draw < 2 and "bias" in name:
                    parameter.fill_(size if draw else -size)
                else:
                    parameter.copy_(size * torch.randn_like(parameter))
        outputs = predict(setup, model, [batch])[0]
        yield outputs.double()


def _missed(task: Task, targets: Tensor, outputs: Tensor, low: float, high: float) -> float:
    """Share of the targets that lie below the smallest output or above the largest, beyond rounding."""
    if task.kind is not Kind.VALUES or targets.numel() != outputs.numel():
        return math.nan
    slack = ONE * float(targets.abs().max())
    return float(((targets < low - slack) | (targets > high + slack)).double().mean())


def _shares(targets: Tensor) -> bool:
    wide = targets.dim() > 1 and targets.shape[1] > 1
    return wide and bool((targets >= 0.0).all()) and _all_one(targets.sum(1))


def _all_one(sums: Tensor) -> bool:
    known = sums[torch.isfinite(sums)]
    return bool(known.numel()) and bool(((known - 1.0).abs() < ONE).all())


def _lowest(setup: Setup, task: Task, batches: list[Batch], reach: _Reach) -> float:
    """The lowest loss of outputs that say what the targets say as far as they can; infinite where none is valid."""
    losses = [math.inf]
    for candidate in _candidates(task):
        try:
            outputs = []
            for batch in batches:
                made = candidate(_as_outputs(task, setup.targets(setup.placed(batch)))).clamp(reach.low, reach.high)
                outputs.append(on_simplex(made) if reach.sums_to_one else made)
            loss = score_of(setup, list(outputs), batches).loss
        except (UnstuckError, RuntimeError, ValueError, TypeError, IndexError):
            continue
        if math.isfinite(loss):
            losses.append(loss)
    return min(losses)


def _candidates(task: Task) -> list[Callable[[Tensor], Tensor]]:
    """Ways to say what is wanted (classes one-hot, yes as 1, or values) in the form that the loss takes."""
    logits: list[Callable[[Tensor], Tensor]] = [
        lambda wanted, sharpness=sharpness: (2.0 * wanted - 1.0) * sharpness  # type: ignore[misc]
        for sharpness in SHARPNESS
    ]
    forms: dict[OutputForm, list[Callable[[Tensor], Tensor]]] = {
        OutputForm.CLASS_LOGITS: logits,
        OutputForm.BINARY_LOGITS: logits,
        OutputForm.CLASS_LOG_PROBABILITIES: [_logarithms],
        OutputForm.PROBABILITIES: [_chances],
        OutputForm.CLASS_PROBABILITIES: [_chances],
        OutputForm.LOG_RATES: [lambda wanted: wanted.clamp_min(TINY).log()],
        OutputForm.RATES: [lambda wanted: wanted.clamp_min(TINY)],
        OutputForm.NOTHING: [lambda wanted: wanted],
        OutputForm.VALUES: [lambda wanted: wanted],
        OutputForm.UNKNOWN: [_chances, _logarithms] if task.kind is Kind.CLASSES else [lambda wanted: wanted, _chances],
    }
    return forms[task.output_form]


def _chances(wanted: Tensor) -> Tensor:
    return wanted.clamp(TINY, 1.0 - TINY)


def _logarithms(wanted: Tensor) -> Tensor:
    return (wanted + TINY).log().log_softmax(1) if wanted.dim() > 1 else wanted.clamp_min(TINY).log()


def _as_outputs(task: Task, targets: Tensor) -> Tensor:
    """Targets in the shape of outputs; classes one-hot along dimension 1."""
    if task.kind is Kind.CLASSES and not task.one_hot:
        hot = functional.one_hot(targets.long().clamp(0, task.classes - 1), task.classes)
        return hot.movedim(-1, 1).float()
    shape = task.output_shape[1:]
    if task.kind is Kind.BINARY and math.prod(shape) == 2 and targets.numel() == len(targets):
        return functional.one_hot(targets.reshape(-1).long(), 2).float()
    if targets.numel() == len(targets) and math.prod(shape) > 1:  # the loss compares every output with the one target
        return targets.float().reshape(len(targets), *(1 for _ in shape)).expand(-1, *shape)
    return targets.float().reshape(len(targets), *shape)


def on_simplex(values: Tensor) -> Tensor:
    """The closest rows that are not below 0 and sum to 1 along dimension 1 (Duchi et al., ICML 2008)."""
    rows = values.movedim(1, -1)
    ordered = rows.sort(-1, descending=True).values
    excess = (ordered.cumsum(-1) - 1.0) / torch.arange(1, rows.shape[-1] + 1, device=rows.device)
    last = (ordered > excess).sum(-1, keepdim=True) - 1
    return (rows - excess.gather(-1, last)).clamp_min(0.0).movedim(-1, 1)
