"""Gradients of single samples, or of disjoint parts of the training split where samples cannot be told apart."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from unstuck.loop.clock import WorkClock
from unstuck.loop.stages import compute_loss, forward_backward
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Batch, Setup
from unstuck.setup.batch import concatenate, length, map_tensors, tensors
from unstuck.setup.randomness import seeded

SAMPLES: Final = 256
"""Samples whose gradients are taken at most."""

PARTS: Final = 32
"""Parts that they are put into where a gradient for each sample cannot be had."""

FEWEST: Final = 8
"""Gradients below which their spread says nothing."""

CHUNK: Final = 16
"""Samples whose gradients are taken at once."""

COORDINATES: Final = 2**17
"""Weights of which gradients are kept at most: a random choice gives the same ratio in the mean."""

LONGEST_SECONDS: Final = 0.25
"""Work of this thread after which no more gradients are taken, once there are `FEWEST`."""


def sample_gradients(setup: Setup, model: nn.Module) -> tuple[Tensor, int]:
    """Take gradients of the loss on equally many samples each, none of them twice, in the mode that the model is in.

    Args:
        setup: Its training split is used; has a loss outside `train_step`.
        model: Left with the gradients of the last part, where parts were taken.

    Returns:
        Gradients, `[K, P]` with P the weights or `COORDINATES` of them, and how many samples each is of.

    Raises:
        NotMeasurable: If fewer than `FEWEST` can be had.
    """
    samples = _samples(setup)
    found = None if samples is None or _mixes_samples(model) else _of_each_sample(setup, model, samples)
    return _of_parts(setup, model, samples) if found is None else (found, 1)


def _samples(setup: Setup) -> Batch | None:
    """Some training samples as one batch, in random order; None where they have several sizes."""
    found: list[Batch] = []
    generator = seeded(setup.seed)
    for batch in setup.train.batches(generator):
        found.append(batch)
        if sum(map(length, found)) >= SAMPLES:
            break
    try:
        whole = setup.placed(concatenate(found))
    except (ValueError, TypeError, KeyError, RuntimeError):
        return None
    order = torch.randperm(length(whole), generator=generator)[:SAMPLES]
    if any(part.dim() == 0 or len(part) != length(whole) for part in tensors(whole)):
        return None
    return _part(whole, order)


def _part(whole: Batch, chosen: Tensor) -> Batch:
    return map_tensors(whole, lambda tensor: tensor[chosen.to(tensor.device)])


def _mixes_samples(model: nn.Module) -> bool:
    """Whether the loss of a sample depends on those beside it, so that its own gradient is not what training sees."""
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training for module in model.modules())


class _Loss(nn.Module):
    """Model and loss as one function of a batch."""

    def __init__(self, setup: Setup, model: nn.Module) -> None:
        super().__init__()
        self.setup, self.model = setup, model

    def forward(self, batch: Batch) -> Tensor:
        return compute_loss(self.setup, self.setup.outputs(self.model, batch), batch)


def _of_each_sample(setup: Setup, model: nn.Module, samples: Batch) -> Tensor | None:
    """Gradients `[K, P]` of single samples; None where the model cannot be batched over them."""
    whole = _Loss(setup, model)
    parameters = {name: part.detach() for name, part in whole.named_parameters() if part.requires_grad}

    def loss(weights: dict[str, Tensor], batch: Batch) -> Tensor:
        value: Tensor = functional_call(whole, weights, (map_tensors(batch, lambda tensor: tensor.unsqueeze(0)),))
        return value

    each = vmap(grad(loss), in_dims=(None, 0), randomness="different")
    kept, found, clock = _coordinates(sum(part.numel() for part in parameters.values())), [], WorkClock()
    try:
        for first in range(0, length(samples), CHUNK):
            chunk = _part(samples, torch.arange(first, min(first + CHUNK, length(samples))))
            gradients = each(parameters, chunk)
            flat = torch.cat([part.flatten(1) for part in gradients.values()], dim=1)
            found.append((flat if kept is None else flat[:, kept.to(flat.device)]).detach().cpu().double())
            if clock() > LONGEST_SECONDS and CHUNK * len(found) >= FEWEST:
                break
    except Exception:  # control flow on values, or an operation without a batching rule: parts will do
        return None
    return torch.cat(found)


def _of_parts(setup: Setup, model: nn.Module, samples: Batch | None) -> tuple[Tensor, int]:
    """Gradients `[K, P]` of disjoint parts, and how many samples each has."""
    parameters = [part for part in model.parameters() if part.requires_grad]
    kept, found, clock = _coordinates(sum(part.numel() for part in parameters)), list[Tensor](), WorkClock()
    size = setup.train.batch_size
    if samples is not None:
        size = max(2 if _mixes_samples(model) else 1, min(size, length(samples) // PARTS))
    for batch in _parts(setup, samples, size):
        model.zero_grad()
        forward_backward(setup, model, batch)
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad.to_dense()).flatten() for p in parameters])
        found.append((flat if kept is None else flat[kept.to(flat.device)]).detach().cpu().double())
        if clock() > LONGEST_SECONDS and len(found) >= FEWEST:
            break
    if len(found) < FEWEST:
        raise NotMeasurable(f"the training data make only {len(found)} parts of {size} samples")
    return torch.stack(found), size


def _parts(setup: Setup, samples: Batch | None, size: int) -> Iterator[Batch]:
    """Disjoint parts of equal size; the set-up's own batches where its samples cannot be put together otherwise."""
    if samples is None:
        whole = (batch for batch in setup.train.batches(seeded(setup.seed)))
        yield from (setup.placed(batch) for batch in islice(whole, PARTS) if length(batch) == size)
        return
    for first in range(0, length(samples) - size + 1, size):
        yield _part(samples, torch.arange(first, first + size))


def _coordinates(count: int) -> Tensor | None:
    """The weights whose gradients are kept, by their number; None for all."""
    if count <= COORDINATES:
        return None
    return torch.randperm(count, generator=torch.Generator().manual_seed(0))[:COORDINATES]
