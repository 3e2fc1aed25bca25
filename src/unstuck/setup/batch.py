"""Batches: tuples, lists and dictionaries of tensors, nested as loaders make them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import torch
from torch import Tensor

from unstuck.errors import SetupError

Batch = Any
"""What a loader yields: a tensor, or tuples, lists and mappings of batches; leaves may be anything."""

TARGET_KEYS: Final = ("labels", "label", "targets", "target", "y")


def map_tensors(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """The same structure with every tensor changed.

    Args:
        batch: A batch.
        change: Applied to each tensor; other leaves are kept.

    Returns:
        A new structure of the same kind.
    """
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, Mapping):
        return {key: map_tensors(value, change) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(map_tensors(value, change) for value in batch))
    if isinstance(batch, (tuple, list)):
        return type(batch)(map_tensors(value, change) for value in batch)
    return batch


def tensors(batch: Batch) -> Iterator[Tensor]:
    """Every tensor of a batch, in a fixed order."""
    if isinstance(batch, Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from tensors(value)
    elif isinstance(batch, (tuple, list)):
        for value in batch:
            yield from tensors(value)


def length(batch: Batch) -> int:
    """Number of samples: the first dimension that most tensors share, the first of these; 0 where there is none.

    Ragged samples laid end to end (all words of all texts, with where each text begins) are longer than the batch.

    Args:
        batch: A batch.

    Returns:
        The number.
    """
    return statistics.mode(_lengths(batch) or [0])


def _lengths(batch: Batch) -> list[int]:
    return [tensor.shape[0] for tensor in tensors(batch) if tensor.dim() > 0]


def are_equal(left: Batch, right: Batch) -> bool:
    """Whether two batches of one structure hold the same numbers; what is missing in both counts as the same."""
    pairs = list(zip(tensors(left), tensors(right), strict=True))
    return all(
        one.shape == other.shape
        and one.dtype == other.dtype
        and bool(torch.equal(one.nan_to_num(), other.nan_to_num()))
        for one, other in pairs
    )


def concatenate(batches: list[Batch]) -> Batch:
    """Join batches of equal structure along their first dimension, which counts samples.

    Args:
        batches: At least one.

    Returns:
        One batch.

    Raises:
        ValueError: If the structures or the shapes do not fit, or something else is counted as well.
    """
    if any(len(set(_lengths(batch))) > 1 for batch in batches):
        raise ValueError("tensors of one batch differ in their first dimension")
    return _joined(batches)


def _joined(batches: list[Batch]) -> Batch:
    first = batches[0]
    if isinstance(first, Tensor):
        if any(batch.shape[1:] != first.shape[1:] or batch.dtype != first.dtype for batch in batches):
            raise ValueError("shapes differ")
        return torch.cat(batches)
    if isinstance(first, Mapping):
        return {key: _joined([batch[key] for batch in batches]) for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(_joined(list(parts)) for parts in zip(*batches, strict=True)))
    if isinstance(first, (tuple, list)):
        return type(first)(_joined(list(parts)) for parts in zip(*batches, strict=True))
    raise ValueError(f"no tensor but {type(first).__name__}")


def split_batch(batch: Batch) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """Tell the inputs of a batch from its targets.

    Args:
        batch: `(inputs, …, targets)`, or a mapping with one of `TARGET_KEYS`.

    Returns:
        Positional inputs, keyword inputs, targets.

    Raises:
        SetupError: If the batch has neither form.
    """
    if isinstance(batch, Mapping):
        key = _target_key(batch)
        if key is not None:
            return (), {name: value for name, value in batch.items() if name != key}, batch[key]
        raise SetupError(
            f"A dictionary batch must hold its targets under one of {', '.join(TARGET_KEYS)}",
            f"keys {', '.join(map(str, batch))}",
            "Rename the key, or give `train_step=(model, optimizer, batch) -> loss`.",
        )
    if isinstance(batch, (tuple, list)) and len(batch) >= 2:
        return tuple(batch[:-1]), {}, batch[-1]
    kind = f"shape {list(batch.shape)}" if isinstance(batch, Tensor) else type(batch).__name__
    raise SetupError(
        "A batch must be (inputs, targets)",
        kind,
        "Yield both from the data set (an autoencoder yields its inputs twice), or give `train_step`.",
    )


def floating_inputs(batch: Batch) -> list[Tensor]:
    """The floating-point inputs of a batch, in the order in which `replace_inputs` changes them.

    Args:
        batch: As for `split_batch`.

    Returns:
        The tensors, each `[N, …]`.

    Raises:
        SetupError: If the batch is not of inputs and targets.
    """
    positional, named, _ = split_batch(batch)
    return [tensor for tensor in tensors((positional, named)) if tensor.is_floating_point()]


def replace_inputs(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """The same batch with every floating-point input tensor changed and its targets kept."""

    def floating(tensor: Tensor) -> Tensor:
        return change(tensor) if tensor.is_floating_point() else tensor

    if isinstance(batch, Mapping):
        kept_key = _target_key(batch)
        return {key: value if key == kept_key else map_tensors(value, floating) for key, value in batch.items()}
    kept = [map_tensors(part, floating) for part in batch[:-1]] + [batch[-1]]
    return type(batch)(*kept) if hasattr(batch, "_fields") else type(batch)(kept)


def replace_each_input(batch: Batch, changes: Iterable[Callable[[Tensor], Tensor]]) -> Batch:
    """The same batch with each floating-point input changed by a function of its own.

    Args:
        batch: As for `split_batch`.
        changes: One for each of `floating_inputs`.

    Returns:
        A new batch; targets and inputs that are not floating-point are kept.
    """
    waiting = iter(changes)
    return replace_inputs(batch, lambda tensor: next(waiting)(tensor))


def replace_targets(batch: Batch, targets: Any) -> Batch:
    """The same batch with other targets."""
    if isinstance(batch, Mapping):
        return {**batch, _target_key(batch): targets}
    kept = [*batch[:-1], targets]
    return type(batch)(*kept) if hasattr(batch, "_fields") else type(batch)(kept)


def _target_key(batch: Mapping[str, Any]) -> str | None:
    """The key that holds the targets; where there are several, the first of `TARGET_KEYS`, as the others are inputs."""
    return next((key for key in TARGET_KEYS if key in batch), None)
