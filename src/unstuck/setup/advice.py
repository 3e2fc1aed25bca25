"""What to do about an error in the user's own code."""

from __future__ import annotations

import re
from typing import Final

import torch

_SMALLER: Final = "Use a smaller batch_size or a smaller model."

_BY_STAGE: Final = {
    "data": "Read one batch by itself and mend what raises.",
    "model": "Call the factory by itself and mend it.",
    "optimizer": "Call the factory by itself and mend it.",
    "forward": "Run the model on one batch by itself and check shapes and dtypes.",
    "loss": "Call the loss on one batch of outputs and targets by itself.",
    "backward": "Check that the loss depends on the parameters through differentiable operations.",
    "step": "Run the step on one batch by itself.",
    "schedule": "Step the scheduler by itself, as often as the set-up does.",
}

# What torch says → what to do. The first that matches is given.
_BY_MESSAGE: Final[tuple[tuple[str, str], ...]] = (
    (r"not enough memory|can't allocate memory|out of memory", _SMALLER),
    (r"mat1 and mat2 shapes cannot be multiplied", "Make the layer take as many features as reach it."),
    (r"expected input.*to have \d+ channels", "Make the layer take as many channels as reach it."),
    (r"must have the same dtype|same dtype, but got|expected m1 and m2", "Bring inputs and model to one dtype."),
    (r"Input type .* and (bias|weight) type .* should be the same", "Bring inputs and model to one dtype."),
    (r"Expected all tensors to be on the same device", "Bring model, inputs and targets to one device."),
    (r"[Tt]arget -?\d+ is out of bounds", "Number the classes from 0 to the number of outputs less 1."),
    (
        r"expected scalar type Long|expected target dtype to be Long|Expected floating point type for target",
        "Give class targets as whole numbers (.long()).",
    ),
    (r"Expected more than 1 value per channel", "Use a larger batch_size, or drop_last=True."),
    (r"does not require a?n? ?grad", "Check for .detach(), .item() or no_grad() between the parameters and the loss."),
    (r"index out of range in self", "Make the embedding as large as the largest index plus 1."),
    (r"stack expects each tensor to be equal size", "Pad the samples to one size, or give the loader a collate_fn."),
    (r"modified by an inplace operation", "Replace the in-place operation by one that returns a new tensor."),
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; on the CPU torch raises a plain RuntimeError for it."""
    known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
    return known or (isinstance(error, RuntimeError) and bool(re.search(_BY_MESSAGE[0][0], str(error))))


def advice(stage: str, error: BaseException) -> str:
    """A sentence that says what to do.

    Args:
        stage: Where the error was raised, as in `ExaminationError`.
        error: What was raised.

    Returns:
        What fits the error where it is a well-known one, else what fits the stage.
    """
    if is_out_of_memory(error):
        return _SMALLER
    message = " ".join(str(error).split())
    for pattern, do in _BY_MESSAGE:
        if re.search(pattern, message):
            return do
    return _BY_STAGE.get(stage, "Run it by itself and mend it.")
