"""`watch`: a training loop that is the user's own, observed through hooks and recorded."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from unstuck.errors import RecordError, SetupError
from unstuck.recording import LayerEntry, Notice, RecordWriter
from unstuck.watching.cadence import SHARE, Cadence
from unstuck.watching.layers import layers_of
from unstuck.watching.live import Live, TrainingStopped
from unstuck.watching.losses import UNSEEN, Losses
from unstuck.watching.ranks import is_first, trains_over_ranks
from unstuck.watching.sample import Sampler

T = TypeVar("T")

FOLDER: Final = "unstuck-runs"
READ_TOGETHER: Final = 64
"""Steps whose losses are read from the device at once."""

LEFTOVER_SAMPLES: Final = 24
"""Samples in which it is looked for gradients that were not cleared: a property of the loop, not of the moment."""

STEP_COLUMNS: Final = (("loss", ""), ("rate", ""))


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
        self._sampler = Sampler(layers_of(model), self._over_ranks)
        self._losses: Losses | None = None
        self._handles: list[RemovableHandle] = []
        self._waiting: list[tuple[int, Any, Any]] = []
        self._next = step
        self._epoch = 0
        self._epoch_sum, self._epoch_count = 0.0, 0
        self._validation = math.nan
        self._ended: tuple[int, int, dict[str, float]] | None = None
        self._last = 0.0
        self._counted = 0.0
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
        self._handles = [
            self.optimizer.register_step_pre_hook(self._before_step),
            self.optimizer.register_step_post_hook(self._after_step),
        ]
        if self._writer is not None:
            self._writer.set_layers(self._sampler.layers.entries())
        self._sampler.open()
        self._last = self._counted = time.perf_counter()

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
        self._sampler.close()
        self._drain()
        self._see_evaluation()
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
        numbers = {name: float(value) for name, value in values.items()}
        self._validation = numbers.get("validation_loss", self._validation)
        if numbers and self._writer is not None:
            self._writer.log(self.step, numbers)

    def epoch(self, **measured: float | Tensor) -> None:
        """Note the end of an epoch; `over` does so by itself.

        Args:
            measured: What was measured, such as `validation_loss`.
        """
        self._drain()
        self._see_evaluation()
        self._epoch += 1
        numbers = {name: float(value) for name, value in measured.items()}
        if self._epoch_count:
            numbers.setdefault("training_loss", self._epoch_sum / self._epoch_count)
        if not math.isnan(self._validation):
            numbers.setdefault("validation_loss", self._validation)
        self._epoch_sum, self._epoch_count, self._validation = 0.0, 0, math.nan
        self._ended = self._epoch, self.step, numbers
        if self._writer is not None:
            self._writer.epoch(*self._ended)

    @property
    def overhead(self) -> float:
        """Share of the run's time that watching has taken, as measured; NaN before the first steps."""
        return self._cadence.overhead

    def _before_step(self, optimizer: Optimizer, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if self.step != self._next or not self._sampler.is_open or self._is_broken:
            return
        begun = time.perf_counter()
        try:
            given = (*arguments[1:], *keywords.values())
            self._sampler.before_step(optimizer, all(each is None for each in given))
            self._is_seen = True
        except Exception as error:  # whatever is odd about the model: the training goes on
            self._break_off(error)
        self._sampler.seconds += time.perf_counter() - begun

    def _after_step(self, optimizer: Optimizer, *_: Any) -> None:
        now = time.perf_counter()
        losses, group = self._losses, optimizer.param_groups[0]
        assert losses is not None
        if losses.has_evaluated:
            self._see_evaluation()
        step = self.step
        self.step = step + 1
        self._waiting.append((step, losses.take(), group["lr"]))
        if self._is_seen:
            self._finish_sample(optimizer, step, now)
        elif step == self._next:  # its hooks came too late, or it failed: the next one
            self._next = step + 1
        else:
            self._cadence.see_step(now - self._last)
            if len(self._waiting) >= READ_TOGETHER or (self._writer is not None and self._writer.due):
                self._drain()
        if self.step == self._next and not self._sampler.is_open:
            self._sampler.open()
        end = time.perf_counter()
        self._cadence.spent += end - now
        self._cadence.elapsed = end - self._counted
        self._last = end

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
            sampler.watches_leftovers = False
        self._drain()
        cost = sampler.seconds + time.perf_counter() - begun
        cadence.spent += sampler.seconds
        sampler.seconds = 0.0
        cadence.see_sample(cost)
        if not self._over_ranks:  # else every rank takes the same samples: the slowest has decided
            ahead = cadence.steps_until_next()
        self._next = step + ahead
        if ahead > 1:
            sampler.close()
        if self._live is not None and self._writer is not None:
            self._judge(step)

    def _judge(self, step: int) -> None:
        live, writer, cadence = self._live, self._writer, self._cadence
        assert live is not None and writer is not None
        begun = time.perf_counter()
        if not live.is_due(self.step, cadence.elapsed, cadence.share):
            return
        writer.flush()
        for notice in live.look(writer.path, self.step):
            self._raise(notice)
        live.took(time.perf_counter() - begun)

    def _raise(self, notice: Notice) -> None:
        assert self._live is not None
        self.findings.append(notice)
        if self._writer is not None:
            self._writer.notice(notice)
            self._writer.flush(at_once=True)
        self._live.announce(notice, may_stop=not self._over_ranks)

    def _break_off(self, error: Exception) -> None:
        self._is_broken = True
        self._sampler.close()
        message = f"unstuck: layers can no longer be looked at ({type(error).__name__}: {error}); the run goes on"
        warnings.warn(message, RuntimeWarning, stacklevel=2)

    def _drain(self) -> None:
        """Read the losses that wait and hand them to the record."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        tensors = [loss for _, loss, _ in waiting if isinstance(loss, Tensor)]
        read = iter(torch.stack([each.float() for each in tensors]).tolist() if tensors else ())
        broken = -1
        for step, loss, rate in waiting:
            value = next(read) if isinstance(loss, Tensor) else loss
            if math.isfinite(value):
                self._epoch_sum += value
                self._epoch_count += 1
            elif broken < 0 and value is not UNSEEN:
                broken = step
            if self._writer is not None:
                row = (value, float(rate))
                self._writer.add(STEP_COLUMNS, step, row) if value is not UNSEEN else self._writer.add(
                    STEP_COLUMNS[1:], step, row[1:]
                )
        if self._writer is not None and self._writer.due:
            self._writer.flush()
        if broken >= 0 and self._live is not None:
            for notice in self._live.non_finite(broken):
                self._raise(notice)

    def _see_evaluation(self) -> None:
        if self._losses is None or not self._losses.has_evaluated:
            return
        validation = self._losses.evaluated()
        if self._writer is None:
            return
        self._writer.log(self.step, {"validation_loss": validation})
        if self._ended is not None and self._ended[1] == self.step:  # evaluated after the epoch had ended
            number, step, measured = self._ended
            self._writer.epoch(number, step, {"validation_loss": validation, **measured})
        else:
            self._validation = validation

    def _note_order(self) -> None:
        order, entries = self._sampler.order, self._sampler.layers.entries()
        placed = [LayerEntry(*_row(entry), order.get(place, -1)) for place, entry in enumerate(entries)]
        if self._writer is not None:
            self._writer.set_layers(placed)


def _row(entry: LayerEntry) -> tuple[str, str, int]:
    return entry.name, entry.kind, entry.parameters


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def watch(
    model: nn.Module,
    optimizer: Optimizer,
    batches: Iterable[Any] | None = None,
    *,
    loss: Callable[..., Any] | None = None,
    folder: str | Path | None = FOLDER,
    name: str = "run",
    share: float = SHARE,
    settings: Mapping[str, Any] | None = None,
    resume: str | Path | None = None,
    step: int = 0,
    findings: bool = True,
    ignore: Sequence[str] = (),
    stop: bool = False,
) -> Recording:
    """Watch a training loop of your own. The training is bit for bit what it would be.

        with unstuck.watch(model, optimizer) as recording:
            for epoch in range(epochs):
                for batch in recording.over(loader):
                    ...

    The loss is seen where a module or the model gives it; else hand it over: `recording.log(loss=loss)`.
    Where several processes train one model (DDP, FSDP), call it in each; the first one writes.

    Args:
        model: The model, wrapped as it is trained.
        optimizer: Its optimizer; of several, the one whose steps count.
        batches: To iterate over the recording itself: `for batch in unstuck.watch(model, optimizer, loader)`.
        loss: The loss module, where it is to be no other.
        folder: Where the record goes, in a file of its own; None for no record.
        name: What the run is called.
        share: Share of the time that watching may take; 0 looks at every step, whatever it costs.
        settings: What tells this run from others, as JSON-able data.
        resume: A record to go on with; `step` is then the number of the next step, 0 for where it ended.
        step: Steps that were done before, as after a restart from a checkpoint.
        findings: Whether to judge the run while it goes on.
        ignore: Codes of findings that are not wanted.
        stop: Whether a severe finding ends the `with` block or the iteration.

    Returns:
        The recording, not yet begun.

    Raises:
        SetupError: If model or optimizer is none.
    """
    if not isinstance(model, nn.Module):
        raise SetupError("`model` must be an nn.Module", type(model).__name__, "Give the model that is trained.")
    if not hasattr(optimizer, "register_step_post_hook"):
        got = type(optimizer).__name__
        raise SetupError("`optimizer` must be a torch.optim.Optimizer", got, "Give the one whose `step` is called.")
    writer: RecordWriter | None = None
    if folder is not None and is_first():
        try:
            if resume is not None:
                writer = RecordWriter.resume(resume, step or None)
                step = writer.last_step + 1
            else:
                facts = {"optimizer": type(optimizer).__name__, "share": share, **_groups(optimizer)}
                told = {**(settings or {}), "watch": facts}
                versions = {"torch": torch.__version__}
                writer = RecordWriter.create(folder, name, settings=told, versions=versions)
        except RecordError as error:
            warnings.warn(f"unstuck: {error} The run goes on without a record.", RuntimeWarning, stacklevel=2)
    live = Live(ignore, stop) if findings and is_first() else None
    return Recording(model, optimizer, batches, writer, live, share, loss, step)


def _groups(optimizer: Optimizer) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("lr", "momentum", "betas", "weight_decay"):
        with suppress(TypeError, ValueError, KeyError, IndexError):
            value = optimizer.param_groups[0][key]
            found[key] = [float(each) for each in value] if isinstance(value, (tuple, list)) else float(value)
    return found
