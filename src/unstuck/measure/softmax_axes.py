"""Which axis each softmax of the network sums to 1 over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

from unstuck.edits.calls import SOFTMAXES, NumberedCall, numbered_calls
from unstuck.measure.layout import Layout
from unstuck.measure.preparation import Prepared
from unstuck.measure.task import Kind, Task

SAMPLES: Final = (13, 11)
"""Samples in the two batches: the axis whose size differs between them is that of the samples."""


@final
@dataclass(frozen=True, slots=True)
class SoftmaxAxis:
    """One call of a softmax.

    Attributes:
        call: Which call.
        over_samples: Whether it sums to 1 over samples.
        over_one: Whether over an axis of one entry, so that everything becomes 1, although there is another axis.
        fitting: Axes that it may have been meant for, the likeliest first.
    """

    call: NumberedCall
    over_samples: bool
    over_one: bool
    fitting: tuple[int, ...]

    @property
    def is_wrong(self) -> bool:
        """Whether the axis cannot be meant."""
        return bool(self.fitting) and (self.over_samples or self.over_one)


@final
@dataclass(frozen=True, slots=True)
class SoftmaxAxes:
    """Every softmax of the network, attention layers of torch left out, which choose their axis themselves.

    Attributes:
        axes: In the order of the calls.
        misplaced_output: Whether the outputs come from a softmax over another axis than that of the classes.
    """

    cost: ClassVar[float] = 0.0

    axes: tuple[SoftmaxAxis, ...]
    misplaced_output: bool

    @classmethod
    def measure(cls, prepared: Prepared, task: Task, layout: Layout) -> SoftmaxAxes:
        """Run the untrained model on two batches of different size, and compare the calls.

        Args:
            prepared: The set-up.
            task: Tells the axis of the classes.
            layout: Tells whether a softmax makes the outputs.

        Returns:
            The measurement.
        """
        first, second = (numbered_calls(prepared.setup, SOFTMAXES, samples) for samples in SAMPLES)
        at_end = "softmax" in layout.last_operation
        last = len(first) - 1
        found = []
        for number, (call, other) in enumerate(zip(first, second, strict=False)):
            axis = call.axis or 0
            if not call.shape or len(call.shape) != len(other.shape):
                continue
            is_output = at_end and number == last
            sizes = call.shape
            samples = [place for place, size in enumerate(sizes) if size != other.shape[place]]
            free = [place for place, size in enumerate(sizes) if place not in (*samples, axis) and size > 1]
            if is_output and task.kind is Kind.CLASSES:
                wanted = task.class_dimension % len(sizes)
                free = [wanted] if wanted != axis else []
            over_one = sizes[axis] == 1 and not is_output  # of the outputs, output-cannot-reach-target tells
            found.append(SoftmaxAxis(call, axis in samples, over_one, tuple(reversed(free))))
        misplaced = at_end and bool(found) and task.kind is Kind.CLASSES and bool(found[-1].fitting)
        return cls(tuple(found), misplaced)
