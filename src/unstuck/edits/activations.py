"""Dropping, putting in and replacing activations."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from torch import Tensor, nn

from unstuck.edits.graph import BILINEAR, family
from unstuck.edits.insertion import insert_before, insert_behind, put
from unstuck.edits.interception import Interception, intercept, unchanged, with_behind, with_interception
from unstuck.edits.passes import checked, with_checked_edit
from unstuck.edits.structure import (
    HIDDEN_ACTIVATIONS,
    affine_pairs_of,
    final_activation_of,
    final_call,
)
from unstuck.edits.tracing import FunctionCall, Trace, trace
from unstuck.errors import RemedyError
from unstuck.languages import marked
from unstuck.setup import Edit, Setup

Activation = Callable[[], nn.Module]

FUNCTIONS: Final = frozenset(
    "relu relu_ relu6 leaky_relu leaky_relu_ rrelu rrelu_ elu elu_ selu selu_ celu celu_ gelu silu silu_ "
    "mish sigmoid sigmoid_ special_expit tanh tanh_ hardtanh hardtanh_ hardswish hardsigmoid softplus softsign "
    "logsigmoid log_sigmoid softshrink hardshrink tanhshrink threshold threshold_".split()
)
"""Names of the functions that are activations of hidden layers."""


def drop_final_activation(setup: Setup) -> Setup:
    """Leave the last activation out, so that the outputs are what it took.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the outputs come from an affine layer or from an operation that is no call.
    """
    return _with_final(setup, None, marked("removed"))


def replace_final_activation(setup: Setup, activation: nn.Module) -> Setup:
    """Put another activation in the place of the last one.

    Args:
        setup: What is trained.
        activation: Has no parameters where the last one is a function.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there is no last activation, or it cannot be replaced.
    """
    return _with_final(setup, activation, repr(activation))


def _with_final(setup: Setup, activation: nn.Module | None, after: str) -> Setup:
    record = trace(setup)
    final = final_activation_of(record)
    if final is None:
        raise RemedyError("the outputs come from an affine layer: there is no activation behind it")
    refusal = "the last activation could not be changed"
    if final.layer and record.times(final.layer) == 1:
        name, leaf = final.layer, record.model.get_submodule(final.layer)
        edit = Edit(
            f"model.{name}",
            repr(leaf),
            after,
            lambda model: put(model, name, copy.deepcopy(activation or nn.Identity())),
        )
        return with_checked_edit(setup, edit, refusal)
    call = final_call(record)
    if call is None:
        raise RemedyError(f"the outputs are computed by {final.operation}, which is no call that can be left out")
    if activation is not None and any(True for _ in activation.parameters()):
        raise RemedyError("the last activation is a function; only one without parameters can take its place")
    if call.inside and record.root_calls != 1:
        raise RemedyError(f"the model runs {record.root_calls} times per batch: its last activation is not one call")
    names = frozenset({call.name})
    only = frozenset({_number(record, call, names, in_model=call.inside)})
    plan = Interception(names, only=only, replacement=activation)
    edit = Edit("model outputs", call.name, after, unchanged)
    return checked(setup, with_interception(setup, edit, plan, in_model=call.inside), refusal)


def _number(record: Trace, call: FunctionCall, names: frozenset[str], *, in_model: bool) -> int:
    """How many calls of such names came before, in the model's own forward or in all."""
    same = [other for other in record.functions if other.name in names and (other.inside or not in_model)]
    return next(number for number, other in enumerate(same) if other is call)


def append_final_activation(setup: Setup, activation: nn.Module) -> Setup:
    """Put an activation behind the outputs.

    Args:
        setup: What is trained.
        activation: A copy of it is registered on the layer that makes the outputs.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the outputs are no single tensor, or do not run through it.
    """
    record = trace(setup)
    if not isinstance(record.outputs, Tensor):
        raise RemedyError(f"the outputs must be one tensor; got {type(record.outputs).__name__}")
    edit = Edit("model outputs", "as given", f"followed by {activation!r}", unchanged)
    refusal = "no activation could be put behind the outputs"
    host = output_module(record)
    if host is not None:
        edit = replace(edit, apply=lambda model: _appended(model, host, activation))
        return with_checked_edit(setup, edit, refusal)
    if any(True for _ in activation.parameters()):
        raise RemedyError("`forward` makes the outputs; only an activation without parameters can follow it")
    return checked(setup, with_behind(setup, edit, copy.deepcopy(activation)), refusal)


def _appended(model: nn.Module, host: str, activation: nn.Module) -> nn.Module:
    insert_behind(model.get_submodule(host), "activation", activation)
    return model


def output_module(record: Trace) -> str | None:
    """Name of a module that gives the outputs and runs once, the last leaf if possible; else None."""
    names = [name for name, tensor in record.emitters if tensor is record.outputs]
    counts = [name for name, _ in record.emitters]
    leaf_names = {call.name for call in record.calls}
    ordered = [name for name in reversed(names) if name in leaf_names] + names
    containers = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
    for name in ordered:
        if counts.count(name) == 1 and not isinstance(record.model.get_submodule(name), containers):
            return name
    return None


def insert_nonlinearities(setup: Setup, kind: Activation = nn.ReLU) -> Setup:
    """Put an activation between affine layers that have nothing non-linear, or only max-pooling, between them.

    Args:
        setup: What is trained.
        kind: Makes the activation.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there are no such layers.
    """
    pairs = affine_pairs_of(trace(setup), through_pools=True)
    if not pairs:
        raise RemedyError("no affine layer feeds another one without an activation between them")
    seconds = tuple(dict.fromkeys(second for _, second in pairs))

    def apply(model: nn.Module) -> nn.Module:
        for name in seconds:
            insert_before(model.get_submodule(name), "activation", kind())
        return model

    where = ", ".join(f"{first} → {second}" for first, second in pairs)
    edit = Edit(f"model: {where}", "nothing between", type(kind()).__name__, apply)
    return with_checked_edit(setup, edit, "no activations could be put in")


def remove_nonlinearities(setup: Setup) -> Setup:
    """Leave out all hidden activations: the fault of a network that is affine though it is deep.

    The last activation, norms, pooling and gates stay.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there are none.
    """
    return _with_hidden(setup, nn.Identity, marked("removed"))


def replace_activations(setup: Setup, kind: Activation, *, initialise: bool = False) -> Setup:
    """Put another activation in the place of every hidden one.

    Args:
        setup: What is trained.
        kind: Makes the activation, such as `nn.Sigmoid`.
        initialise: Whether affine layers are then drawn anew as fits the activation (He or Xavier).

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there are no hidden activations that can be replaced.
    """
    changed = _with_hidden(setup, kind, type(kind()).__name__)
    if initialise:
        from unstuck.edits.initialisation import initialise_for_activations  # it reads structures as well

        changed = initialise_for_activations(changed)
    return changed


def _with_hidden(setup: Setup, kind: Activation, after: str) -> Setup:
    record = trace(setup)
    final = final_call(record)
    gates = _gates(record)
    hidden: dict[str, bool] = {}
    for call in record.calls:
        if isinstance(call.module, HIDDEN_ACTIVATIONS):
            stays = any(node in gates or (final is not None and node is final.node) for node in call.exits)
            hidden[call.name] = hidden.get(call.name, True) and not stays
    names = tuple(name for name, free in hidden.items() if free)
    before = [type(record.model.get_submodule(name)).__name__ for name in names]

    def replaced(model: nn.Module) -> nn.Module:
        for name in names:
            model = put(model, name, kind())
        return model

    edit = Edit("model: hidden activations", "", after, replaced)
    between = setup.with_edit(edit) if names else setup
    record = trace(between) if names else record
    plan, called, in_model = _hidden_functions(record, kind, names)
    edit = replace(edit, before=", ".join(dict.fromkeys((*before, *called))))
    refusal = "the activations could not be replaced"
    if plan is None:
        if not names:
            raise RemedyError("the model has no hidden activations, as modules or as functions of torch")
        return with_checked_edit(setup, edit, refusal)
    if not in_model:
        return checked(setup, with_interception(setup, edit, plan, in_model=False), refusal)
    intercepted = replace(edit, apply=lambda model: intercept(replaced(model), plan))
    return with_checked_edit(setup, intercepted, refusal)


def _hidden_functions(
    record: Trace, kind: Activation, done: tuple[str, ...]
) -> tuple[Interception | None, list[str], bool]:
    """Which function calls are hidden activations: the plan, their names, whether they are in the model."""
    final, gates = final_call(record), _gates(record)
    calls = [call for call in record.functions if call.name in FUNCTIONS]
    stays = [call for call in calls if call is final or call.node in gates]
    # Modules that were replaced a moment ago call functions too, and may go on to do so.
    changed = [call for call in calls if call not in stays and call.leaf not in done]
    if not changed:
        return None, [], True
    in_model = all(call.inside for call in changed)
    made = kind()
    if any(True for _ in made.parameters()):
        raise RemedyError(f"the hidden activations are functions, and {type(made).__name__} has parameters")
    if in_model and record.root_calls != 1 and stays:
        raise RemedyError(f"the model runs {record.root_calls} times per batch: its calls cannot be told apart")
    replacement = None if isinstance(made, nn.Identity) else made
    spared = frozenset(
        _number(record, call, FUNCTIONS, in_model=in_model)
        for call in calls
        if (call in stays or call.leaf in done) and (call.inside or not in_model)
    )
    plan = Interception(FUNCTIONS, spared=spared, replacement=replacement)
    return plan, [call.name.rstrip("_") for call in changed], in_model


def hidden_calls(record: Trace) -> frozenset[int]:
    """Numbers, among all calls of `FUNCTIONS`, of those that are neither the last activation nor a gate."""
    final, gates = final_call(record), _gates(record)
    calls = [call for call in record.functions if call.name in FUNCTIONS]
    return frozenset(number for number, call in enumerate(calls) if call is not final and call.node not in gates)


def _gates(record: Trace) -> set[object]:
    """Nodes of activations that multiply something else that depends on the data: gates, attention."""
    found: set[object] = set()
    for call in record.functions:
        if call.name in FUNCTIONS and call.node is not None:
            for consumer in record.graph.consumers.get(call.node, ()):
                if family(consumer) in BILINEAR and len(record.graph.data_parents(consumer)) > 1:
                    found.add(call.node)
    return found
