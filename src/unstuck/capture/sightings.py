"""What was seen of a script: the live objects, and the computation of single steps."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any, final

from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.capture.program import Operation, Reference, Value


@final
@dataclass(eq=False)
class Feed:
    """A data set that is read through a loader.

    Attributes:
        loader: The loader that was iterated first; the script's own.
        name: The variable that holds it, or "".
        line: Line of the user's source where it was iterated first.
        drawn: Batches drawn so far.
        trained: Optimizer steps that its batches were drawn for.
        passes: Number of steps done at the start of each pass.
    """

    loader: Any
    name: str
    line: str
    drawn: int = 0
    trained: int = 0
    passes: list[int] = field(default_factory=list)


@final
@dataclass(frozen=True, eq=False)
class Origin:
    """Where a tensor comes from that no noted call made.

    Attributes:
        tensor: The tensor; the script's own.
        feed: The loader whose batch holds it, or None.
        path: Where in the batch.
        source: The tensor whose rows it is, where it was taken by an index.
        in_order: Whether the index was a range.
        answer: Line of the user's source where a network gave it without gradients, or "".
    """

    tensor: Tensor
    feed: Feed | None = None
    path: tuple[Any, ...] = ()
    source: Tensor | None = None
    in_order: bool = False
    answer: str = ""


@final
@dataclass(frozen=True, eq=False)
class Slice:
    """The part of the tape that led to a loss.

    Attributes:
        operations: Number → operation, in the order in which they ran; weights are named by their id.
        modules: Number → module that was called, for calls of modules that hold parameters.
        origins: Key of a leaf → where it comes from.
        result: The loss.
        entries: What is used and does not come from weights, reference → tensor.
        learnt: Numbers of the operations that come from weights.
    """

    operations: dict[int, Operation]
    modules: dict[int, nn.Module]
    origins: dict[int, Origin]
    result: Value
    entries: dict[Reference, Tensor]
    learnt: set[int]


@final
@dataclass(frozen=True, eq=False)
class Backward:
    """A backward pass on a step that was looked at closely.

    Attributes:
        loss: The number that it started from.
        slice: How that number was computed, or None where it could not be followed.
        stale: Ids of the parameters that had gradients already.
        training: Whether the modules that were called were in training mode.
        random: State of torch's generator before the first of them.
        line: Line of the user's source.
        feed: The loader that the last batch came from, or None.
    """

    loss: float
    slice: Slice | None
    stale: frozenset[int]
    training: bool
    random: Tensor | None
    line: str
    feed: Feed | None


@final
@dataclass(frozen=True, eq=False)
class Sampled:
    """An optimizer step that was looked at closely.

    Attributes:
        backwards: The backward passes since the step before.
        used_gradient: Whether there was a gradient other than zero to step on; None with a closure.
        clips: What gradients were clipped by: "norm" or "value", the limit, the line.
    """

    backwards: tuple[Backward, ...]
    used_gradient: bool | None
    clips: tuple[tuple[str, float, str], ...]


@final
@dataclass(eq=False)
class Trainer:
    """An optimizer and what it trains.

    Attributes:
        optimizer: The script's own.
        copy: A copy as before its first step, over the parameters of `model_copy`.
        model: The module that it trains, the script's own, or None where none holds all its parameters.
        model_copy: A copy as before the first step.
        scheduler: The script's own, or None.
        scheduler_copy: A copy as before the first step, over `copy`.
        steps: Steps so far.
        sampled: The first steps.
        closure: Whether it is stepped with a closure.
        rates: Rate of its first group at each step.
        counts: Count of the scheduler at each step.
        lines: "step" → line of the user's source.
        place: The optimizer's variable, and the line where that is assigned.
        model_place: Likewise the model's.
        scheduler_place: Likewise the scheduler's.
        begun: Whether the first step has been prepared for.
        used_gradient: Of the step under way.
        first_loss: For each step, the number of backward passes before those that it used.
        last_loss: Likewise, with them.
    """

    optimizer: Optimizer
    copy: Optimizer | None = None
    model: nn.Module | None = None
    model_copy: nn.Module | None = None
    scheduler: Any = None
    scheduler_copy: Any = None
    steps: int = 0
    sampled: list[Sampled] = field(default_factory=list)
    closure: bool = False
    rates: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    lines: dict[str, str] = field(default_factory=dict)
    place: tuple[str, str] = ("", "")
    model_place: tuple[str, str] = ("", "")
    scheduler_place: tuple[str, str] = ("", "")
    begun: bool = False
    used_gradient: bool | None = None
    first_loss: array[int] = field(default_factory=lambda: array("q"))
    last_loss: array[int] = field(default_factory=lambda: array("q"))


@final
@dataclass(eq=False)
class Evaluation:
    """Calls of a module without gradients.

    Attributes:
        module: The module.
        calls: How many.
        in_training_mode: How many of them in training mode.
        feeds: The loaders that batches had been drawn from last.
        line: Line of the user's source.
    """

    module: nn.Module
    calls: int = 0
    in_training_mode: int = 0
    feeds: list[Feed] = field(default_factory=list)
    line: str = ""
