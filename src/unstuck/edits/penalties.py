"""Penalties on the size of the weights, added to the gradient: L2, L1, and both (elastic net)."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup
from unstuck.setup.randomness import isolated


def with_penalty(setup: Setup, *, absolute: float = 0.0, squared: float = 0.0) -> Setup:
    """Add λ₁ Σ |w| + ½ λ₂ Σ w² to the loss that is descended, by its gradient λ₁ sign(w) + λ₂ w.

    L1 is R. Tibshirani, "Regression shrinkage and selection via the lasso", 1996; both together H. Zou, T. Hastie,
    "Regularization and variable selection via the elastic net", 2005. Biases and parameters of norms (one dimension)
    are exempt. The loss that is printed stays that of the data alone. Optimizers that divide by past gradients do so
    with the penalty's share too (I. Loshchilov, F. Hutter, "Decoupled weight decay regularization", 2019): there
    the decoupled weight decay of `with_weight_decay` is another remedy.

    Args:
        setup: What is trained.
        absolute: λ₁, in units of the loss per weight.
        squared: λ₂, in units of the loss per squared weight.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If no trainable parameter has two dimensions or more.
    """
    with isolated(setup.seed):
        model, _ = setup.build()
    if not _matrices(model):
        raise RemedyError("no trainable parameter is a matrix")

    def apply(model: nn.Module) -> nn.Module:
        for parameter in _matrices(model):
            parameter.register_hook(_pull(parameter, absolute, squared))
        return model

    after = f"{absolute:.3g} × sum of |w| + {squared:.3g} × ½ sum of w²"
    if not squared > 0.0:
        after = f"{absolute:.3g} × sum of |w|"
    elif not absolute > 0.0:
        after = f"{squared:.3g} × ½ sum of w²"
    return setup.with_edit(Edit("penalty on the weights", "none", after, apply))


def _matrices(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad and parameter.dim() > 1]


def _pull(parameter: nn.Parameter, absolute: float, squared: float) -> Callable[[Tensor], Tensor]:
    def hook(gradient: Tensor) -> Tensor:
        if gradient.is_sparse:  # of an embedding: rows that do not occur are left alone
            return gradient
        weights = parameter.detach()
        return gradient + absolute * weights.sign() + squared * weights

    return hook
