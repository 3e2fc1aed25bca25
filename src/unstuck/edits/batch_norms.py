"""Batch-norm layers: which use the statistics of the batch, and other norms in their place."""

from __future__ import annotations

import copy
from typing import Final

from torch import nn

from unstuck.edits.insertion import put
from unstuck.edits.passes import with_checked_edit
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup
from unstuck.setup.randomness import isolated

GROUP_SIZE: Final = 16
"""Channels of a group at least: what Wu and He (2018) find best."""


def batch_norms(model: nn.Module) -> dict[str, nn.modules.batchnorm._BatchNorm]:
    """The batch-norm layers that use the statistics of the batch while training, by name."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training
    }


def without_batch_norm(setup: Setup) -> Setup:
    """Put a group norm in place of every batch-norm; it normalises each sample by itself.

    Scale and shift are kept. Layers of fewer than 32 channels are one group, which is layer-norm.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no batch-norm, or the changed model does not run.
    """
    with isolated(setup.seed):
        model, _ = setup.build()
    model.train()
    names = [name for name, norm in batch_norms(model).items() if name and norm.num_features > 1]
    if not names:
        raise RemedyError("the model has no batch-norm layer that uses the statistics of the batch")

    def apply(model: nn.Module) -> nn.Module:
        for name in names:
            norm = model.get_submodule(name)
            assert isinstance(norm, nn.modules.batchnorm._BatchNorm)  # found by that name above
            model = put(model, name, _group_norm(norm))
        return model

    edit = Edit(f"model: {', '.join(names)}", "batch-norm", "group norm", apply)
    return with_checked_edit(setup, edit, "batch-norm could not be replaced")


def _group_norm(norm: nn.modules.batchnorm._BatchNorm) -> nn.GroupNorm:
    channels = norm.num_features
    groups = max(1, channels // GROUP_SIZE)
    made = nn.GroupNorm(groups if channels % groups == 0 else 1, channels, norm.eps, norm.affine)
    if norm.affine:
        made.weight, made.bias = copy.copy(norm.weight), copy.copy(norm.bias)
    return made
