"""The best constant of a model whose outputs are several tensors: a constant for each, under the set-up's own loss.

Outputs of one and the same network on several inputs (the anchor, the positive and the negative of a triplet) get one
constant: what does not look at its inputs cannot tell them apart. Which these are is seen where all inputs are zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor

from unstuck.errors import UnstuckError
from unstuck.loop.evaluate import predict
from unstuck.measure.constant_loss import loss_and_slope
from unstuck.measure.descent import Array, descend
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.output_range import parametrisation, range_of
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Batch, Setup
from unstuck.setup.batch import length, map_tensors, tensors

LOOKED_AT: Final = 1000
"""Samples that the constants are fitted to at most; batch by batch, for a loss may compare the samples of a batch."""

MOST_NUMBERS: Final = 2**14
"""Numbers in the outputs of one sample at most."""


@final
@dataclass(frozen=True, eq=False)
class Constants:
    """Constant outputs.

    Attributes:
        like: Outputs of the model, in whose structure they come.
        leaves: One for each tensor of it, without the dimension of the samples.
    """

    like: Any
    leaves: tuple[Tensor, ...]

    @property
    def values(self) -> Tensor:
        """All numbers, shape `[P]`."""
        return torch.cat([leaf.flatten() for leaf in self.leaves])

    def outputs(self, batch: Batch) -> Any:
        """The same structure, each tensor `[samples, …]`, of the dtype and on the device of the one in its place."""
        waiting, samples = iter(self.leaves), length(batch)
        return map_tensors(
            self.like, lambda tensor: next(waiting).to(tensor).expand(samples, *tensor.shape[1:]).contiguous()
        )


def best_constants(setup: Setup) -> Constants:
    """The constants with the lowest training loss.

    Args:
        setup: With a loss.

    Returns:
        The lowest of all starts.

    Raises:
        NotMeasurable: If an output has no row a sample, or the loss has no lowest value over constants.
    """
    batches = [setup.placed(batch) for batch in setup.train.head(LOOKED_AT)]
    model, _ = setup.build()
    like = predict(setup, model, batches[:1])[0]
    found = list(tensors(like))
    if not found or any(not leaf.is_floating_point() or leaf.shape[:1] != (length(batches[0]),) for leaf in found):
        raise NotMeasurable("each output must have a row a sample to be held against a constant")
    if sum(leaf[0].numel() for leaf in found) > MOST_NUMBERS:
        raise NotMeasurable("the outputs of a sample are too many numbers to be held against a constant")
    try:
        (blank,) = predict(setup, model, [map_tensors(batches[0], torch.zeros_like)])
    except UnstuckError as error:
        raise NotMeasurable("it cannot be told which outputs come of one network: it takes no zeros") from error
    tied = _tied(list(tensors(blank)))
    best: tuple[float, tuple[Tensor, ...]] = (math.inf, ())
    reason = "no start gives a finite loss"
    for forms in _forms(found):
        objective = _Objective(setup, batches, like, forms, tied)
        for start in _starts(setup, batches, found):
            try:
                value, point = descend(objective, objective.free(start))
            except (UnstuckError, RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
                reason = " ".join(str(error).split())[:200]
                continue
            if value < best[0]:
                best = (value, tuple(leaf.detach() for leaf in objective.leaves(torch.from_numpy(point))))
    if not best[1]:
        raise NotMeasurable(f"the best constant prediction cannot be found: {reason}")
    return Constants(like, best[1])


def _tied(blank: list[Tensor]) -> tuple[int, ...]:
    """For each output the first that is the same on blank inputs, which is the output itself where none is."""
    return tuple(
        next(
            place
            for place, other in enumerate(blank)
            if other is leaf or (other.shape == leaf.shape and torch.allclose(other, leaf))
        )
        for leaf in blank
    )


def _forms(found: list[Tensor]) -> Iterator[tuple[OutputForm, ...]]:
    """What the outputs may be valid as: as they look; and where some are above 0 throughout, so."""
    forms = tuple(range_of(leaf) for leaf in found)
    yield forms
    above = tuple(
        OutputForm.RATES if form in (OutputForm.VALUES, OutputForm.PROBABILITIES) and bool((leaf > 0.0).all()) else form
        for form, leaf in zip(forms, found, strict=True)
    )
    if above != forms:
        yield above


def _starts(setup: Setup, batches: list[Batch], found: list[Tensor]) -> list[list[Tensor]]:
    """Valid constants to start from: the means of the untrained outputs; those of the targets that are like them."""
    means = [leaf.double().mean(0).cpu() for leaf in found]
    try:
        columns = zip(*(list(tensors(setup.targets(batch))) for batch in batches), strict=True)
        targets = [torch.cat(column).double().cpu() for column in columns]
    except (UnstuckError, RuntimeError, TypeError, ValueError):  # they are ragged, or no tensors
        return [means]
    if len(targets) != len(found):
        return [means]
    return [
        means,
        [
            whole.mean(0).reshape(mean.shape) if whole[0].numel() == mean.numel() else mean
            for whole, mean in zip(targets, means, strict=True)
        ],
    ]


@final
class _Objective:
    """The training loss as a function of the free parameters of all constants."""

    def __init__(
        self, setup: Setup, batches: list[Batch], like: Any, forms: Sequence[OutputForm], tied: Sequence[int]
    ) -> None:
        self.setup, self.batches, self.like = setup, batches, like
        self.maps = [parametrisation(form) for form in forms]
        self.tied = tied
        self.shapes = [tuple(leaf.shape[1:]) for leaf in tensors(like)]
        self.own = [place for place, first in enumerate(tied) if place == first]
        self.sizes = [math.prod(self.shapes[place]) for place in self.own]

    def free(self, start: list[Tensor]) -> Array:
        """The parameters, shape `[P]`, of constants."""
        return np.concatenate([self.maps[place][1](start[place].flatten().numpy()) for place in self.own])

    def leaves(self, parameters: Tensor) -> list[Tensor]:
        """The constants of parameters."""
        parts = dict(zip(self.own, parameters.split(self.sizes), strict=True))
        made = {place: self.maps[place][0](part.reshape(self.shapes[place])) for place, part in parts.items()}
        return [made[first] for first in self.tied]

    def __call__(self, point: Array) -> tuple[float, Array]:
        """Loss and gradient at a point."""
        return loss_and_slope(
            self.setup, self.batches, point, lambda free: Constants(self.like, tuple(self.leaves(free))).outputs
        )
