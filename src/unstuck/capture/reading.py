"""From the slice of a step to what a set-up is made of: inputs, targets, forward function and loss."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, final

from torch import Tensor, nn

from unstuck.capture.ancestry import crossing, descendants, reach_of, references_of, taken
from unstuck.capture.program import Leaf, Operation, Program, Reference, Value, Weight, replaced
from unstuck.capture.recorded_functions import Forward, Prepare, RecordedLoss
from unstuck.capture.sightings import Origin, Slice

SCALING = ("mul", "rmul", "div", "truediv", "true_divide")


@final
@dataclass(frozen=True, eq=False)
class Step:
    """What one step computes.

    Attributes:
        inputs: What the model and the operations before the loss take from the batch.
        targets: What the loss takes from it.
        prepare: Makes both of a batch; None where the batch is `(inputs …, targets)` already.
        forward: None where it is a call of the model with the inputs.
        loss: From outputs and targets; None where no targets are told from inputs.
        whole: From inputs and targets to the loss, model included.
        origins: Leaf → where it comes from, for the data only.
        samples: In the batch that was seen.
        scale: What the loss was multiplied by before the backward pass.
        lines: "loss", "forward" → line of the user's source.
        seen: The tensors that inputs and targets were.
    """

    inputs: tuple[Reference, ...]
    targets: tuple[Reference, ...]
    prepare: Prepare | None
    forward: Forward | None
    loss: Any
    whole: Program
    origins: Mapping[int, Origin]
    constants: Mapping[int, Tensor]
    samples: int
    scale: float
    lines: Mapping[str, str]
    seen: Mapping[Reference, Tensor]


def read(
    piece: Slice,
    model: nn.Module,
    memo: dict[int, Any],
    *,
    repeats: int = 1,
    in_training_mode: bool = False,
    raw: bool = False,
) -> Step:
    """Tell what a step computes.

    Args:
        piece: Cut from the tape.
        model: The script's own; operations call its parts by name.
        memo: Copies that were made of the script's objects.
        repeats: Backward passes in a step; a loss that is divided by it is divided for their sake.
        in_training_mode: Whether the script evaluates in training mode.
        raw: Leave batches as they are: what is done to them first is done by the forward function and the loss.

    Returns:
        The step.
    """
    operations = _bound(piece, model, memo)
    result, scale = _unscaled(piece, operations, repeats)
    entries, samples = dict(piece.entries), _samples(piece)
    reach = reach_of(operations, result)
    operations = {number: each for number, each in operations.items() if number in reach}
    data = _data(piece, operations, samples)
    constants = {key: origin.tensor.detach() for key, origin in piece.origins.items() if key not in data}
    from_data = descendants(operations, lambda each: isinstance(each, Leaf) and each.key in data)
    calls = [number for number in piece.modules if number in reach]
    before = set().union(*(reach_of(operations, Value(number)) for number in calls)) if calls else set()

    def has_row_a_sample(reference: Reference) -> bool:
        tensor = entries.get(reference)
        return tensor is not None and tensor.dim() > 0 and tensor.shape[0] == samples

    if not data:  # made in the loop, out of nothing that was there before
        learnt = piece.learnt
        from_data = {each.operation for each in entries if isinstance(each, Value) and has_row_a_sample(each)} - learnt

    def is_given(reference: Any) -> bool:
        is_data = isinstance(reference, Leaf) and reference.key in data
        is_made = isinstance(reference, Value) and reference.operation in from_data
        return (is_data or is_made) and not (isinstance(reference, Value) and reference.operation in piece.learnt)

    def is_entry(reference: Any) -> bool:
        return is_given(reference) and (isinstance(reference, Leaf) or (has_row_a_sample(reference) and not raw))

    joining = {
        number
        for number in operations
        if number in piece.learnt and number not in before and any(map(is_given, references_of(operations[number])))
    }
    behind = descendants(operations, lambda each: isinstance(each, Value) and each.operation in joining) | joining
    outputs = crossing(operations, behind, piece.learnt, result)
    if (len(outputs) > 1 or not joining) and calls:  # all that follows the last module is the loss
        behind = {number for number in operations if number in piece.learnt and number not in before}
        outputs = crossing(operations, behind, piece.learnt, result)
    front = {number for number in operations if number in piece.learnt and number not in behind}
    asked = outputs[0] if len(outputs) == 1 else outputs
    programs = _Programs(operations, samples)
    given, waiting = set[Reference](), [each for number in front | behind for each in references_of(operations[number])]
    while waiting:  # what is used together with weights, or what that is made of where it has no row a sample
        each = waiting.pop()
        if is_entry(each):
            given.add(each)
        elif isinstance(each, Value) and each.operation not in piece.learnt:
            waiting += references_of(operations[each.operation])
    inputs = taken(programs.to(asked, given), is_entry)
    after = programs.to(result, {*outputs, *given}) if behind else None
    targets = () if after is None else taken(after, is_entry)
    whole = programs.to(result, {*inputs, *targets})
    paths = {key: origin.path for key, origin in piece.origins.items() if key in data}
    prepare = Prepare(programs.of(operations, (*inputs, _one(targets))), paths)
    plain = _is_plain(operations, front, calls, inputs, outputs) and not in_training_mode
    forward = None if plain else Forward(programs.to(asked, {*inputs}), inputs, constants, in_training_mode)
    loss = None
    # Without targets, as of a triplet, it is a loss where outputs with a row a sample go in; else the model makes it.
    is_apart = bool(targets) or all((_shape(operations, each) or ())[:1] == (samples,) for each in outputs)
    if is_apart and outputs and not whole.differentiates:  # by its inputs, which must then be those of the outputs
        loss = _loss(programs, operations, result, outputs, targets, constants, memo)
    last = operations.get(result.operation)
    lines = {"loss": last.line if last else "", "forward": operations[calls[-1]].line if calls else ""}
    seen = {each: entries[each] for each in (*inputs, *targets) if each in entries}
    known = {key: origin for key, origin in piece.origins.items() if key in data}
    return Step(inputs, targets, prepare, forward, loss, whole, known, constants, samples, scale, lines, seen)


def _shape(operations: Mapping[int, Operation], output: Any) -> tuple[int, ...] | None:
    """Shape of an output; None where the module gives a structure."""
    return operations[output.operation].shape if isinstance(output, Value) and not output.path else None


def _one(references: tuple[Reference, ...]) -> Any:
    return references[0] if len(references) == 1 else references


def _bound(piece: Slice, model: nn.Module, memo: dict[int, Any]) -> dict[int, Operation]:
    """The operations, with weights and modules by their names in the model."""
    weights = {str(id(each)): name for name, each in (*model.named_parameters(), *model.named_buffers())}
    parts = {id(each): name for name, each in model.named_modules()}

    def change(part: Any) -> Any:
        return Weight(weights[part.name]) if isinstance(part, Weight) and part.name in weights else part

    bound = {}
    for number, each in piece.operations.items():
        name = parts.get(id(each.function)) if isinstance(each.function, nn.Module) else None
        function = each.function
        if name is None and isinstance(function, nn.Module):
            function = memo.get(id(function)) or copy.deepcopy(function)
        arguments, keywords = replaced(each.arguments, change), replaced(dict(each.keywords), change)
        function = None if name is not None else function
        bound[number] = replace(each, function=function, module=name, arguments=arguments, keywords=keywords)
    return bound


def _unscaled(piece: Slice, operations: Mapping[int, Operation], repeats: int) -> tuple[Value, float]:
    """The loss before it is scaled for mixed precision, or for adding gradients up, and the factor."""
    result, scale = piece.result, 1.0
    while result.operation in operations:
        operation = operations[result.operation]
        if operation.name not in SCALING or len(operation.arguments) != 2:
            break
        inner, other = operation.arguments
        tensor = piece.entries.get(other) if isinstance(other, (Leaf, Value)) else None
        is_number = isinstance(other, (int, float)) and other == repeats
        factor = float(other) if is_number else None
        if tensor is not None and tensor.numel() == 1 and not _has_data(piece, operations, other):
            factor = float(tensor)
        if not isinstance(inner, Value) or not factor:
            break
        scale *= 1 / factor if "div" in operation.name else factor
        result = inner
    return result, scale


def _has_data(piece: Slice, operations: Mapping[int, Operation], reference: Any) -> bool:
    """Whether something is made of a batch."""
    parts = [each for number in reach_of(operations, reference) for each in references_of(operations[number])]
    return any(isinstance(each, Leaf) and piece.origins[each.key].feed is not None for each in (reference, *parts))


def _samples(piece: Slice) -> int:
    """Samples in the batch: the first dimension of the first tensor that a module got."""
    for number in piece.modules:
        for each in references_of(piece.operations[number]):
            tensor = piece.entries.get(each)
            if tensor is not None and tensor.dim() > 0:
                return tensor.shape[0]
    return next((tensor.shape[0] for tensor in piece.entries.values() if tensor.dim() > 0), 1)


def _data(piece: Slice, operations: Mapping[int, Operation], samples: int) -> set[int]:
    """Keys of the leaves that are data: out of a loader, rows of a tensor, or else tensors with a row a sample.

    Where none of the first two gets to the model, such as the labelled nodes of a graph, the last count besides.

    Args:
        piece: Cut from the tape.
        operations: Those that lead to the loss.
        samples: In the batch.

    Returns:
        Their keys.
    """
    used = _leaves(operations, operations)
    found = {key for key in used if piece.origins[key].feed is not None or piece.origins[key].source is not None}
    calls = [number for number in piece.modules if number in operations]
    fed = _leaves(operations, set().union(*(reach_of(operations, Value(number)) for number in calls)))
    if found and (found & fed or not calls):
        return found
    return found | {
        key for key in used if (tensor := piece.origins[key].tensor).dim() > 0 and tensor.shape[0] == samples
    }


def _leaves(operations: Mapping[int, Operation], numbers: Iterable[int]) -> set[int]:
    """Keys of the leaves that some operations take."""
    return {each.key for number in numbers for each in references_of(operations[number]) if isinstance(each, Leaf)}


def _is_plain(
    operations: Mapping[int, Operation],
    front: set[int],
    calls: list[int],
    inputs: tuple[Reference, ...],
    outputs: tuple[Any, ...],
) -> bool:
    if len(front) != 1 or len(calls) != 1:
        return False
    call = operations[calls[0]]
    alone = call.module == "" and not call.keywords and tuple(call.arguments) == inputs and call.autocast is None
    return alone and outputs == (Value(calls[0]),)


@final
@dataclass(frozen=True, eq=False)
class _Programs:
    """Cuts programs out of the operations of a step."""

    operations: Mapping[int, Operation]
    samples: int

    def to(self, result: Any, known: Iterable[Reference]) -> Program:
        """What leads to a result from what is known."""
        stop = set(known)
        found: set[int] = set()
        waiting = [each for each in (result if isinstance(result, tuple) else (result,)) if isinstance(each, Value)]
        while waiting:
            value = waiting.pop()
            if value in stop or value.operation in found:
                continue
            found.add(value.operation)
            waiting += [each for each in references_of(self.operations[value.operation]) if isinstance(each, Value)]
        return Program({number: self.operations[number] for number in sorted(found)}, result, self.samples)

    def of(self, operations: Mapping[int, Operation], result: tuple[Any, ...]) -> Program:
        """What prepares a batch."""
        flat = tuple(part for each in result for part in (each if isinstance(each, tuple) else (each,)))
        return replace(self.to(flat, ()), result=result)


def _loss(
    programs: _Programs,
    operations: Mapping[int, Operation],
    result: Value,
    outputs: tuple[Any, ...],
    targets: tuple[Reference, ...],
    constants: Mapping[int, Tensor],
    memo: dict[int, Any],
) -> Any:
    program = programs.to(result, {*outputs, *targets})
    only = next(iter(program.operations.values())) if len(program.operations) == 1 else None
    is_pair = only is not None and tuple(only.arguments) == (*outputs, *targets) and only.autocast is None
    is_pair &= len(outputs) == len(targets) == 1  # several of either come as one tuple, which the module does not take
    if only is not None and is_pair and isinstance(only.function, nn.Module) and not only.keywords:
        return only.function
    return RecordedLoss(program, outputs, targets, constants, _name(program))


def _name(program: Program) -> str:
    """The functions that make the loss, such as "cross_entropy" or "binary_cross_entropy, sum, add"."""
    names = list(dict.fromkeys(_shown(each) for each in program.operations.values()))
    return ", ".join(names[:4]) + (" …" if len(names) > 4 else "")


def _shown(operation: Operation) -> str:
    try:
        usual = {
            name: each.default for name, each in inspect.signature(operation.function or _shown).parameters.items()
        }
    except (TypeError, ValueError):  # functions written in C may have no signature
        usual = {}
    given = [
        f"{name}={value}"
        for name, value in operation.keywords.items()
        if isinstance(value, (int, float, str, bool)) and value != usual.get(name)
    ]
    return operation.name + (f"({', '.join(given)})" if given else "")
