"""What a loss does to the outputs, found by calling it, not by reading it.

People write losses as modules, as functions and as lambdas. A loss is recognised by its values: it is
called on random outputs and the set-up's own targets, and compared with the textbook losses.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from torch import Tensor
from torch.nn import functional

from unstuck.languages import marked
from unstuck.setup.randomness import isolated

Loss = Callable[[Any, Any], Any]


class OutputForm(enum.Enum):
    """What a loss takes the outputs to be."""

    CLASS_LOGITS = "logits of classes"
    CLASS_LOG_PROBABILITIES = "log-probabilities of classes"
    CLASS_PROBABILITIES = "probabilities of classes"
    BINARY_LOGITS = "logits"
    PROBABILITIES = "probabilities"
    VALUES = "values"
    LOG_RATES = "logarithms of rates"
    RATES = "rates"
    NOTHING = "nothing that matters"
    UNKNOWN = "unknown"


@final
@dataclass(frozen=True, slots=True)
class LossForm:
    """What was found out about a loss.

    Attributes:
        name: The textbook loss that it equals, such as "cross-entropy", or "unrecognised".
        form: What it takes the outputs to be.
        exact: Whether its values equal the textbook's; a weighted or smoothed cross-entropy is recognised by its
            invariance only.
    """

    name: str
    form: OutputForm
    exact: bool


def _softmax_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.cross_entropy(outputs.softmax(1), targets)


def _aligned(loss: Callable[..., Tensor]) -> Loss:
    """A regression loss on targets that have been given the shape of the outputs."""
    return lambda outputs, targets: loss(outputs, targets.reshape(outputs.shape).to(outputs.dtype))


def _cross_entropy_of_shares(outputs: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy by its formula, which takes targets beyond 0 and 1 as well; torch's own does not."""
    return -(targets * outputs.log() + (1.0 - targets) * (1.0 - outputs).log()).mean()


def _cross_entropy_over_last(outputs: Tensor, targets: Tensor) -> Tensor:
    """The usual loss of a language model: outputs `[N, T, C]`, targets `[N, T]`."""
    return functional.cross_entropy(outputs.flatten(0, -2), targets.flatten())


def _cross_entropy_of_chances(outputs: Tensor, targets: Tensor) -> Tensor:
    """The logarithm is taken by the loss, as other libraries do it; targets are class numbers or one-hot."""
    if targets.is_floating_point():
        return -(targets * outputs.log()).sum(1).mean()
    return functional.nll_loss(outputs.log(), targets)


def _poisson_of_rates(outputs: Tensor, targets: Tensor) -> Tensor:
    return functional.poisson_nll_loss(outputs, targets, log_input=False)


def _sigmoid_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    wanted = targets.reshape(outputs.shape).to(outputs.dtype)
    return functional.binary_cross_entropy_with_logits(outputs.sigmoid(), wanted)


def _on_one_hot(loss: Callable[..., Tensor]) -> Loss:
    """A regression loss on class numbers that the loss itself makes one-hot along dimension 1."""

    def one_hot(outputs: Tensor, targets: Tensor) -> Tensor:
        if targets.is_floating_point() or targets.shape == outputs.shape:
            raise ValueError("the targets are no class numbers")
        hot = functional.one_hot(targets, outputs.shape[1]).movedim(-1, 1)
        return loss(outputs, hot.to(outputs.dtype))

    return one_hot


OVER_LAST: Final = "cross-entropy over the last dimension"
SOFTMAX_IN_LOSS: Final = "cross-entropy of a softmax"
SIGMOID_IN_LOSS: Final = "binary cross-entropy with logits of a sigmoid"
INDIFFERENT: Final = "loss"
"""What a loss is called that is the same whatever the outputs are, and so not recognisable by its values."""

TEXTBOOK: Final[tuple[tuple[str, OutputForm, Loss], ...]] = (
    ("cross-entropy", OutputForm.CLASS_LOGITS, functional.cross_entropy),
    (SOFTMAX_IN_LOSS, OutputForm.CLASS_LOGITS, _softmax_cross_entropy),
    (OVER_LAST, OutputForm.CLASS_LOGITS, _cross_entropy_over_last),
    ("negative log-likelihood", OutputForm.CLASS_LOG_PROBABILITIES, functional.nll_loss),
    ("cross-entropy of probabilities", OutputForm.CLASS_PROBABILITIES, _cross_entropy_of_chances),
    (
        "binary cross-entropy with logits",
        OutputForm.BINARY_LOGITS,
        _aligned(functional.binary_cross_entropy_with_logits),
    ),
    (SIGMOID_IN_LOSS, OutputForm.BINARY_LOGITS, _sigmoid_cross_entropy),
    ("binary cross-entropy", OutputForm.PROBABILITIES, _aligned(_cross_entropy_of_shares)),
    ("mean squared error", OutputForm.VALUES, _aligned(functional.mse_loss)),
    ("mean absolute error", OutputForm.VALUES, _aligned(functional.l1_loss)),
    (marked("Huber"), OutputForm.VALUES, _aligned(functional.smooth_l1_loss)),
    ("mean squared error to one-hot targets", OutputForm.VALUES, _on_one_hot(functional.mse_loss)),
    ("mean absolute error to one-hot targets", OutputForm.VALUES, _on_one_hot(functional.l1_loss)),
    ("Poisson negative log-likelihood", OutputForm.LOG_RATES, _aligned(functional.poisson_nll_loss)),
    ("Poisson negative log-likelihood of rates", OutputForm.RATES, _aligned(_poisson_of_rates)),
)


def recognise(loss: Loss, outputs: Tensor, targets: Any) -> LossForm:
    """Find out what a loss is.

    Args:
        loss: The set-up's loss.
        outputs: Outputs of the model on a batch, shape `[N, …]`.
        targets: The targets of that batch.

    Returns:
        The form; UNKNOWN where nothing fits.
    """
    if not isinstance(targets, Tensor):
        return LossForm(marked("unrecognised"), OutputForm.UNKNOWN, exact=False)
    with torch.no_grad(), isolated(0):
        for name, form, textbook in TEXTBOOK:
            if all(_agree(loss, textbook, probe, targets) for probe in _probes(outputs, form)):
                return LossForm(name, form, exact=True)
        if _shift_invariant(loss, outputs, targets):
            return LossForm("cross-entropy (weighted, smoothed or focal)", OutputForm.CLASS_LOGITS, exact=False)
        if _scales_like(loss, functional.mse_loss, outputs, targets):
            return LossForm("mean squared error", OutputForm.VALUES, exact=False)
        if _indifferent(loss, outputs, targets):
            return LossForm(INDIFFERENT, OutputForm.NOTHING, exact=False)
        for name, form, textbook in TEXTBOOK:
            if name not in (SOFTMAX_IN_LOSS, SIGMOID_IN_LOSS) and _proportional(loss, textbook, outputs, targets, form):
                return LossForm(name, form, exact=False)
    return LossForm(marked("unrecognised"), OutputForm.UNKNOWN, exact=False)


def _probes(outputs: Tensor, form: OutputForm) -> list[Tensor]:
    drawn = [torch.randn_like(outputs, dtype=outputs.dtype), 2.0 * torch.rand_like(outputs) - 0.5]
    if form in (OutputForm.PROBABILITIES, OutputForm.RATES):
        return [tensor.sigmoid() for tensor in drawn]
    if form is OutputForm.CLASS_PROBABILITIES and outputs.dim() > 1:
        return [tensor.softmax(1) for tensor in drawn]
    if form is OutputForm.CLASS_LOG_PROBABILITIES and outputs.dim() > 1:
        return [tensor.log_softmax(1) + 0.3 for tensor in drawn]
    return drawn


def _value(loss: Loss, outputs: Tensor, targets: Any) -> Tensor | None:
    try:
        value = loss(outputs.clone(), targets)
    except Exception:  # a textbook loss may refuse these shapes or dtypes: then it is not the one
        return None
    return value if isinstance(value, Tensor) and value.numel() == 1 and torch.isfinite(value) else None


def _agree(loss: Loss, textbook: Loss, outputs: Tensor, targets: Any) -> bool:
    ours, theirs = _value(textbook, outputs, targets), _value(loss, outputs, targets)
    return ours is not None and theirs is not None and torch.allclose(ours, theirs, rtol=1e-4, atol=1e-7)


def _shift_invariant(loss: Loss, outputs: Tensor, targets: Any) -> bool:
    """Whether adding a number to all logits of a sample changes nothing: there is a softmax inside."""
    if outputs.dim() < 2 or outputs.shape[1] < 2:
        return False
    drawn = torch.randn_like(outputs)
    shift = torch.randn_like(outputs[:, :1])
    before, after = _value(loss, drawn, targets), _value(loss, drawn + shift, targets)
    moved = _value(loss, 2.0 * drawn, targets)
    if before is None or after is None or moved is None or torch.allclose(before, moved, rtol=1e-4):
        return False
    return torch.allclose(before, after, rtol=1e-4, atol=1e-6) and not _is_piecewise_linear(loss, drawn, targets)


def _indifferent(loss: Loss, outputs: Tensor, targets: Any) -> bool:
    """Whether the loss is the same number for any outputs, as a cross-entropy over a single one is."""
    values = [_value(loss, probe.sigmoid(), targets) for form in OutputForm for probe in _probes(outputs, form)[:1]]
    if any(value is None for value in values):
        return False
    # Beside targets in the thousands, outputs of size 1 look all the same: these are of the targets' own scale.
    values += [_value(loss, probe, targets) for probe in _like(targets, outputs)]
    known = [value for value in values if value is not None]
    return all(torch.allclose(value, known[0], rtol=1e-4, atol=0.0) for value in known)


def _like(targets: Tensor, outputs: Tensor) -> list[Tensor]:
    """Random outputs of the mean and the size of the targets, where these are numbers."""
    if not targets.is_floating_point() or not targets.numel():
        return []
    drawn = torch.randn_like(outputs)
    return [(targets.mean() + targets.std(correction=0) * drawn).to(outputs), (targets.abs().max() * drawn).to(outputs)]


def _is_piecewise_linear(loss: Loss, outputs: Tensor, targets: Any) -> bool:
    """Whether the gradient takes but a few values, as a margin loss's does; a softmax's takes as many as outputs."""
    with torch.enable_grad():
        leaf = (0.1 * outputs).requires_grad_()
        value = _value(lambda given, wanted: loss(given, wanted), leaf, targets)
        if value is None or not value.requires_grad:
            return False
        (gradient,) = torch.autograd.grad(value, leaf)
    return len(torch.unique(gradient.flatten()[:64])) < min(8, gradient.numel() // 2)


def _proportional(loss: Loss, textbook: Loss, outputs: Tensor, targets: Any, form: OutputForm) -> bool:
    """Whether the loss is a fixed multiple of a textbook one (a sum, or a weight in front)."""
    ratios = []
    for probe in (*_probes(outputs, form), *_probes(outputs, form)):
        ours, theirs = _value(textbook, probe, targets), _value(loss, probe, targets)
        if ours is None or theirs is None or float(ours) == 0.0:
            return False
        ratios.append(float(theirs / ours))
    return min(ratios) > 0.0 and max(ratios) / min(ratios) < 1.0 + 1e-3


def _scales_like(loss: Loss, textbook: Callable[..., Tensor], outputs: Tensor, targets: Any) -> bool:
    """Whether a loss is a mean squared error over shapes that broadcast against each other."""
    if not isinstance(targets, Tensor) or targets.shape == outputs.shape:
        return False
    try:
        left, right = torch.broadcast_tensors(outputs, targets)
    except RuntimeError:
        return False
    if left.shape == outputs.shape and right.shape == targets.shape:
        return False
    return all(
        _agree(loss, lambda o, t: textbook(*torch.broadcast_tensors(o, t.to(o.dtype))), probe, targets)
        for probe in _probes(outputs, OutputForm.VALUES)
    )
