"""What comes from what, in the operations of a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unstuck.capture.program import Leaf, Operation, Program, Reference, Value, Weight, replaced


def references_of(operation: Operation) -> list[Reference]:
    """What an operation takes, in the order of its arguments."""
    found: list[Reference] = []

    def see(part: Any) -> Any:
        if isinstance(part, (Leaf, Value, Weight)):
            found.append(part)
        return part

    replaced(operation.arguments, see)
    replaced(dict(operation.keywords), see)
    return found


def reach_of(operations: Mapping[int, Operation], result: Any) -> set[int]:
    """Numbers of the operations that a result needs."""
    found, waiting = set[int](), [result.operation] if isinstance(result, Value) else []
    while waiting:
        number = waiting.pop()
        if number in found or number not in operations:
            continue
        found.add(number)
        waiting += [each.operation for each in references_of(operations[number]) if isinstance(each, Value)]
    return found


def descendants(operations: Mapping[int, Operation], is_start: Any) -> set[int]:
    """Numbers of the operations that come from what `is_start` says yes to."""
    found: set[int] = set()
    for number, operation in operations.items():
        for each in references_of(operation):
            if is_start(each) or (isinstance(each, Value) and each.operation in found):
                found.add(number)
    return found


def crossing(operations: Mapping[int, Operation], behind: set[int], learnt: set[int], result: Value) -> tuple[Any, ...]:
    """What the operations behind take from the learnt ones before them."""
    found: dict[Value, None] = {}
    for number in sorted(behind & set(operations)):
        for each in references_of(operations[number]):
            if isinstance(each, Value) and each.operation in learnt and each.operation not in behind:
                found[each] = None
    return tuple(found) if behind else (result,)


def taken(program: Program, is_entry: Any) -> tuple[Reference, ...]:
    """What a program takes from outside, in the order of use."""
    made = set(program.operations)
    found = [each for operation in program.operations.values() for each in references_of(operation) if is_entry(each)]
    return tuple(dict.fromkeys(each for each in found if not (isinstance(each, Value) and each.operation in made)))
