"""Putting normalisation between hidden layers and their activations."""

from __future__ import annotations

from typing import Final

from torch import nn

from unstuck.edits.insertion import insert_behind
from unstuck.edits.passes import with_checked_edit
from unstuck.edits.structure import AFFINE, Layer, read_structure
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup

SMALLEST_BATCH: Final = 8
"""Samples of a batch below which its own statistics are too noisy to normalise with (Wu and He, 2018)."""

BATCH_NORMS: Final = {
    "Conv1d": nn.BatchNorm1d,
    "Conv2d": nn.BatchNorm2d,
    "Conv3d": nn.BatchNorm3d,
    "ConvTranspose1d": nn.BatchNorm1d,
    "ConvTranspose2d": nn.BatchNorm2d,
    "ConvTranspose3d": nn.BatchNorm3d,
}

AFFINE_KINDS: Final = frozenset(kind.__name__ for kind in AFFINE)


def insert_normalisation(setup: Setup) -> Setup:
    """Put a norm behind each hidden affine layer that is followed by an activation and has none yet.

    Batch-norm over channels; layer-norm for `[N, T, F]`, and one over all channels where batches are small.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no such layer.
    """
    small = _has_small_batches(setup)
    norms: dict[str, nn.Module] = {}
    affine = [layer for layer in read_structure(setup).layers if layer.kind in AFFINE_KINDS]
    for layer in affine[:-1]:  # behind the last one comes the activation of the outputs, if any
        if layer.followed_by is not None and not layer.normalised and layer.name not in norms:
            norms[layer.name] = _norm(layer, small=small)
    if not norms:
        raise RemedyError("no affine layer is followed by an activation without a norm between them")

    def apply(model: nn.Module) -> nn.Module:
        for name, norm in norms.items():
            insert_behind(model.get_submodule(name), "norm", norm)
        return model

    kinds = ", ".join(dict.fromkeys(type(norm).__name__ for norm in norms.values()))
    edit = Edit(f"model: behind {', '.join(norms)}", "no normalisation", kinds, apply)
    return with_checked_edit(setup, edit, "no normalisation could be put in")


def _has_small_batches(setup: Setup) -> bool:
    """Whether any batch is too small for statistics of its own, the last one of an epoch included."""
    data = setup.train
    rest = 0 if data.size is None or getattr(data, "drop_last", False) else data.size % data.batch_size
    return data.batch_size < SMALLEST_BATCH or rest == 1  # one sample alone has no spread: torch refuses it


def _norm(layer: Layer, *, small: bool) -> nn.Module:
    shape = layer.output_shape
    if layer.kind in BATCH_NORMS:
        return nn.GroupNorm(1, shape[1]) if small else BATCH_NORMS[layer.kind](shape[1])
    return nn.BatchNorm1d(shape[1]) if len(shape) == 2 and not small else nn.LayerNorm(shape[-1])
