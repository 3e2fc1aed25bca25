"""From what users hold (loaders, data sets, pairs of arrays) to `Data`."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, default_collate

from unstuck.errors import ExaminationError, SetupError
from unstuck.setup.advice import advice
from unstuck.setup.batch import Batch, are_equal, concatenate, length, map_tensors, tensors
from unstuck.setup.data import Data, StackedData
from unstuck.setup.randomness import isolated, seeded
from unstuck.setup.reading import Recipe, copied, transform_of
from unstuck.setup.source import user_line

LARGEST_STACK: Final = 2**27
"""Elements that are held in memory at most (half a gigabyte of float32); larger data are read as needed."""

DEFAULT_BATCH_SIZE: Final = 32

PROBED: Final = 16
"""Samples that are read twice to see whether a data set gives the same again."""

CHUNK: Final = 256
"""Samples that are collated at once while a data set is read into memory."""


def data_of(name: str, source: object, batch_size: int | None) -> Data:
    """Make a split of whatever the user holds.

    Args:
        name: "train", "validation" or "test", for messages.
        source: A `DataLoader`, a `Dataset` or whatever has a length and indices like one, a list of samples, or
            `(inputs, …, targets)` as tensors or arrays.
        batch_size: Samples per batch where `source` is no `DataLoader`.

    Returns:
        The split; nothing in it is the user's own object where that object can be copied.

    Raises:
        SetupError: If `source` is none of these, or is empty, or its parts do not match.
    """
    size = DEFAULT_BATCH_SIZE if batch_size is None else batch_size
    if isinstance(source, Data):
        return source
    if isinstance(source, DataLoader):
        return _from_loader(name, source)
    if isinstance(source, Mapping):
        return _from_arrays(name, dict(source), size)
    if isinstance(source, list) and source and all(isinstance(each, (tuple, Mapping)) for each in source):
        return _from_dataset(name, source, size)  # a list of samples; a list of columns holds lists or arrays
    if isinstance(source, (tuple, list)) and len(source) >= 2:
        return _from_arrays(name, tuple(source), size)
    if isinstance(source, Dataset) or _is_like_a_dataset(source):
        return _from_dataset(name, source, size)
    raise SetupError(
        f"`{name}` must be a DataLoader, a Dataset or a pair (inputs, targets)",
        _kind(source),
        "Pass `(inputs, targets)` as tensors or arrays.",
    )


def _is_like_a_dataset(source: object) -> bool:
    indexed = hasattr(source, "__getitem__") and hasattr(source, "__len__")
    return indexed and not isinstance(source, (str, bytes, Tensor, np.ndarray, tuple, list, type))


def _kind(source: object) -> str:
    if isinstance(source, (Tensor, np.ndarray)):
        return f"one {type(source).__name__} of shape {list(source.shape)}"
    if isinstance(source, (tuple, list)):
        return f"a {type(source).__name__} of {len(source)}"
    return f"the class {source.__name__}" if isinstance(source, type) else type(source).__name__


def _from_dataset(name: str, dataset: Any, size: int) -> Data:
    try:
        shuffle = name == "train" and not isinstance(dataset, IterableDataset)
        loader: DataLoader[Any] = DataLoader(dataset, size, shuffle=shuffle and len(dataset) > 0)
    except TypeError as error:
        raise SetupError(
            f"The data set `{name}` must have a length",
            f"{type(dataset).__name__} without a usable __len__",
            "Give it `__len__`, or make it an IterableDataset.",
        ) from error
    return _from_loader(name, loader)


def _from_arrays(name: str, columns: Batch, batch_size: int) -> StackedData:
    samples = _columns(name, columns)
    lengths = [len(column) for column in tensors(samples)]
    if len(set(lengths)) > 1:
        raise SetupError(
            f"All parts of `{name}` must have the same number of samples",
            " and ".join(map(str, lengths)),
            "Check how inputs and targets were split.",
        )
    if not lengths or lengths[0] == 0:
        raise empty(name, "no samples")
    return StackedData(samples, min(batch_size, lengths[0]), shuffled=name == "train")


def _columns(name: str, part: Any) -> Batch:
    """The same structure of tuples and mappings, with every column a tensor of our own."""
    if isinstance(part, Mapping):
        return {str(key): _columns(name, value) for key, value in part.items()}
    if isinstance(part, tuple) and any(isinstance(each, (Tensor, np.ndarray, Mapping, list)) for each in part):
        return tuple(_columns(name, each) for each in part)
    return _tensor(name, part)


def _tensor(name: str, part: Any) -> Tensor:
    if isinstance(part, Tensor):
        if part.layout is not torch.strided or part.is_quantized:
            raise SetupError(
                f"Each part of `{name}` must be a dense tensor",
                f"one of layout {str(part.layout).removeprefix('torch.')}",
                "Pass it as `tensor.to_dense()`.",
            )
        tensor = part.detach().clone()
    else:
        tensor = _from_numbers(name, part)
    if tensor.dim() == 0:
        raise SetupError(
            f"Each part of `{name}` must have one row a sample",
            "a single number",
            "Pass arrays of shape [N, …].",
        )
    return tensor


def _from_numbers(name: str, part: Any) -> Tensor:
    array: np.ndarray[Any, Any] | None = None
    try:
        array = np.array(part)
        tensor = torch.from_numpy(array)
    except (TypeError, ValueError, RuntimeError) as error:
        text = array is not None and array.dtype.kind in "US"
        what = f"of dtype {array.dtype}" if array is not None else f"({' '.join(str(error).split())[:120]})"
        raise SetupError(
            f"Each part of `{name}` must be a tensor or a numeric array",
            f"{type(part).__name__} {what}",
            "Number the labels from 0." if text else "Convert it to numbers of one shape first.",
        ) from error
    return tensor.to(torch.get_default_dtype()) if tensor.dtype == torch.float64 else tensor


def empty(name: str, got: str) -> SetupError:
    """The error for a split without samples."""
    return SetupError(f"`{name}` must hold at least one sample", got, "Check the path or the split.")


def _from_loader(name: str, loader: DataLoader[Any]) -> Data:
    size, count = _counted(name, loader)
    if size == 0:
        raise empty(name, "no samples")
    if count == 0:
        raise SetupError(
            f"`{name}` must hold at least one batch",
            f"none of {loader.batch_size} samples from {size}" + (" with drop_last=True" if loader.drop_last else ""),
            "Use a smaller batch_size, or drop_last=False.",
        )
    recipe = Recipe(name, loader)
    if recipe.is_plain:
        assert size is not None and loader.batch_size is not None  # a plain loader has both
        samples = _columns_of(loader) if size else None
        samples = _stacked(recipe, size) if samples is None else samples
        if samples is not None:
            through = transform_of(recipe.dataset)
            return StackedData(samples, min(loader.batch_size, size), recipe.shuffles(), loader.drop_last, through)
    with isolated(0):
        first = next(_one_pass(recipe), None)
    if first is None:
        raise empty(name, "a loader that yields nothing")
    return recipe.data(loader.batch_size or max(1, length(first)), size, count)


def _one_pass(recipe: Recipe) -> Iterator[Batch]:
    return recipe.read(seeded(0))


def _counted(name: str, loader: DataLoader[Any]) -> tuple[int | None, int | None]:
    """Number of samples and of batches, None where only reading tells."""
    if isinstance(loader.dataset, IterableDataset):
        return None, None
    try:
        size = len(loader.dataset)  # type: ignore[arg-type]
    except TypeError:
        size = None
    except Exception as error:
        raise ExaminationError("data", error, user_line(error), advice("data", error), on=name) from error
    try:
        return size, len(loader)
    except TypeError:
        return size, None
    except Exception as error:
        raise ExaminationError("data", error, user_line(error), advice("data", error), on=name) from error


def _columns_of(loader: DataLoader[Any]) -> Batch | None:
    """The tensors of a plain `TensorDataset`, or None."""
    dataset = loader.dataset
    if type(dataset) is not TensorDataset or loader.collate_fn is not default_collate:
        return None
    if sum(tensor.numel() for tensor in dataset.tensors) > LARGEST_STACK:
        return None
    return [tensor.detach().clone() for tensor in dataset.tensors]


def _states() -> tuple[Any, ...]:
    """Where the generators stand that random transforms draw from."""
    legacy: Any = np.random.get_state()
    return random.getstate(), legacy[1].tobytes(), legacy[2], torch.random.get_rng_state().numpy().tobytes()


def _stacked(recipe: Recipe, count: int) -> Batch | None:
    """All samples as one batch, or None where they are random, ragged, too many, or depend on their batch."""
    dataset = copied(recipe.dataset, {})
    probed = range(min(PROBED, count))
    with isolated(0):
        before = _states()
        once, again = recipe.samples(probed, dataset), recipe.samples(probed, dataset)
        try:
            first, second = recipe.collate(once), recipe.collate(again)
            pair, alone = recipe.collate(once[:2]), [recipe.collate([sample]) for sample in once[:2]]
            by_sample = are_equal(first, second) and are_equal(concatenate(alone), pair)
        except Exception:  # samples of several sizes: whether the user's own batches can be made, reading them tells
            return None
        elements = sum(tensor.numel() for tensor in tensors(first)) / len(probed) * count
        if not (by_sample and _is_column_wise(first, len(probed)) and elements <= LARGEST_STACK):
            return None
        chunks = [recipe.samples(range(start, min(start + CHUNK, count)), dataset) for start in range(0, count, CHUNK)]
        try:
            samples = concatenate([recipe.collate(chunk) for chunk in chunks])
        except Exception:  # likewise
            return None
        if _states() != before:  # random transforms
            return None
    return map_tensors(samples, lambda tensor: tensor.detach())


def _is_column_wise(batch: Batch, count: int) -> bool:
    found = list(tensors(batch))
    return bool(found) and all(tensor.dim() > 0 and tensor.shape[0] == count for tensor in found)
