"""A loss that a model computes itself, told by its value, so that outputs and targets can be looked at apart.

nanoGPT's `model(x, y)` gives logits and loss, a model of Hugging Face gives `.loss` where it gets `labels`. Where the
model gives the same outputs without the targets, and a textbook loss of both is the number that was seen, the set-up
has a loss like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from unstuck.capture.ancestry import references_of
from unstuck.capture.program import Operation, Program, Reference, Value
from unstuck.capture.reading import Step
from unstuck.capture.recorded_functions import Forward, RecordedLoss
from unstuck.capture.tape import at, leaves
from unstuck.setup.randomness import isolated

SAME_LOSS: Final = 1e-4
"""Relative difference below which a loss that was computed again is the one that was seen (float32, sums reordered)."""


def with_loss_outside(
    step: Step, model: nn.Module, seen: Mapping[Reference, Tensor], loss: float, random: Tensor | None
) -> Step:
    """Tell the loss inside a model apart from its outputs.

    Args:
        step: Whose loss no targets were told from.
        model: A copy as before the first step, in the mode that it ran in; it is not changed.
        seen: What the parts of the batch were in the first step.
        loss: Of the first step.
        random: State of torch's generator before it.

    Returns:
        The step with inputs, targets, forward function and loss of their own; as it is where they cannot be told.
    """
    call = step.whole.operations.get(step.whole.result.operation)
    if call is None or call.module is None or not all(each in seen for each in step.inputs) or step.prepare is None:
        return step
    number = step.whole.result.operation
    size = next((tensor.shape[0] for tensor in seen.values() if tensor.dim() > 0), 1)

    def run(program: Program) -> Any:
        with isolated(0), torch.no_grad():
            if random is not None:
                torch.set_rng_state(random)
            state = {name: each.clone() for name, each in model.named_buffers()}
            try:
                return program.run(step.constants, model, seen, size)
            finally:
                for name, each in model.named_buffers():
                    each.copy_(state[name])

    whole = run(replace(step.whole, result=Value(number)))
    for target in step.inputs:
        without = _without(call, target)
        if without is None:
            continue
        program = replace(step.whole, operations={**step.whole.operations, number: without}, result=Value(number))
        try:
            given = run(program)
        except Exception:  # noqa: S112 (a model that cannot do without its targets says so in its own way)
            continue
        for path, outputs in leaves(given):
            if not outputs.is_floating_point() or outputs.dim() == 0 or not _same(whole, path, outputs):
                continue
            found = Value(number, path)
            for name, operations in _textbook(found, target, outputs, seen[target], number + 1):
                loss_program = Program(operations, Value(max(operations)), step.whole.batch)
                value = loss_program.run({}, None, {found: outputs, target: seen[target]}, size)
                if not abs(float(value) - loss) <= SAME_LOSS * abs(loss):
                    continue
                used = {each for one in program.operations.values() for each in references_of(one)}
                inputs = tuple(each for each in step.inputs if each in used)
                return replace(
                    step,
                    inputs=inputs,
                    targets=(target,),
                    prepare=replace(step.prepare, program=replace(step.prepare.program, result=(*inputs, target))),
                    forward=Forward(replace(program, result=found), inputs, step.constants),
                    loss=RecordedLoss(loss_program, (found,), (target,), {}, name),
                )
    return step


def _without(call: Operation, target: Reference) -> Operation | None:
    """A call without one of its arguments, which is None or left out instead."""
    if any(each is target or each == target for each in call.keywords.values()):
        return replace(call, keywords={name: each for name, each in call.keywords.items() if each != target})
    if target in call.arguments[1:]:
        return replace(call, arguments=tuple(None if each == target else each for each in call.arguments))
    return None


def _same(whole: Any, path: tuple[Any, ...], outputs: Tensor) -> bool:
    try:
        other = at(whole, path)
    except (KeyError, IndexError, AttributeError, TypeError):
        return False
    return isinstance(other, Tensor) and other.shape == outputs.shape and torch.allclose(other, outputs, atol=1e-6)


def _textbook(
    found: Value, target: Reference, outputs: Tensor, targets: Tensor, first: int
) -> Iterator[tuple[str, dict[int, Operation]]]:
    """Textbook losses that fit the shapes: the name, and the operations from outputs and targets to the loss."""

    def chain(function: Any, out: tuple[Any, ...], aim: tuple[Any, ...]) -> dict[int, Operation]:
        """Each side goes through a function first: `(function, arguments …)`, or none."""
        operations: dict[int, Operation] = {}
        ends: list[Any] = []
        for start, way in ((found, out), (target, aim)):
            end: Any = start
            for called, *arguments in way:
                operations[first + len(operations)] = Operation(called, (end, *arguments), {})
                end = Value(first + len(operations) - 1)
            ends.append(end)
        operations[first + len(operations)] = Operation(function, tuple(ends), {})
        return operations

    flat, rows = (Tensor.flatten,), (Tensor.flatten, 0, -2)
    if not targets.is_floating_point():
        if outputs.dim() == targets.dim() + 1 and outputs.shape[:-1] == targets.shape:
            yield "cross_entropy", chain(functional.cross_entropy, (rows,), (flat,))
            if targets.dim() == 2:
                before, after = (Tensor.narrow, 1, 0, targets.shape[1] - 1), (Tensor.narrow, 1, 1, targets.shape[1] - 1)
                yield "cross_entropy of the next", chain(functional.cross_entropy, (before, rows), (after, flat))
        elif outputs.dim() == targets.dim() + 1 and outputs.shape[2:] == targets.shape[1:]:
            yield "cross_entropy", chain(functional.cross_entropy, (), ())
    elif outputs.numel() == targets.numel():
        yield "mse_loss", chain(functional.mse_loss, (flat,), (flat,))
        yield "binary_cross_entropy_with_logits", chain(functional.binary_cross_entropy_with_logits, (flat,), (flat,))
