"""Dropout and weight decay, more and less of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, final

from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.edits.insertion import insert_before
from unstuck.edits.interception import Interception, intercept, unchanged, with_interception
from unstuck.edits.passes import checked, with_checked_edit
from unstuck.edits.structure import AFFINE, RECURRENT
from unstuck.edits.tracing import DROPOUTS, Trace, trace
from unstuck.errors import RemedyError
from unstuck.languages import marked
from unstuck.setup import Edit, Setup
from unstuck.setup.optimizer import OptimizerFactory, OptimizerRecipe
from unstuck.setup.randomness import isolated

LAYERS: Final = (nn.modules.dropout._DropoutNd, nn.RNNBase, nn.MultiheadAttention)
"""Modules with a rate of dropout."""

_USUAL: Final = 0.5
"""What a function of torch drops where it is not told otherwise."""


def dropout_rates(setup: Setup) -> tuple[float, ...]:
    """Rates of dropout above 0: of layers, in their order, then 0.5 for each call of a function that drops."""
    record = trace(setup)
    rates = [_rate(module) for module in record.model.modules() if isinstance(module, LAYERS)]
    called = [call for call in record.functions if call.name in DROPOUTS and not _in_layer(record, call.leaf)]
    return (*(rate for rate in rates if rate > 0.0), *(_USUAL for _ in called))


def weaker_dropout(setup: Setup, factor: float) -> Setup:
    """Multiply every layer's rate of dropout.

    Args:
        setup: What is trained.
        factor: Below 1.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If no layer drops units.
    """
    record = trace(setup)
    rates = [_rate(module) for module in record.model.modules() if isinstance(module, LAYERS)]
    rates = [rate for rate in dict.fromkeys(rates) if rate > 0.0]
    if not rates:
        raise RemedyError("the model has no layer of dropout")

    def apply(model: nn.Module) -> nn.Module:
        for module in model.modules():
            if isinstance(module, LAYERS):
                _set_rate(module, factor * _rate(module))
        return model

    before, after = (", ".join(f"{scale * rate:g}" for rate in rates) for scale in (1.0, factor))
    return with_checked_edit(setup, Edit("dropout", before, after, apply), "dropout could not be weakened")


def without_dropout(setup: Setup) -> Setup:
    """Keep every unit while training.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If nothing is dropped as it is.
    """
    record = trace(setup)
    rates = [_rate(module) for module in record.model.modules() if isinstance(module, LAYERS)]
    called = [call for call in record.functions if call.name in DROPOUTS and not _in_layer(record, call.leaf)]
    found = [f"{rate:g}" for rate in rates if rate > 0.0] + [call.name for call in called]
    if not found:
        raise RemedyError("the model has no dropout")

    def apply(model: nn.Module) -> nn.Module:
        for module in model.modules():
            if isinstance(module, LAYERS):
                _set_rate(module, 0.0)
        return model

    edit = Edit("dropout", ", ".join(dict.fromkeys(found)), "none", apply)
    refusal = "dropout could not be taken out"
    if not called:
        return with_checked_edit(setup, edit, refusal)
    plan = Interception(DROPOUTS)
    if all(call.inside for call in called):
        return with_checked_edit(setup, replace(edit, apply=lambda model: intercept(apply(model), plan)), refusal)
    return checked(setup, with_interception(setup, edit, plan, in_model=False), refusal)


def without_dropout_of_outputs(setup: Setup) -> Setup:
    """Leave out a function that drops answers themselves, behind the last layer; other dropout stays.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the outputs come from no such function.
    """
    record = trace(setup)
    call = record.functions[-1] if record.functions else None
    if call is None or call.name not in DROPOUTS or _in_layer(record, call.leaf):
        raise RemedyError("no function drops what the last layer gives")
    same = [other for other in record.functions if other.name in DROPOUTS and (other.inside or not call.inside)]
    if call.inside and record.root_calls != 1:
        raise RemedyError(f"the model runs {record.root_calls} times per batch: its last dropout is not one call")
    plan = Interception(DROPOUTS, only=frozenset({next(n for n, other in enumerate(same) if other is call)}))
    edit = Edit("model outputs", call.name, marked("removed"), unchanged)
    refusal = "dropout of the outputs could not be taken out"
    return checked(setup, with_interception(setup, edit, plan, in_model=call.inside), refusal)


def _in_layer(record: Trace, leaf: str | None) -> bool:
    return leaf is not None and isinstance(record.model.get_submodule(leaf), LAYERS)


def _rate(module: Any) -> float:
    return float(module.p if isinstance(module, nn.modules.dropout._DropoutNd) else module.dropout)


def _set_rate(module: Any, rate: float) -> None:
    if isinstance(module, nn.modules.dropout._DropoutNd):
        module.p = rate
    else:
        module.dropout = rate


def with_dropout(setup: Setup, p: float) -> Setup:
    """Drop units while training: at this rate where the model has dropout, else in front of its later layers.

    Args:
        setup: What is trained.
        p: Share of units that are dropped, in (0, 1).

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the model has no hidden units that could be dropped.
    """
    record = trace(setup)
    names = tuple(
        dict.fromkeys(
            call.name for call in record.calls if isinstance(record.model.get_submodule(call.name), nn.Dropout)
        )
    )
    if names:
        rates = dict.fromkeys(f"{_rate(record.model.get_submodule(name)):g}" for name in names)

        def set_rates(model: nn.Module) -> nn.Module:
            for name in names:
                _set_rate(model.get_submodule(name), p)
            return model

        return with_checked_edit(
            setup, Edit("dropout", ", ".join(rates), f"{p:g}", set_rates), "dropout could not be set"
        )
    hosts = _hidden_inputs(record, linear=True) or _hidden_inputs(record, linear=False)
    if not hosts:
        raise RemedyError("the model has no hidden units that could be dropped")

    def apply(model: nn.Module) -> nn.Module:
        for name in hosts:
            host = model.get_submodule(name)
            insert_before(host, "dropout", (nn.Dropout if isinstance(host, nn.Linear) else nn.Dropout2d)(p))
        return model

    edit = Edit("dropout", "none", f"{p:g} in front of {', '.join(hosts)}", apply)
    return with_checked_edit(setup, edit, "dropout could not be put in")


def _hidden_inputs(record: Trace, *, linear: bool) -> tuple[str, ...]:
    """Linear layers, or two-dimensional convolutions, that take what another layer has computed."""
    weighty = (*AFFINE, *RECURRENT, nn.MultiheadAttention)
    produced = {node for call in record.calls if isinstance(call.module, weighty) for node in call.exits}
    found: dict[str, None] = {}
    for call in record.calls:
        if isinstance(call.module, nn.Linear if linear else nn.Conv2d):
            seen, stack = set(call.entries), list(call.entries)
            while stack and call.name not in found:
                node = stack.pop()
                if node in produced:
                    found[call.name] = None
                new = [parent for parent, _ in node.next_functions if parent is not None and parent not in seen]
                seen.update(new)
                stack.extend(new)
    return tuple(found)


def with_weight_decay(setup: Setup, value: float) -> Setup:
    """Let weights decay, decoupled from the gradient where the optimizer is Adam (as AdamW does).

    Biases and norm parameters are exempt where the optimizer is made by a factory and has one group.

    Args:
        setup: What is trained.
        value: Weight decay, in the optimizer's own terms.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the optimizer knows no weight decay.
    """
    optimizer = _built(setup)
    present = _decays(optimizer)
    if not present:
        raise RemedyError(f"{type(optimizer).__name__} knows no weight decay")
    described = {**setup.described, "weight decay": f"{value:g}"}
    recipe = setup.optimizer
    if recipe.factory is not None and len(optimizer.param_groups) == 1 and setup.train_step is None:
        kept = tuple(pair for pair in recipe.settings if pair[0] not in _KEYS)
        recipe = replace(recipe, factory=_Decaying(recipe.factory, value), settings=kept)
    else:
        recipe = _alike(setup, value, optimizer)
    after = replace(setup, optimizer=recipe, described=described)
    try:
        made = _built(after)
        if setup.scheduler is not None:
            setup.scheduler(made)
    except Exception:  # a scheduler with a list of rates wants as many groups: decay all parameters alike
        after = replace(setup, optimizer=_alike(setup, value, optimizer), described=described)
    return after


def _alike(setup: Setup, value: float, optimizer: Optimizer) -> OptimizerRecipe:
    """The recipe with the same decay for all parameters, decoupled where the optimizer can."""
    recipe = setup.optimizer.with_setting("weight_decay", value)
    if any("decoupled_weight_decay" in group for group in optimizer.param_groups):
        recipe = recipe.with_setting("decoupled_weight_decay", True)
    return recipe


def weaker_weight_decay(setup: Setup, factor: float) -> Setup:
    """Multiply the weight decay of all parameters.

    Args:
        setup: What is trained.
        factor: Below 1.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If no weights decay, or not all by the same number.
    """
    decays = {decay for decay in _decays(_built(setup)) if decay > 0.0}
    if len(decays) != 1 or 0.0 in _decays(_built(setup)):
        raise RemedyError("the parameters do not all decay by the same number")
    value = factor * decays.pop()
    recipe = setup.optimizer.with_setting("weight_decay", value)
    return replace(setup, optimizer=recipe, described={**setup.described, "weight decay": f"{value:g}"})


def without_weight_decay(setup: Setup) -> Setup:
    """Let no weights decay.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If none decay as it is.
    """
    optimizer = _built(setup)
    if not any(_decays(optimizer)):
        raise RemedyError(f"{type(optimizer).__name__} runs without weight decay as it is")
    recipe = setup.optimizer.with_setting("weight_decay", 0.0)
    return replace(setup, optimizer=recipe, described={**setup.described, "weight decay": "none"})


_KEYS: Final = ("weight_decay", "decoupled_weight_decay")


def _built(setup: Setup) -> Optimizer:
    with isolated(setup.seed):
        return setup.build()[1]


def _decays(optimizer: Optimizer) -> list[float]:
    return [float(group["weight_decay"]) for group in optimizer.param_groups if "weight_decay" in group]


@final
@dataclass(frozen=True)
class _Decaying:
    """A factory whose optimizer lets matrices decay, but no biases and norm parameters."""

    factory: OptimizerFactory
    value: float

    def __call__(self, parameters: Any) -> Optimizer:
        optimizer = self.factory(parameters)
        (group,) = optimizer.param_groups
        if "decoupled_weight_decay" in group:
            group["decoupled_weight_decay"] = True
        group["weight_decay"] = self.value
        held: list[Tensor] = list(group["params"])
        matrices = [parameter for parameter in held if parameter.dim() > 1]
        vectors = [parameter for parameter in held if parameter.dim() <= 1]
        if matrices and vectors:
            group["params"] = matrices
            settings = {key: value for key, value in group.items() if key != "params"}
            optimizer.add_param_group({**settings, "params": vectors, "weight_decay": 0.0})
        return optimizer
