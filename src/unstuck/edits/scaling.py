"""The scale of inputs and targets: standardising in the model, and the faults that spoil it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from unstuck.edits.activations import output_module
from unstuck.edits.inputs import SAMPLES, input_scales
from unstuck.edits.interception import unchanged, with_behind
from unstuck.edits.passes import checked, sample, with_checked_edit
from unstuck.edits.standardisation import (
    StandardisedLoss,
    restore_units,
    standardise_arguments,
    statistics,
)
from unstuck.edits.tracing import trace
from unstuck.errors import RemedyError, SetupError
from unstuck.setup import Batch, Edit, Setup
from unstuck.setup.batch import replace_inputs, replace_targets, split_batch, tensors
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated


def standardise_inputs(setup: Setup) -> Setup:
    """Standardise floating-point inputs by a fixed layer in front of the model.

    Mean and scale come from the training split: per feature for `[N, F]` and `[N, T, F]`, per channel where a
    convolution takes them and for images `[N, C, H, W]`. The model goes on to take raw inputs.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If no input is floating-point.
    """
    entry, scales = input_scales(setup)
    if not scales:
        raise RemedyError("its inputs are whole numbers (tokens or categories), which have no scale")

    def apply(model: nn.Module) -> nn.Module:
        standardise_arguments(model.get_submodule(entry), scales)
        return model

    edit = Edit("inputs", "as given", "standardised inside the model", apply)
    return with_checked_edit(setup, edit, "the inputs could not be standardised inside the model")


def standardise_targets(setup: Setup) -> Setup:
    """Let the model learn standardised targets, and answer in the original units.

    A fixed layer behind the model brings its outputs back to the original units, and the loss compares both in
    standardised units.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the targets are no numbers to be regressed on, or the loss is not known.
    """
    if setup.loss is None:
        raise RemedyError("the loss is inside `train_step`, so targets cannot be standardised")
    targets = _regression_targets(setup)
    columns = targets.dim() == 2
    mean, scale = statistics(targets, 1 if columns else None)
    record = trace(setup)
    outputs = record.outputs
    if not isinstance(outputs, Tensor):
        raise RemedyError(f"the outputs must be one tensor; got {type(outputs).__name__}")
    if columns and mean.numel() > 1 and (outputs.dim() != 2 or outputs.shape[1] != mean.numel()):
        raise RemedyError(f"outputs {list(outputs.shape)} and targets [N, {mean.numel()}] do not match")
    if mean.numel() == 1:
        mean, scale = mean.reshape(()), scale.reshape(())
    host = output_module(record)
    edit = Edit("targets", "as given", "standardised inside the model and the loss", unchanged)
    if host is None:
        mean32, scale32 = mean.float(), scale.float()
        after = with_behind(setup, edit, lambda outputs: outputs * scale32.to(outputs) + mean32.to(outputs))
    else:

        def apply(model: nn.Module) -> nn.Module:
            restore_units(model.get_submodule(host), mean, scale)
            return model

        after = setup.with_edit(replace(edit, apply=apply))
    refusal = "the targets could not be standardised"
    after = checked(setup, after, refusal)
    loss = StandardisedLoss(setup.loss, mean, scale)
    batch = sample(setup)
    try:
        with torch.no_grad(), isolated(0):
            value = loss(outputs.detach(), split_batch(batch)[2])
    except Exception as error:
        why = " ".join(str(error).split())[:200]
        raise RemedyError(f"{refusal}: the loss cannot take them ({why})") from error
    if not torch.isfinite(value).all():
        raise RemedyError(f"{refusal}: the loss of standardised targets is not finite")
    return after.with_loss(loss, f"{setup.described.get('loss', 'loss')} in standardised units")


def _regression_targets(setup: Setup) -> Tensor:
    """Many training targets, `[M, …]`, checked to be numbers."""
    targets = _parts(setup)[2]
    if not isinstance(targets, Tensor) or not targets.is_floating_point():
        raise RemedyError("its targets are no floating-point numbers, so they have no scale")
    if bool(((targets == 0) | (targets == 1)).all()):
        raise RemedyError("its targets are labels 0 and 1, which have no scale")
    return targets


def _parts(setup: Setup) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """Positional inputs, keyword inputs and targets of many training samples."""
    try:
        return split_batch(gather(setup.train.head(SAMPLES)))
    except SetupError as error:
        raise RemedyError(f"inputs and targets cannot be told apart: {error}") from error


def scale_inputs(setup: Setup, factor: float, offset: float = 0.0) -> Setup:
    """Multiply all floating-point inputs of all splits, and shift them: the fault of inputs left as measured.

    Args:
        setup: What is trained.
        factor: Multiplies.
        offset: Added afterwards.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If no input is floating-point.
    """
    _floating_inputs(setup)
    return _with_data(
        setup,
        lambda batch: replace_inputs(batch, lambda tensor: tensor * factor + offset),
        "inputs",
        _rescaled(factor, offset),
    )


def spread_feature_scales(setup: Setup, lowest: float = -2.0, highest: float = 3.0) -> Setup:
    """Give features scales of several orders of magnitude, in all splits.

    Vectors `[N, F]` are multiplied by powers of ten in a mixed order; everything else is brought to 0–255.

    Args:
        setup: What is trained.
        lowest: Power of ten of the smallest factor.
        highest: Power of ten of the largest.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If no input is floating-point.
    """
    inputs = _floating_inputs(setup)
    first = inputs[0]
    if first.dim() != 2 or first.shape[1] < 2:
        least, most = float(first.min()), float(first.max())
        factor = 255.0 / (most - least) if most > least else 255.0
        return scale_inputs(setup, factor, -least * factor)
    factors = {}
    for width in {tensor.shape[1] for tensor in inputs if tensor.dim() == 2}:
        order = torch.randperm(width, generator=torch.Generator().manual_seed(0))
        factors[width] = (10.0 ** torch.linspace(lowest, highest, width))[order]

    def change(tensor: Tensor) -> Tensor:
        fits = tensor.dim() == 2 and tensor.shape[1] in factors
        return tensor * factors[tensor.shape[1]].to(tensor) if fits else tensor

    return _with_data(
        setup,
        lambda batch: replace_inputs(batch, change),
        "inputs",
        f"features times 10^{lowest:g} to 10^{highest:g}",
    )


def scale_targets(setup: Setup, factor: float, offset: float = 0.0) -> Setup:
    """Multiply the targets of all splits, and shift them: the fault of targets in unwieldy units.

    Args:
        setup: What is trained.
        factor: Multiplies.
        offset: Added afterwards.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the targets are no numbers to be regressed on.
    """
    _regression_targets(setup)
    return _with_data(
        setup,
        lambda batch: replace_targets(batch, split_batch(batch)[2] * factor + offset),
        "targets",
        _rescaled(factor, offset),
    )


def _rescaled(factor: float, offset: float) -> str:
    return f"times {factor:g}" + (f" plus {offset:g}" if offset else "")


def _floating_inputs(setup: Setup) -> list[Tensor]:
    positional, named, _ = _parts(setup)
    found = [tensor for tensor in tensors((positional, named)) if tensor.is_floating_point()]
    if not found:
        raise RemedyError("its inputs are whole numbers (tokens or categories), which have no scale")
    return found


def _with_data(setup: Setup, change: Callable[[Batch], Batch], what: str, description: str) -> Setup:
    """The set-up with every batch of every split changed alike."""
    after = replace(
        setup,
        train=setup.train.mapped(change),
        validation=None if setup.validation is None else setup.validation.mapped(change),
        test=None if setup.test is None else setup.test.mapped(change),
        described={**setup.described, what: description},
    )
    return checked(setup, after, f"the {what} could not be changed")
