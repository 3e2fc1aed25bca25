"""Whether the outputs depend on the inputs at all, before training and after it, and where the inputs get lost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor, nn

from unstuck.measure.leaf_calls import LeafSeen, seen_calls
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Batch, Setup
from unstuck.setup.batch import map_tensors, split_batch, tensors
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated, one_thread

SAMPLES: Final = 32
"""Samples that the outputs are compared on."""

ROUNDING: Final = 1e-5
"""Spread over samples, as a share of the size, that rounding of float32 numbers leaves (IEEE 754: 6e-8 a sum)."""


MIXTURES: Final = 16
"""Times that the weights are mixed: a chain of three single units that are dead by their draw at even odds is alive in
one of them with a chance of 88 %."""


@final
@dataclass(frozen=True, slots=True)
class InputInfluence:
    """How much samples differ.

    Attributes:
        inputs: Largest spread of an input over samples, as a share of its size; 0 where all samples are the same.
        at_start: Likewise of the outputs of the untrained model.
        at_end: Likewise of the trained one.
        module: The first module of the trained model behind which nothing differs any more; "" where none is known.
        inside: Whether the differences get lost inside that module, not on the way to it.
        kind: Class of that module.
        mixed: Largest spread of the outputs with the untrained weights mixed: entries of each tensor in another order,
            with other signs. NaN where the untrained outputs differ as they are.
    """

    cost: ClassVar[float] = 1.0

    inputs: float
    at_start: float
    at_end: float
    module: str
    inside: bool
    kind: str
    mixed: float

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained) -> InputInfluence:
        """Compare samples on their way through the network.

        Args:
            prepared: The set-up.
            trained: The run as given.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If the outputs are no tensors `[N, …]`, or there are fewer than two samples.
        """
        setup, model = prepared.setup, trained.run.model
        with isolated(setup.seed), one_thread():
            own, fresh, _ = setup.fresh()
            batch = own.placed(gather(own.train.head(SAMPLES)))
            batch = map_tensors(batch, lambda tensor: tensor[:SAMPLES] if tensor.dim() else tensor)
            positional, named, _ = split_batch(batch)
            given = list(tensors((positional, named)))
            first, last = seen_calls(own, fresh, batch), seen_calls(own, model, batch)
            count = next((len(tensor) for tensor in given if tensor.dim()), 0)
            at_start, at_end = spread_of(first[-1].made, count), spread_of(last[-1].made, count)
            mixed = _mixed(own, fresh, batch, count) if at_start is not None and at_start <= ROUNDING else math.nan
        if count < 2 or at_start is None or at_end is None:
            raise NotMeasurable("two samples or more are needed, and outputs that are tensors `[N, …]`")
        inputs = spread_of(given, count) or 0.0
        name, inside = _lost(last, count) if at_end <= ROUNDING < inputs else ("", False)
        kind = type(model.get_submodule(name)).__name__ if name else ""
        return cls(inputs, at_start, at_end, name, inside, kind, mixed)


def _mixed(setup: Setup, model: nn.Module, batch: Batch, count: int) -> float:
    """The largest spread of the outputs over some mixtures of the weights: what is dead by its draw comes alive."""
    spreads = [0.0]
    for _ in range(MIXTURES):
        with torch.no_grad():
            for parameter in model.parameters():
                entries = parameter.flatten()[torch.randperm(parameter.numel(), device=parameter.device)]
                signs = torch.randint_like(parameter, 2) * 2 - 1
                parameter.copy_(entries.reshape(parameter.shape) * signs)
        spreads.append(spread_of(seen_calls(setup, model, batch)[-1].made, count) or 0.0)
    return max(spreads)


def spread_of(values: list[Tensor], count: int) -> float | None:
    """The largest spread over samples of any number, as a share of the tensor's largest; None without samples."""
    spreads = []
    for tensor in values:
        if not tensor.dim() or not tensor.numel() or len(tensor) % count:
            continue
        rows = tensor.detach().double().reshape(count, -1).nan_to_num()
        size = float(rows.abs().max())
        spreads.append(float(rows.std(0, correction=0).max()) / size if size > 0.0 else 0.0)
    return max(spreads, default=None)


def _lost(seen: list[LeafSeen], count: int) -> tuple[str, bool]:
    """Behind which module nothing differs any more, and whether it is lost inside."""
    alive = -1
    for number, call in enumerate(seen[:-1]):
        spread = spread_of(call.made, count)
        if spread is not None and spread > ROUNDING:
            alive = number
    if alive + 1 >= len(seen) - 1:
        return "", False
    after = seen[alive + 1]
    taken = spread_of(after.taken, count)
    return after.name, taken is not None and taken > ROUNDING
