"""What values outputs may take, told from those of the untrained model, and free parameters for them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from unstuck.measure.descent import Array
from unstuck.measure.loss_form import OutputForm


def range_of(outputs: Tensor) -> OutputForm:
    """What outputs are valid as, where the loss is not known.

    Args:
        outputs: Of the untrained model on a batch, `[N, …]`.

    Returns:
        The form; VALUES stands for anything.
    """
    if not outputs.numel():
        return OutputForm.VALUES
    outputs = outputs.double()
    ones = torch.ones((), dtype=torch.float64, device=outputs.device)
    if outputs.dim() > 1 and outputs.shape[1] > 1:
        if torch.allclose(outputs.exp().sum(1), ones, atol=1e-4):
            return OutputForm.CLASS_LOG_PROBABILITIES
        if bool((outputs >= 0.0).all()) and torch.allclose(outputs.sum(1), ones, atol=1e-4):
            return OutputForm.CLASS_PROBABILITIES
    return OutputForm.PROBABILITIES if bool(((outputs > 0.0) & (outputs < 1.0)).all()) else OutputForm.VALUES


def parametrisation(form: OutputForm) -> tuple[Callable[[Tensor], Tensor], Callable[[Array], Array]]:
    """Free parameters for outputs of a form.

    Args:
        form: What the outputs must be.

    Returns:
        From free parameters, in the shape of the outputs of one sample, to valid outputs; from a start back to
        parameters.
    """
    if form is OutputForm.CLASS_LOG_PROBABILITIES:
        return lambda free: free.log_softmax(0), lambda start: start
    if form is OutputForm.PROBABILITIES:
        return torch.sigmoid, _logit
    if form is OutputForm.CLASS_PROBABILITIES:
        return lambda free: free.softmax(0), lambda start: start
    if form is OutputForm.RATES:
        return torch.exp, lambda start: np.log(np.clip(start, 1e-4, None)) if start.any() else start
    return lambda free: free * 1.0, lambda start: start


def _logit(start: Array) -> Array:
    if not start.any():
        return start
    inside = np.clip(start, 1e-3, 1.0 - 1e-3)
    return np.asarray(np.log(inside / (1.0 - inside)), dtype=np.float64)
