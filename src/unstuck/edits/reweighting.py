"""Training towards other data: rows drawn by weight, class shares of the outputs, batch-norm statistics taken anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from unstuck.edits.batch_norms import batch_norms
from unstuck.edits.passes import with_checked_edit
from unstuck.edits.samples import in_memory
from unstuck.edits.standardisation import InputScale, standardise_arguments
from unstuck.edits.tracing import trace
from unstuck.errors import RemedyError
from unstuck.languages import marked
from unstuck.setup import Batch, Data, Edit, Setup
from unstuck.setup.batch import concatenate
from unstuck.setup.randomness import isolated

LOGITS: Final = "logits"
LOG_PROBABILITIES: Final = "log-probabilities"
PROBABILITIES: Final = "probabilities"
BINARY_LOGITS: Final = "binary logits"
BINARY_PROBABILITIES: Final = "binary probabilities"


def with_rows(setup: Setup, rows: Tensor, says: str, validation: Tensor | None = None) -> Setup:
    """Train on chosen rows of the training split, some of them several times, some never.

    Args:
        setup: What is trained.
        rows: Their numbers, shape `[K]`.
        says: What they are, for the diff of the set-up.
        validation: Likewise of the validation split, so that it keeps to the training distribution; None to leave it.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the samples are not held in memory.
    """
    described = {**setup.described, "sampling": says}
    changed = replace(setup, train=in_memory(setup.train).subset(rows), described=described)
    if validation is None or setup.validation is None:
        return changed
    return replace(changed, validation=in_memory(setup.validation).subset(validation))


def joined_with(setup: Setup, others: Data, says: str) -> Setup:
    """Train on more samples: those of another split as well, in as many steps as before.

    Args:
        setup: What is trained.
        others: The other samples, which come as often as those that are there, all together.
        says: What they are, for the diff of the set-up.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the samples are not held in memory, or have another form.
    """
    train, more = in_memory(setup.train), in_memory(others)
    draws = torch.Generator().manual_seed(setup.seed)
    # Half of each, for as many steps: the smaller of the two comes several times.
    half = train.size // 2
    rows = torch.randperm(train.size, generator=draws)[: train.size - half]
    again = torch.randperm(more.size, generator=draws).repeat(-(-half // more.size))[:half]
    try:
        samples = concatenate([train.subset(rows).samples, more.subset(again).samples])
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise RemedyError(f"the samples do not fit together: {error}") from error
    described = {**setup.described, "samples": says}
    return replace(setup, train=replace(train, samples=samples), described=described)


def trained_on(setup: Setup, others: Data, says: str) -> Setup:
    """Train on another split instead, in as many steps as before.

    Args:
        setup: What is trained.
        others: The other samples.
        says: What they are, for the diff of the set-up.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the samples are not held in memory.
    """
    train, more = in_memory(setup.train), in_memory(others)
    times = -(-train.size // more.size)
    rows = torch.arange(more.size).repeat(times)[: max(train.size, more.size)]
    described = {**setup.described, "samples": says}
    samples = more.subset(rows).samples
    return replace(setup, train=replace(train, samples=samples), described=described)


def completed_by(setup: Setup, kept: Tensor, others: Data, says: str) -> Setup:
    """Train on the samples that are kept and, in place of the rest, on another split, in as many steps as before.

    Args:
        setup: What is trained.
        kept: One truth value a training sample, shape `[N]`.
        others: The other samples; all of them come, and again as often as there is room.
        says: What the samples are, for the diff of the set-up.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the samples are not held in memory, have another form, or all of them are kept.
    """
    train, more = in_memory(setup.train), in_memory(others)
    if bool(kept.all()):
        raise RemedyError("every training sample is to be kept")
    rest = max(more.size, train.size - int(kept.sum()))
    again = torch.arange(more.size).repeat(-(-rest // more.size))[:rest]
    try:
        samples = concatenate([train.subset(kept.nonzero().flatten()).samples, more.subset(again).samples])
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        raise RemedyError(f"the samples do not fit together: {error}") from error
    described = {**setup.described, "samples": says}
    return replace(setup, train=replace(train, samples=samples), described=described)


@final
@dataclass(frozen=True)
class _NewShares:
    """Outputs under other class shares, in evaluation mode: training goes on as before."""

    form: str
    logarithms: tuple[float, ...]

    def __call__(self, module: nn.Module, arguments: Any, output: Any) -> Any:
        if module.training or not isinstance(output, Tensor):
            return output
        shift = output.new_tensor(self.logarithms)
        if self.form == LOGITS:
            return output + shift
        if self.form == LOG_PROBABILITIES:
            return (output + shift).log_softmax(-1)
        if self.form == PROBABILITIES:
            weighted = output * shift.exp()
            return weighted / weighted.sum(-1, keepdim=True)
        difference = shift[1] - shift[0]
        if self.form == BINARY_LOGITS:
            return output + difference
        odds = output * difference.exp()
        return odds / (odds + 1.0 - output)


def with_class_shares(setup: Setup, form: str, ratios: Sequence[float], says: str) -> Setup:
    """Correct the outputs for other class shares, inside the model, wherever it runs in evaluation mode.

    p'(y | x) ∝ p(y | x) · p'(y) / p(y) (Saerens, Latinne & Decaestecker 2002).

    Args:
        setup: What is trained.
        form: What the outputs are; one of the names above.
        ratios: New share over that in training, for each class.
        says: The new shares, for the diff of the set-up.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the model is never called as a whole.
    """
    _called_whole(setup)
    logarithms = tuple(torch.tensor(list(ratios), dtype=torch.float64).clamp(1e-3, 1e3).log().tolist())

    def apply(model: nn.Module) -> nn.Module:
        model.register_forward_hook(_NewShares(form, logarithms))
        return model

    edit = Edit("model outputs in evaluation mode", "class shares of the training data", says, apply)
    return with_checked_edit(setup, edit, "the outputs could not be corrected")


def without_features(setup: Setup, columns: Sequence[int], count: int) -> Setup:
    """Blind the model to some columns of its only input `[N, D]`, inside the model, which still takes them.

    Args:
        setup: What is trained.
        columns: Which.
        count: D.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the model is never called as a whole.
    """
    _called_whole(setup)
    scale = torch.ones(count, dtype=torch.float64)
    scale[list(columns)] = torch.inf

    def apply(model: nn.Module) -> nn.Module:
        standardise_arguments(model, (InputScale(0, 1, torch.zeros(count, dtype=torch.float64), scale),))
        return model

    named = ", ".join(map(str, columns))
    edit = Edit(f"model input, column {named}", "as given", marked("always 0"), apply)
    return with_checked_edit(setup, edit, "the columns could not be taken out")


@final
@dataclass
class _Reestimate:
    """Takes the statistics of batch-norm layers anew, whenever the model is evaluated after it was trained."""

    setup: Setup
    batches: list[Batch]
    stale: bool = True
    busy: bool = field(default=False)

    def __call__(self, module: nn.Module, arguments: Any) -> None:
        if self.busy:
            return
        if module.training:
            self.stale = True
        elif self.stale:
            self.busy = True
            try:
                reestimate(self.setup, module, self.batches)
            finally:
                self.busy = self.stale = False


def reestimate(setup: Setup, model: nn.Module, batches: Sequence[Batch]) -> None:
    """Set the running statistics of batch-norm layers to the averages over batches; modes stay as they were.

    Each layer's statistics are taken with those below it settled by the same batches (Izmailov et al., "Averaging
    weights leads to wider optima", 2018; Wu & Johnson, "Rethinking 'batch' in batch-norm", 2021).

    Args:
        setup: Knows how to call the model.
        model: Changed in place.
        batches: On the set-up's device.
    """
    modes = {name: module.training for name, module in model.named_modules()}
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain average over all batches
            norm.training = True
        with torch.no_grad():
            for batch in batches:
                setup.outputs(model, batch)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for name, module in model.named_modules():
            module.training = modes[name]


def with_statistics_of(setup: Setup, data: Data, says: str, limit: int) -> Setup:
    """Let batch-norm layers be evaluated with the statistics of some data, at the weights as they then are.

    Args:
        setup: What is trained.
        data: The data, with or without targets.
        says: What they are, for the diff of the set-up.
        limit: Samples that are read at most.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no batch-norm layer, or the model is never called as a whole.
    """
    _called_whole(setup)
    with isolated(setup.seed):
        model, _ = setup.build()
    model.train()
    if not batch_norms(model):
        raise RemedyError("the model has no batch-norm layer that uses the statistics of the batch")
    batches = [setup.placed(batch) for batch in data.head(limit)]
    sizes = [next(iter(_sizes(batch)), 0) for batch in batches]
    batches = [batch for batch, size in zip(batches, sizes, strict=True) if size > 1]
    if not batches:
        raise RemedyError("a batch of one sample has no statistics")

    def apply(model: nn.Module) -> nn.Module:
        model.register_forward_pre_hook(_Reestimate(setup, batches))
        return model

    edit = Edit("model: statistics of batch-norm", "running averages of training", says, apply)
    return with_checked_edit(setup, edit, "the statistics could not be taken anew")


def _sizes(batch: Batch) -> list[int]:
    from unstuck.setup.batch import tensors

    return [tensor.shape[0] for tensor in tensors(batch) if tensor.dim()]


def _called_whole(setup: Setup) -> None:
    if not trace(setup).root_calls:
        raise RemedyError("`forward` calls parts of the model, never the whole, so nothing can be put around it")
