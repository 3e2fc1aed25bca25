"""A training loop that is the user's own, observed through hooks and recorded."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import get_ident
from types import TracebackType
from typing import Any, Final, TypeVar, final

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from unstuck.errors import SetupError
from unstuck.recording import LayerEntry, Notice, RecordWriter
from unstuck.watching.cadence import Cadence
from unstuck.watching.layers import layers_of
from unstuck.watching.live import Live, TrainingStopped
from unstuck.watching.losses import Losses
from unstuck.watching.ranks import trains_over_ranks
from unstuck.watching.sample import Sampler
from unstuck.watching.steps import Steps

T = TypeVar("T")

HOOKS: Final = 2.5
"""What the hooks of every step take, over what the last of them measures of itself where nothing is to be done."""

LEFTOVER_SAMPLES: Final = 24
"""Samples in which it is looked for gradients that were not cleared: a property of the loop, not of the moment."""


@final
class Recording:
    """A loop under observation. Made by `watch`; use it as a context manager, or iterate over it.

    Attributes:
        path: The record, or None where nothing is written (by choice, on other ranks, or where writing failed).
        step: Steps of the optimizer done.
        findings: What arose so far, in order.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        batches: Iterable[Any] | None,
        writer: RecordWriter | None,
        live: Live | None,
        share: float,
        loss: Callable[..., Any] | None,
        step: int,
    ) -> None:
        """Take what `watch` has made ready."""
        self.model, self.optimizer, self.batches = model, optimizer, batches
        self.step = step
        self.findings: list[Notice] = []
        self.path: Path | None = None if writer is None else writer.path
        self._writer, self._live, self._criterion = writer, live, loss
        self._cadence = Cadence(share)
        self._over_ranks = trains_over_ranks(model)
        layers = layers_of(model)
        # Where nothing else is waited for, the time of the processor: other work on the machine is no cost of ours.
        is_alone = not self._over_ranks and all(each.device.type == "cpu" for each in layers.parameters)
        self._clock = time.thread_time if is_alone else time.perf_counter
        self._sampler = Sampler(layers, self._over_ranks, self._clock)
        self._losses: Losses | None = None
        self._handles: list[RemovableHandle] = []
        self._before: RemovableHandle | None = None
        self._steps = Steps(writer)
        self._next = step
        self._counted = step
        self._stop = step + 1
        self._last = 0.0
        self._thread = 0
        self._is_seen = False
        self._is_broken = False

    def __enter__(self) -> Recording:
        """Begin to watch."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """End; an exception passes on, but for the one by which a severe finding has stopped the loop."""
        if kind is None or isinstance(error, (TrainingStopped, GeneratorExit)):
            self.finish()
        else:
            self.finish("crashed", f"{kind.__name__}: {error}")
        return isinstance(error, TrainingStopped)

    def __iter__(self) -> Iterator[Any]:
        """Run over the batches that `watch` was given, under observation."""
        if self.batches is None:
            raise SetupError(
                "`watch` must be given batches to be iterated over", "none", "Write `watch(model, optimizer, loader)`."
            )
        if self._handles:
            yield from self.over(self.batches)
            return
        with self:
            yield from self.over(self.batches)

    def start(self) -> None:
        """Put the hooks in place; calling it again does nothing."""
        if self._handles:
            return
        self._losses = Losses(self.model, self._criterion, self._sampler.layers.hookable)
        self._handles = [self.optimizer.register_step_post_hook(self._after_step)]
        if self._writer is not None:
            self._writer.set_layers(self._sampler.layers.entries())
        self._open()

    def finish(self, status: str = "finished", error: str = "") -> None:
        """Take all hooks away and end the record; calling it again does nothing.

        Args:
            status: "finished" or "crashed".
            error: What ended it, in one sentence.
        """
        if not self._handles:
            return
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._close()
        self._drain()
        self._see_evaluation(self.step)
        if self._losses is not None:
            self._losses.close()
        if self._writer is not None:
            if self._live is not None and self._writer.last_step >= 0:
                self._writer.flush(at_once=True)
            self._note_order()
            self._writer.set(overhead_share=_plain(self._cadence.overhead), samples=self._cadence.samples)
            self._writer.close(status, error)

    def over(self, batches: Iterable[T]) -> Iterator[T]:
        """Run over the batches of one epoch, and note its end.

        Args:
            batches: Any iterable, such as a `DataLoader`.

        Yields:
            Each batch.
        """
        yield from batches
        self.epoch()

    def log(self, **values: float | Tensor) -> None:
        """Hand over numbers of the step under way.

        Args:
            values: Name → number. `loss` is the training loss, given for each backward pass; it replaces what hooks
                see. Others are recorded as they are.
        """
        if "loss" in values and self._losses is not None:
            self._losses.give(values.pop("loss"))
        self._steps.log(self.step, {name: float(value) for name, value in values.items()})

    def epoch(self, **measured: float | Tensor) -> None:
        """Note the end of an epoch; `over` does so by itself.

        Args:
            measured: What was measured, such as `validation_loss`.
        """
        self._drain()
        self._see_evaluation(self.step)
        self._steps.end_epoch(self.step, {name: float(value) for name, value in measured.items()})

    @property
    def overhead(self) -> float:
        """Share of the run's time that watching has taken, as measured; NaN before the first steps."""
        return self._cadence.overhead

    def _open(self) -> None:
        self._sampler.open()
        if self._before is None:
            self._before = self.optimizer.register_step_pre_hook(self._before_step)

    def _close(self) -> None:
        self._sampler.close()
        if self._before is not None:
            self._before.remove()
            self._before = None

    def _before_step(self, optimizer: Optimizer, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if self.step != self._next or not self._sampler.is_open or self._is_broken:
            return
        begun = self._clock()
        try:
            given = (*arguments[1:], *keywords.values())
            self._sampler.before_step(optimizer, all(each is None for each in given))
            self._is_seen = True
        except Exception as error:  # whatever is odd about the model: the training goes on
            self._break_off(error)
        self._sampler.seconds += self._clock() - begun

    def _after_step(self, optimizer: Optimizer, *_: Any) -> None:
        """After every step: all that is dearer than to keep two numbers, reading a clock included, is for few steps."""
        losses, step = self._losses, self.step
        assert losses is not None
        self.step = after = step + 1
        stops = after >= self._stop or losses.evaluations
        begun = self._clock() if stops else 0.0
        self._steps.waiting.append((step, losses.take(), optimizer.param_groups[0]["lr"]))
        if stops:
            self._take_stock(optimizer, step, begun)

    def _take_stock(self, optimizer: Optimizer, step: int, begun: float) -> None:
        kept = self._clock()
        self._see_evaluation(step)
        if self._is_seen:
            self._finish_sample(optimizer, step, begun)
            return
        cadence, sampler, thread = self._cadence, self._sampler, get_ident()
        if thread == self._thread and not sampler.seconds:
            steps = self.step - self._counted
            cadence.see_steps(steps, begun - self._last, steps * HOOKS * (kept - begun))
        if step == self._next:  # its hooks came too late, or it failed: the next one
            self._next = step + 1
        elif self._steps.is_due:
            self._drain()
        before = sampler.seconds
        if self.step == self._next and not sampler.is_open and not self._is_broken:
            self._open_if_earned()
        self._go_on(thread)
        cadence.see_more(self._last - kept - (sampler.seconds - before))

    def _go_on(self, thread: int) -> None:
        """Leave the following steps to themselves, up to where the clock is read again."""
        self._counted = self.step
        self._stop = self.step + self._cadence.steps_unseen()
        if not self._is_broken:  # before the step to be looked at, and after it
            self._stop = min(self._stop, max(self._next, self.step + 1))
        self._last, self._thread = self._clock(), thread

    def _finish_sample(self, optimizer: Optimizer, step: int, begun: float) -> None:
        self._is_seen = False
        cadence, sampler = self._cadence, self._sampler
        try:
            row, ahead = sampler.after_step(optimizer, cadence.steps_until_next())
        except Exception as error:  # whatever is odd about the model: the training goes on
            self._break_off(error)
            return
        if self._writer is not None:
            self._writer.add(tuple(row), step, list(row.values()))
        if cadence.samples >= LEFTOVER_SAMPLES:
            sampler.leave_leftovers()
        self._drain()
        now, thread = self._clock(), get_ident()
        cost, sampler.seconds = sampler.seconds + now - begun, 0.0
        cadence.see_sample(now - self._last if thread == self._thread else cost, cost)
        if not self._over_ranks:  # else every rank takes the same samples: the slowest has decided
            ahead = cadence.steps_until_next()
        self._next = step + ahead
        if ahead > 1:
            self._close()
        judging = self._judge() if self._live is not None and self._writer is not None else 0.0
        self._go_on(thread)
        cadence.see_judgement(judging)
        cadence.see_more(self._last - now - judging)

    def _open_if_earned(self) -> None:
        # Over ranks, all take the same samples: the slowest has decided when, and its decision stands.
        ahead = 1 if self._over_ranks else self._cadence.steps_until_next()
        if ahead == 1:
            begun = self._clock()
            self._open()
            self._sampler.seconds += self._clock() - begun
        else:
            self._next = self.step - 1 + ahead

    def _judge(self) -> float:
        """Judge what has been seen, where it is time to; the seconds that it took."""
        live, writer = self._live, self._writer
        assert live is not None and writer is not None
        if not (live.is_due(self.step) and self._cadence.may_judge(live.cost)):
            return 0.0
        begun = self._clock()
        writer.flush()
        try:
            found = live.look(writer.path, self.step)
        except Exception as error:  # the file is gone, say: the training goes on
            self._live = None
            message = f"unstuck: the run can no longer be judged ({type(error).__name__}: {error}); it goes on"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
            return self._clock() - begun
        for notice in found:
            self._raise(notice)
        live.cost = self._clock() - begun
        return live.cost

    def _raise(self, notice: Notice) -> None:
        assert self._live is not None
        self.findings.append(notice)
        if self._writer is not None:
            self._writer.notice(notice)
            self._writer.flush(at_once=True)
        self._live.announce(notice, may_stop=not self._over_ranks)

    def _break_off(self, error: Exception) -> None:
        self._is_broken = True
        self._close()
        message = f"unstuck: layers can no longer be looked at ({type(error).__name__}: {error}); the run goes on"
        warnings.warn(message, RuntimeWarning, stacklevel=2)

    def _drain(self) -> None:
        broken = self._steps.drain()
        if broken >= 0 and self._live is not None:
            for notice in self._live.non_finite(broken):
                self._raise(notice)

    def _see_evaluation(self, steps: int) -> None:
        """Note an evaluation that was made after so many steps, where there was one."""
        if self._losses is not None and self._losses.evaluations:
            self._steps.validated(steps, self._losses.evaluated())

    def _note_order(self) -> None:
        order, entries = self._sampler.order, self._sampler.layers.entries()
        placed = [LayerEntry(*_row(entry), order.get(place, -1)) for place, entry in enumerate(entries)]
        if self._writer is not None:
            self._writer.set_layers(placed)


def _row(entry: LayerEntry) -> tuple[str, str, int]:
    return entry.name, entry.kind, entry.parameters


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
