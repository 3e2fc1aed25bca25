"""From the tape to the part of it that led to a loss."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from unstuck.capture.program import Leaf, Operation, Reference, Value, Weight, replaced
from unstuck.capture.sightings import Origin, Slice
from unstuck.capture.tape import Call, leaves


def cut(
    calls: Sequence[Call],
    root: Tensor,
    batch: Mapping[int, Origin],
    weights: Collection[int],
    answers: Mapping[int, str] | None = None,
) -> Slice | None:
    """Follow a loss back to batches and weights.

    Args:
        calls: The tape, the oldest first.
        root: What the backward pass starts from.
        batch: Id of a tensor → where in a batch it was.
        weights: Ids of parameters and buffers.
        answers: Id of a tensor that a network gave without gradients → line of the user's source.

    Returns:
        The slice, or None where no noted call made the loss.
    """
    made: dict[int, Value] = {}
    sources: list[dict[int, Value | None]] = []
    for number, call in enumerate(calls):
        held = [tensor for _, tensor in leaves((call.arguments, dict(call.keywords)))]
        held += [each for part in call.arguments if isinstance(part, slice) for each in _ends(part)]
        sources.append({id(tensor): made.get(id(tensor)) for tensor in held})
        changed = call.changes
        if changed is not None:
            made[id(changed)] = Value(number)
        for path, tensor in leaves(call.result):
            if id(tensor) not in sources[-1] or tensor is changed:
                made[id(tensor)] = Value(number, path)
    if id(root) not in made:
        return None
    rows = _Rows(calls, sources)
    needed, waiting = set[int](), [made[id(root)].operation]
    while waiting:
        number = waiting.pop()
        if number not in needed and rows.of(number) is None:
            needed.add(number)
            waiting += [value.operation for value in sources[number].values() if value is not None]
    origins: dict[int, Origin] = {}
    keys: dict[int, int] = {}
    operations: dict[int, Operation] = {}
    modules: dict[int, nn.Module] = {}
    entries: dict[Reference, Tensor] = {}
    learnt: set[int] = set()

    def leaf(tensor: Tensor, origin: Origin) -> Leaf:
        if id(tensor) not in keys:
            keys[id(tensor)] = len(keys)
            origins[keys[id(tensor)]] = origin
        return Leaf(keys[id(tensor)])

    def reference(tensor: Tensor, number: int) -> Reference:
        value = sources[number].get(id(tensor))
        if value is not None:
            found = rows.of(value.operation)
            return value if found is None else leaf(tensor, Origin(tensor, source=found[0], in_order=found[1]))
        if id(tensor) in weights:
            return Weight(str(id(tensor)))
        origin = batch.get(id(tensor))
        kept = tensor.detach().clone() if tensor.numel() == 1 else tensor
        return leaf(tensor, Origin(kept, answer=(answers or {}).get(id(tensor), "")) if origin is None else origin)

    for number in sorted(needed):
        call = calls[number]
        used: dict[Reference, Tensor] = {}

        def change(part: Any, number: int = number, used: dict[Reference, Tensor] = used) -> Any:
            if not isinstance(part, Tensor):
                return part
            found = reference(part, number)
            used[found] = part
            return found

        arguments, keywords = (replaced(part, change) for part in (tuple(call.arguments), dict(call.keywords)))
        operations[number] = Operation(
            call.function,
            arguments,
            keywords,
            call.autocast,
            call.attribute,
            line=call.line,
            shape=tuple(call.result.shape) if isinstance(call.result, Tensor) else None,
        )
        called = call.function if isinstance(call.function, nn.Module) else None
        is_model = called is not None and any(id(each) in weights for each in called.parameters())
        if called is not None and is_model:
            modules[number] = called
        from_weights = {each for each in used if _is_learnt(each, learnt)}
        if is_model or from_weights:
            learnt.add(number)
        entries.update({each: tensor for each, tensor in used.items() if each not in from_weights})
    return Slice(operations, modules, origins, made[id(root)], entries, learnt)


def _is_learnt(reference: Reference, learnt: Collection[int]) -> bool:
    return isinstance(reference, Weight) or (isinstance(reference, Value) and reference.operation in learnt)


class _Rows:
    """Tells calls that take rows of a tensor from outside, also of rows that were taken before."""

    def __init__(self, calls: Sequence[Call], sources: Sequence[Mapping[int, Value | None]]) -> None:
        self.calls, self.sources = calls, sources

    def of(self, number: int) -> tuple[Tensor, bool] | None:
        """The tensor whose rows a call takes, and whether by ranges only; None where it does something else."""
        call = self.calls[number]
        if call.name not in ("__getitem__", "index_select") or len(call.arguments) < 2:
            return None
        first, index = call.arguments[0], call.arguments[-1]
        if not isinstance(first, Tensor) or not isinstance(call.result, Tensor) or first.dim() != call.result.dim():
            return None
        is_range = isinstance(index, slice) or _ascends(index)
        if (
            not isinstance(index, slice)
            and not (isinstance(index, Tensor) and index.dim() == 1)
            and not isinstance(index, list)
        ):
            return None
        above = self.sources[number].get(id(first))
        if above is not None:
            further = self.of(above.operation)
            return None if further is None else (further[0], further[1] and is_range)
        return first, is_range


def _ascends(index: Any) -> bool:
    """Whether an index names one row after the other."""
    if not isinstance(index, (Tensor, list)):
        return False
    rows = index.tolist() if isinstance(index, Tensor) else index
    return isinstance(rows, list) and rows == list(range(rows[0], rows[0] + len(rows))) if rows else False


def _ends(part: slice) -> list[Tensor]:
    return [each for each in (part.start, part.stop, part.step) if isinstance(each, Tensor)]


def drawn(feed: Any, batch: Any) -> dict[int, Origin]:
    """Where each tensor of a batch is in it, by id."""
    return {id(tensor): Origin(tensor, feed, path) for path, tensor in leaves(batch)}
