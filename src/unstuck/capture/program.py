"""A piece of a script's computation, cut out of the tape, that can be run again on other batches and other weights."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from unstuck.capture.tape import Autocast, at


@final
@dataclass(frozen=True, slots=True)
class Leaf:
    """Something that comes from outside: a tensor of the batch.

    Attributes:
        key: Which.
    """

    key: int


@final
@dataclass(frozen=True, slots=True)
class Value:
    """A tensor in the result of an operation.

    Attributes:
        operation: Number of the operation.
        path: The way to the tensor in its result.
    """

    operation: int
    path: tuple[Any, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class Weight:
    """A parameter or a buffer of the model.

    Attributes:
        name: Its name there.
    """

    name: str


Reference = Leaf | Value | Weight


@final
@dataclass(frozen=True, eq=False)
class Operation:
    """One call, with references in place of tensors.

    Attributes:
        function: A function of torch, or a module that is no part of the model.
        arguments: Positional arguments.
        keywords: Named arguments.
        autocast: The mixed precision that it ran in, or None.
        attribute: The property that was read, in place of a call.
        module: Name of the part of the model that was called, "" for the whole, or None where it was none of it.
        line: Line of the user's source.
        shape: Shape of its result where that was one tensor, else None.
    """

    function: Callable[..., Any] | None
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    autocast: Autocast = None
    attribute: str = ""
    module: str | None = None
    line: str = ""
    shape: tuple[int, ...] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> Operation:
        """Share functions of torch, some of which cannot be copied; copy what holds state."""
        function = copy.deepcopy(self.function, memo) if isinstance(self.function, nn.Module) else self.function
        arguments, keywords = copy.deepcopy((self.arguments, self.keywords), memo)
        return Operation(
            function, arguments, keywords, self.autocast, self.attribute, self.module, self.line, self.shape
        )

    @property
    def name(self) -> str:
        """What it is called, without underscores around it."""
        if self.module is not None:
            return "model"
        return self.attribute or str(getattr(self.function, "__name__", type(self.function).__name__)).strip("_")

    @property
    def is_random(self) -> bool:
        """Whether it draws from a generator."""
        return any(word in self.name for word in _DRAWING) and "normalize" not in self.name and "norm_" not in self.name


_DRAWING: Final = ("rand", "bernoulli", "multinomial", "normal", "dropout", "uniform", "poisson", "exponential")
_SHAPED: Final = (
    "expand", "zeros", "ones", "randn", "rand", "full", "empty", "arange", "new_zeros", "new_ones",
    "new_full", "eye", "randint", "normal", "repeat",
)  # fmt: skip
_DIVIDING: Final = ("div", "truediv", "true_divide", "mul", "rmul")


@final
@dataclass(frozen=True, eq=False)
class Program:
    """Operations in the order in which they ran.

    Attributes:
        operations: Number → operation; numbers ascend.
        result: What it gives: a reference, or a tuple of them.
        batch: Samples in the batch that it was seen with. Sizes that are this number, or a multiple of it where a
            shape is asked for, become those of the batch that it is run on.
    """

    operations: Mapping[int, Operation]
    result: Any
    batch: int

    def run(self, leaves: Mapping[int, Any], model: nn.Module | None, known: Mapping[Reference, Any], size: int) -> Any:
        """Run it.

        Args:
            leaves: The tensors from outside.
            model: Where parts of the model are called, or its weights used.
            known: Values that were computed elsewhere.
            size: Samples in this batch.

        Returns:
            What `result` refers to.
        """
        results: dict[int, Any] = {}
        weights: dict[str, Tensor] = {}
        if model is not None:
            weights = dict(model.named_parameters()) | dict(model.named_buffers())

        def value(reference: Any) -> Any:
            if isinstance(reference, (Leaf, Value, Weight)) and reference in known:
                return known[reference]
            if isinstance(reference, Leaf):
                return leaves[reference.key]
            if isinstance(reference, Value):
                return at(results[reference.operation], reference.path)
            if isinstance(reference, Weight):
                return weights[reference.name]
            return reference

        for number, operation in self.operations.items():
            arguments = replaced(operation.arguments, value)
            keywords = replaced(dict(operation.keywords), value)
            if size != self.batch and self.batch > 1:
                arguments = _resized(operation, arguments, self.batch, size)
                keywords = {
                    name: part if name == "dim" else _resized(operation, (None, part), self.batch, size)[1]
                    for name, part in keywords.items()
                }
            with _precision(operation.autocast):
                if operation.attribute:
                    results[number] = getattr(arguments[0], operation.attribute)
                elif operation.module is not None:
                    assert model is not None  # whoever runs it with parts of the model gives the model
                    part = model.get_submodule(operation.module)
                    results[number] = part(*arguments, **keywords)
                else:
                    assert operation.function is not None  # one of the three is always there
                    made = operation.function(*arguments, **keywords)
                    results[number] = arguments[0] if made is None else made
        return replaced(self.result, value)

    @property
    def differentiates(self) -> bool:
        """Whether it takes derivatives itself, such as those of a differential equation."""
        return any(each.function is torch.autograd.grad for each in self.operations.values())

    @property
    def lines(self) -> tuple[str, ...]:
        """The user's lines that it was on, each once."""
        return tuple(dict.fromkeys(each.line for each in self.operations.values() if each.line))


def _precision(autocast: Autocast) -> contextlib.AbstractContextManager[Any]:
    return contextlib.nullcontext() if autocast is None else torch.autocast(autocast[0], autocast[1])


def replaced(value: Any, change: Callable[[Any], Any]) -> Any:
    """A structure of arguments with every leaf changed.

    Args:
        value: Tuples, lists, dictionaries and slices of anything.
        change: Applied to all else.

    Returns:
        The like of it.
    """
    if isinstance(value, tuple) and type(value) in (tuple, torch.Size):
        return tuple(replaced(part, change) for part in value)
    if type(value) is list:
        return [replaced(part, change) for part in value]
    if type(value) is dict:
        return {key: replaced(part, change) for key, part in value.items()}
    if isinstance(value, slice):
        return slice(*(replaced(part, change) for part in (value.start, value.stop, value.step)))
    return change(value)


def _resized(operation: Operation, arguments: tuple[Any, ...], before: int, now: int) -> tuple[Any, ...]:
    """The arguments with sizes of the batch that was seen turned into those of this one."""
    if operation.name in _DIVIDING and len(arguments) == 2:
        other = arguments[1]
        is_size = isinstance(other, (int, float)) and not isinstance(other, bool) and other == before
        return (arguments[0], type(other)(now)) if is_size else arguments
    if operation.name in ("view", "reshape", "view_as", "unflatten"):
        return _reshaped(arguments, before, now)
    if operation.name not in _SHAPED:
        return arguments
    found = False

    def size(each: Any) -> Any:
        nonlocal found
        is_size = isinstance(each, int) and not isinstance(each, bool) and each == before and not found
        found |= is_size
        return now if is_size else each

    return tuple(part if isinstance(part, Tensor) else replaced(part, size) for part in arguments)


def _reshaped(arguments: tuple[Any, ...], before: int, now: int) -> tuple[Any, ...]:
    """The arguments of a `view` whose sizes multiply to the elements that there are."""
    tensor, *rest = arguments
    sizes = list(rest[0]) if len(rest) == 1 and isinstance(rest[0], (tuple, list)) else rest
    if not isinstance(tensor, Tensor) or not all(isinstance(each, int) for each in sizes) or -1 in sizes:
        return arguments
    if math.prod(sizes) == tensor.numel():
        return arguments
    for place, each in enumerate(sizes):
        tried = [*sizes[:place], each // before * now, *sizes[place + 1 :]]
        if each % before == 0 and math.prod(tried) == tensor.numel():
            return (tensor, *tried)
    return arguments
