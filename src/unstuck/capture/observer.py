"""Sees a script train, through hooks that change nothing, and keeps what a set-up is made of."""

from __future__ import annotations

import contextlib
import copy
import functools
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _BaseDataLoaderIter

from unstuck.capture.backward_passes import BackwardPasses
from unstuck.capture.batches import Batches
from unstuck.capture.copies import Copies
from unstuck.capture.module_hooks import ModuleHooks
from unstuck.capture.sightings import Evaluation, Sampled, Trainer
from unstuck.capture.swapping import quiet, said, swapped
from unstuck.capture.tape import Call, Tape, autocast_now
from unstuck.setup.model import unwrapped
from unstuck.setup.source import calling_line

SAMPLED: Final = 3
"""Steps of each optimizer that are looked at closely."""

TRAINED: Final = ("model", "loss", "optimizer", "scheduler")
"""Hints of what a script changes while it trains."""

STREAMED: Final = 200
"""Steps that are looked at where the batches come from no loader that could be asked again."""


class Stopped(BaseException):
    """Ends a script that has trained for as long as was asked; no `except Exception` of the script's holds it."""


def _never_raising(look: Callable[..., None]) -> Callable[..., None]:
    """A hook that fails leaves a note, and no error in the script; here, where `calling_line` looks past its frame."""

    @functools.wraps(look)
    def looking(observer: Any, *arguments: Any) -> None:
        try:
            look(observer, *arguments)
        except Exception as error:
            observer.remark(f"something could not be looked at: {said(error)}")

    return looking


@final
class Observer:
    """Looks on; `watching` is the only way to use it.

    Attributes:
        trainers: One for each optimizer that has stepped.
        batches: Those that were drawn, and the loaders.
        hinted: What the script said by `unstuck.hint`, as it was then.
        seed: The seed that torch was given last before the first step.
        notes: What went wrong in looking on.
        ended_by: "steps", "minutes" or "".
        steps: Optimizer steps so far.
        seconds: Wall time spent in looking closely.
        copies: Copies that were made of the script's objects.
        evaluations: Calls of modules without gradients, by the module's id.
    """

    def __init__(self, steps: int | None = None, minutes: float | None = None) -> None:
        """Look on at nothing yet.

        Args:
            steps: Ends the script after so many optimizer steps.
            minutes: Ends it after so long.
        """
        self.trainers: dict[int, Trainer] = {}
        self.hinted: dict[str, Any] = {}
        self._hint_copies: dict[int, Any] = {}
        self.evaluations: dict[int, Evaluation] = {}
        self.seed = 0
        self.notes: list[str] = []
        self.ended_by = ""
        self.seconds = 0.0
        self._limit, self._deadline = steps, math.inf if minutes is None else time.monotonic() + 60 * minutes
        self._process = os.getpid()
        self._tape = Tape()
        self.copies = Copies(self.remark)
        self.batches = Batches(self._tape, self._is_elsewhere, self.remark)
        self._passes = BackwardPasses(self._tape, self.copies, self.batches, self.remark)
        self._modules = ModuleHooks(self._before_module, self._after_module)
        self._depth = 0
        self._thread = threading.get_ident()
        self._stepped_off = False
        self._random: Tensor | None = None
        self._clips: list[tuple[str, float, str]] = []
        self._used_losses = 0
        self.steps = 0
        self._in_step: Optimizer | None = None

    @property
    def losses(self) -> list[float]:
        """Loss of every backward pass, as it was given to it."""
        return self._passes.losses

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look on while the block runs; every hook and wrapper is gone afterwards."""
        with contextlib.ExitStack() as stack:
            for wrapper in self._wrappers():
                stack.enter_context(wrapper)
            hooks = [
                register_optimizer_step_pre_hook(self._before_step),
                register_optimizer_step_post_hook(self._after_step),
            ]
            self._modules.on()
            self._tape.begin()
            try:
                yield
            finally:
                for hook in hooks:
                    hook.remove()
                self._modules.off()
                self._tape.end()
                self._passes.read()

    def hint(self, given: dict[str, Any]) -> None:
        """Take what the script says of itself; what training changes is copied as it is now.

        Args:
            given: Arguments of `Setup.of`.
        """
        for name, value in given.items():
            kept = value
            if name in TRAINED:
                try:
                    with quiet(self._tape):
                        kept = copy.deepcopy(value, self._hint_copies)
                except Exception as error:  # then as it will be at the end
                    self.remark(f"what was hinted as {name} could not be copied: {said(error)}")
            self.hinted[name] = kept

    # What is wrapped for the time of the script, where torch has no public hook.

    def _wrappers(self) -> list[Any]:
        return [
            swapped(torch.autograd, "backward", self._backward),
            swapped(DataLoader, "__iter__", functools.partial(self.batches.iterated, steps=lambda: self.steps)),
            swapped(_BaseDataLoaderIter, "__next__", self.batches.following),
            swapped(torch, "compile", self._compiling),
            swapped(Optimizer, "__init__", self._made),
            swapped(nn.utils, "clip_grad_norm_", functools.partial(self._clip, "norm")),
            swapped(nn.utils, "clip_grad_value_", functools.partial(self._clip, "value")),
        ]

    def _backward(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def backward(tensors: Any, *arguments: Any, **keywords: Any) -> Any:
            if not self._is_elsewhere():
                self._see_backward(tensors)
            return original(tensors, *arguments, **keywords)

        return backward

    def _made(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """What was computed before there was an optimizer is no part of the loop."""

        @functools.wraps(original)
        def make(optimizer: Optimizer, *arguments: Any, **keywords: Any) -> None:
            original(optimizer, *arguments, **keywords)
            if not self.steps:
                self._tape.clear()

        return make

    def _compiling(self, original: Callable[..., Any]) -> Any:
        return self._modules.compiling(original, self._tape, self._is_elsewhere)

    def _clip(self, kind: str, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def clip(*arguments: Any, **keywords: Any) -> Any:
            limit = arguments[1] if len(arguments) > 1 else keywords.get("max_norm", keywords.get("clip_value"))
            if self._tape.awake and not self._is_elsewhere() and isinstance(limit, (int, float)):
                self._clips.append((kind, float(limit), calling_line()))
            return original(*arguments, **keywords)

        return clip

    def _is_elsewhere(self) -> bool:
        return os.getpid() != self._process

    # Modules.

    def _before_evaluation(self, module: nn.Module, arguments: Any) -> None:
        if not torch.is_grad_enabled():  # asked of every module at every step, and of most nothing else
            self._before_ungraded(module)

    @_never_raising
    def _before_ungraded(self, module: nn.Module) -> None:
        if self.copies.has(module):
            self._see_evaluation(module)

    @_never_raising
    def _before_module(self, module: nn.Module, arguments: Any) -> None:
        if self._is_elsewhere() or threading.get_ident() != self._thread:
            return
        self._depth += 1
        if self._depth > 1:
            return
        self._tape.inside += 1
        self._stepped_off = self._tape.step_off()
        self._random = torch.get_rng_state()
        inner = unwrapped(module)
        if torch.is_grad_enabled():
            self._snapshot(inner)
        elif self.copies.has(inner):
            self._see_evaluation(inner)

    @_never_raising
    def _after_module(self, module: nn.Module, arguments: Any, keywords: Any, output: Any) -> None:
        if self._is_elsewhere() or threading.get_ident() != self._thread:
            return
        self._depth -= 1
        if self._depth > 0:
            return
        if self._stepped_off:
            self._tape.step_on()
        self._stepped_off = False
        self._tape.inside -= 1
        if self._tape.awake and not torch.is_grad_enabled() and any(True for _ in module.parameters()):
            self._passes.note_answer(output, calling_line())
        if self._tape.awake and torch.is_grad_enabled():
            call = Call(unwrapped(module), arguments, keywords, output, autocast_now(), "", random=self._random)
            self._tape.note(call)

    def _snapshot(self, module: nn.Module) -> None:
        """Copy a module as it is before it first runs in training."""
        if not self.copies.is_due(module):
            return
        with self._timed():
            self.copies.take(module)
        trainer = None if self._in_step is None else self.trainers.get(id(self._in_step))
        if trainer is not None and trainer.copy is None:
            self._prepare(trainer, [module])

    def _see_evaluation(self, module: nn.Module) -> None:
        seen = self.evaluations.setdefault(id(module), Evaluation(module))
        seen.calls += 1
        seen.in_training_mode += module.training
        if seen.calls == 1:
            seen.line = calling_line()
        if self.batches.last is not None and self.batches.last not in seen.feeds:
            seen.feeds.append(self.batches.last)

    # Backward passes and steps.

    @_never_raising
    def _see_backward(self, tensors: Any) -> None:
        if not self._tape.awake:  # what is done at every step is kept short, and no clock is read
            self._passes.see(tensors, "")
            return
        with self._timed():
            self._passes.see(tensors, calling_line())

    @_never_raising
    def _before_step(self, optimizer: Optimizer, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if self._is_elsewhere():
            return
        self._in_step = optimizer
        trainer = self.trainers.get(id(optimizer))
        if trainer is None:
            trainer = self.trainers[id(optimizer)] = Trainer(optimizer)
            trainer.lines["step"] = calling_line()
            trainer.closure = any(each is not None for each in (*arguments[1:], *keywords.values()))
            self.seed = torch.initial_seed() % 2**63
        if self._tape.awake:
            with self._timed():
                held = [each.grad for group in optimizer.param_groups for each in group["params"]]
                used = any(each is not None and bool(each.detach().any()) for each in held)
                trainer.used_gradient = None if trainer.closure else used
        if trainer.copy is None and not trainer.begun:
            self._prepare(trainer, self._called())
        trainer.rates.append(float(optimizer.param_groups[0].get("lr", math.nan)))
        if trainer.scheduler is not None:
            trainer.counts.append(int(getattr(trainer.scheduler, "last_epoch", 0)))

    def _called(self) -> list[nn.Module]:
        """Modules that the losses since the last step have come from."""
        return self.copies.called([each.slice for each in self._passes.close if each.slice is not None])

    def _prepare(self, trainer: Trainer, called: list[nn.Module]) -> None:
        if not called and trainer.closure:
            return  # the closure will call it
        trainer.begun = True
        with self._timed(), quiet(self._tape):
            self.copies.prepare(trainer, called)

    @_never_raising
    def _after_step(self, optimizer: Optimizer, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if self._is_elsewhere():
            return
        self._in_step = None
        trainer = self.trainers[id(optimizer)]
        trainer.steps += 1
        trainer.first_loss.append(self._used_losses)
        self._used_losses = self._passes.count
        trainer.last_loss.append(self._used_losses)
        self.steps += 1
        if self.batches.last is not None:
            self.batches.last.trained += 1
        if self._tape.awake:
            sampled = Sampled(tuple(self._passes.close), trainer.used_gradient, tuple(self._clips))
            trainer.sampled.append(sampled)
            self._clips = []
            self._passes.forget()
            self.batches.forget()
            self._tape.clear()
            if self._has_seen_enough():
                self._tape.end()
                self._modules.only(self._before_evaluation)
        if self._limit is not None and self.steps >= self._limit:
            self.ended_by = "steps"
            raise Stopped
        if time.monotonic() > self._deadline:
            self.ended_by = "minutes"
            raise Stopped

    def _has_seen_enough(self) -> bool:
        if any(trainer.steps < SAMPLED for trainer in self.trainers.values()):
            return False
        streamed = not any(feed.trained for feed in self.batches.feeds)
        return not streamed or max(trainer.steps for trainer in self.trainers.values()) >= STREAMED

    def remark(self, note: str) -> None:
        """Note once what went wrong in looking on."""
        if note not in self.notes:
            self.notes.append(note)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start
