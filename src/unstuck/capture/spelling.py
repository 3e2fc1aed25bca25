"""A recorded piece of computation as Python source."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any, Final

import torch
from torch import Tensor, nn

from unstuck.capture.excerpt import Unwritable
from unstuck.capture.program import Leaf, Operation, Program, Reference, Value, Weight

_SPACES: Final = (
    ("torch.nn.functional", torch.nn.functional), ("torch", torch), ("torch.special", torch.special),
    ("torch.linalg", torch.linalg), ("torch.fft", torch.fft),
)  # fmt: skip
_BETWEEN: Final = {
    "__add__": "+", "__sub__": "-", "__mul__": "*", "__truediv__": "/", "__matmul__": "@", "__pow__": "**",
    "__gt__": ">", "__lt__": "<", "__ge__": ">=", "__le__": "<=", "__eq__": "==", "__ne__": "!=",
}  # fmt: skip
_REVERSED: Final = {"__radd__": "+", "__rsub__": "-", "__rmul__": "*", "__rtruediv__": "/", "__rpow__": "**"}


def spelled(program: Program, known: Mapping[Reference, str], constants: Mapping[int, Tensor]) -> list[str]:
    """Write a program as the body of a function.

    Args:
        program: The operations.
        known: What they take from outside → the expression that stands for it.
        constants: Tensors from outside that are none of these.

    Returns:
        Lines, the last of which is "return …".

    Raises:
        Unwritable: If an operation or something that it takes has no source of its own.
    """
    _check_sizes(program)
    names: dict[Reference, str] = dict(known)
    taken: set[str] = {"model", "batch", *known.values()}
    lines: list[str] = []

    def refer(reference: Any) -> str:
        if isinstance(reference, (Leaf, Value, Weight)) and reference in names:
            return names[reference]
        if isinstance(reference, Value) and Value(reference.operation) in names:
            return names[Value(reference.operation)] + _way(reference.path)
        if isinstance(reference, Weight):
            return f"dict(model.named_parameters())[{reference.name!r}]"
        if isinstance(reference, Leaf) and reference.key in constants and constants[reference.key].numel() == 1:
            held = constants[reference.key]
            return f"torch.tensor({held.tolist()!r}, dtype={held.dtype})"
        raise Unwritable("a tensor is used that is made outside the training step")

    result = program.result
    for number, operation in program.operations.items():
        expression = _expression(operation, refer)
        if result == Value(number) and number == max(program.operations):
            return [*lines, f"return {expression}{_comment(operation)}"]
        name = _new(operation.name, taken)
        names[Value(number)] = name
        lines.append(f"{name} = {expression}{_comment(operation)}")
    parts = result if isinstance(result, tuple) else (result,)
    return [*lines, f"return {', '.join(refer(each) for each in parts)}"]


def module_source(module: nn.Module) -> str:
    """The call that makes a module of `torch.nn` without parameters, such as a loss.

    Args:
        module: The module.

    Returns:
        Such as "torch.nn.CrossEntropyLoss(label_smoothing=0.1)".

    Raises:
        Unwritable: If its class is not of torch, or its settings cannot be told from its attributes.
    """
    kind = type(module)
    if getattr(nn, kind.__name__, None) is not kind or any(True for _ in module.parameters()):
        raise Unwritable(f"the {kind.__name__} is none of torch's own")
    given = []
    for name, parameter in inspect.signature(kind.__init__).parameters.items():
        if name == "self" or name in ("size_average", "reduce"):  # both are kept in `reduction`
            continue
        if not hasattr(module, name):
            raise Unwritable(f"`{name}` of the {kind.__name__} cannot be told")
        value = getattr(module, name)
        if parameter.default is inspect.Parameter.empty or isinstance(value, Tensor) or value != parameter.default:
            given.append(f"{name}={_literal(value)}")
    return f"torch.nn.{kind.__name__}({', '.join(given)})"


def _expression(operation: Operation, refer: Any) -> str:
    if operation.autocast is not None:
        raise Unwritable("it is computed in mixed precision")
    arguments = [_argument(each, refer) for each in operation.arguments]
    if operation.attribute:
        return f"{arguments[0]}.{operation.attribute}"
    keywords = [f"{name}={_argument(value, refer)}" for name, value in _unusual(operation).items()]
    given = ", ".join([*arguments, *keywords])
    if operation.module is not None:
        part = operation.module
        return f"model({given})" if not part else f"model.get_submodule({part!r})({given})"
    function = operation.function
    if isinstance(function, nn.Module):
        return f"{module_source(function)}({given})"
    name = str(getattr(function, "__name__", ""))
    for space, module in _SPACES:
        if getattr(module, name, None) is function:
            return f"{space}.{name}({given})"
    if getattr(Tensor, name, None) is not function:
        raise Unwritable(f"the function {name or function!r} is none of torch's own")
    if name == "__getitem__":
        return f"{arguments[0]}[{arguments[1]}]"
    if name == "__neg__":
        return f"(-{arguments[0]})"
    if name in _BETWEEN:
        return f"({arguments[0]} {_BETWEEN[name]} {arguments[1]})"
    if name in _REVERSED:
        return f"({arguments[1]} {_REVERSED[name]} {arguments[0]})"
    return f"{arguments[0]}.{name}({', '.join([*arguments[1:], *keywords])})"


def _unusual(operation: Operation) -> dict[str, Any]:
    """The named arguments that are not what they are by default."""
    try:
        usual = inspect.signature(operation.function).parameters if operation.function else {}
    except (TypeError, ValueError):  # functions written in C may have no signature
        usual = {}
    return {
        name: value
        for name, value in operation.keywords.items()
        if name not in usual or isinstance(value, (Leaf, Value, Weight)) or value != usual[name].default
    }


def _argument(value: Any, refer: Any) -> str:
    if isinstance(value, (Leaf, Value, Weight)):
        return str(refer(value))
    if isinstance(value, tuple):
        return "(" + "".join(f"{_argument(each, refer)}, " for each in value).removesuffix(" ") + ")"
    if isinstance(value, list):
        return "[" + ", ".join(_argument(each, refer) for each in value) + "]"
    if isinstance(value, slice):
        return f"slice({', '.join(_argument(each, refer) for each in (value.start, value.stop, value.step))})"
    return _literal(value)


def _literal(value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if value is Ellipsis:
        return "..."
    if value is None or type(value) in (bool, int, float, str):
        return repr(value)
    if isinstance(value, (torch.dtype, torch.layout, torch.memory_format)):
        return str(value)
    if isinstance(value, torch.device):
        return f"torch.device({str(value)!r})"
    if isinstance(value, Tensor) and value.numel() <= 64:
        return f"torch.tensor({value.tolist()!r}, dtype={value.dtype})"
    raise Unwritable(f"an argument of the class {type(value).__name__} cannot be written as source")


def _check_sizes(program: Program) -> None:
    """Refuse sizes that would have to follow that of the batch."""

    def holds(value: Any) -> bool:
        if isinstance(value, (tuple, list)):
            return any(holds(each) for each in value)
        return type(value) in (int, float) and value >= program.batch and value % program.batch == 0

    for operation in program.operations.values():
        given = (*operation.arguments, *operation.keywords.values())
        if program.batch > 1 and operation.module is None and any(holds(each) for each in given):
            raise Unwritable(f"`{operation.name}` is given a size that follows the batch")


def _way(path: tuple[Any, ...]) -> str:
    return "".join(each if isinstance(each, str) and each.startswith(".") else f"[{each!r}]" for each in path)


def _new(name: str, taken: set[str]) -> str:
    start = name if name.isidentifier() else "value"
    tried, count = f"{start}_1", 1
    while tried in taken:
        count += 1
        tried = f"{start}_{count}"
    taken.add(tried)
    return tried


def _comment(operation: Operation) -> str:
    return f"  # {operation.line}" if operation.line else ""
