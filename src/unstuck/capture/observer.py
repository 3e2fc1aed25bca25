"""Sees a script train, through hooks that change nothing, and keeps what a set-up is made of."""

from __future__ import annotations

import contextlib
import copy
import functools
import math
import os
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, final

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    _global_forward_hooks_always_called,
    _global_forward_hooks_with_kwargs,
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _BaseDataLoaderIter

from unstuck.capture.search import model_of, place_of, scheduler_of
from unstuck.capture.sightings import Backward, Evaluation, Feed, Origin, Sampled, Trainer
from unstuck.capture.slicing import cut, drawn
from unstuck.capture.tape import Call, Tape, autocast_now
from unstuck.setup.model import copy_together, unwrapped
from unstuck.setup.private import Memo
from unstuck.setup.source import calling_line

SAMPLED: Final = 3
"""Steps of each optimizer that are looked at closely."""

STREAMED: Final = 200
"""Steps that are looked at where the batches come from no loader that could be asked again."""


MOST_DRAWN: Final = 64
"""Batches of one step that are kept to be found again."""

READ_TOGETHER: Final = 64
"""Losses that are read from a device at once."""


class Stopped(BaseException):
    """Ends a script that has trained for as long as was asked; no `except Exception` of the script's holds it."""


@final
class Observer:
    """Looks on; `watching` is the only way to use it.

    Attributes:
        trainers: One for each optimizer that has stepped.
        feeds: One for each data set that was read through a loader.
        hinted: What the script said by `unstuck.hint`.
        seed: The seed that torch was given last before the first step.
        notes: What went wrong in looking on.
        ended_by: "steps", "minutes" or "".
        losses: Loss of every backward pass, as it was given to it.
        steps: Optimizer steps so far.
        seconds: Wall time spent in looking closely.
        copies: Copies that were made of the script's objects, as `copy.deepcopy` keeps them.
        evaluations: Calls of modules without gradients, by the module's id.
    """

    def __init__(self, steps: int | None = None, minutes: float | None = None) -> None:
        """Look on at nothing yet.

        Args:
            steps: Ends the script after so many optimizer steps.
            minutes: Ends it after so long.
        """
        self.trainers: dict[int, Trainer] = {}
        self.feeds: list[Feed] = []
        self.hinted: dict[str, Any] = {}
        self.evaluations: dict[int, Evaluation] = {}
        self.seed = 0
        self.notes: list[str] = []
        self.ended_by = ""
        self.losses: list[float] = []
        self.seconds = 0.0
        self._limit, self._deadline = steps, math.inf if minutes is None else time.monotonic() + 60 * minutes
        self._process = os.getpid()
        self._tape = Tape()
        self.copies: Memo = {}
        self._depth = 0
        self._thread = threading.get_ident()
        self._stepped_off = False
        self._random: Tensor | None = None
        self._live: list[nn.Module] = []
        self._drawn: list[tuple[Feed, Any]] = []
        self._iterators: weakref.WeakKeyDictionary[Any, Feed] = weakref.WeakKeyDictionary()
        self._backwards: list[Backward] = []
        self._clips: list[tuple[str, float, str]] = []
        self._pending: list[Tensor] = []
        self._module_hooks: list[Any] = []
        self._suspended = 0
        self._copied: set[int] = set()
        self.steps = 0
        self._in_step: Optimizer | None = None

    @property
    def is_close(self) -> bool:
        """Whether calls are noted at present."""
        return self._tape.awake

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
            self._hook_modules()
            self._tape.begin()
            try:
                yield
            finally:
                for hook in hooks:
                    hook.remove()
                self._unhook_modules()
                self._tape.end()
                self._read_losses()

    # What is wrapped for the time of the script, where torch has no public hook.

    def _wrappers(self) -> list[Any]:
        return [
            swapped(torch.autograd, "backward", self._backward),
            swapped(DataLoader, "__iter__", self._iterated),
            swapped(_BaseDataLoaderIter, "__next__", self._next),
            swapped(torch, "compile", self._compile),
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

    def _iterated(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def iterate(loader: DataLoader[Any]) -> Any:
            iterator = original(loader)
            if not self._is_elsewhere():
                self._iterators[iterator] = self._feed(loader)
            return iterator

        return iterate

    def _next(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def following(iterator: Any) -> Any:
            awake, self._tape.awake = self._tape.awake, False
            try:
                batch = original(iterator)
            finally:
                self._tape.awake = awake
            feed = self._iterators.get(iterator)
            if feed is not None and not self._is_elsewhere():
                feed.drawn += 1
                self._drawn.append((feed, batch if self._tape.awake else None))
                del self._drawn[: -(MOST_DRAWN if awake else 1)]
            return batch

        return following

    def _made(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """What was computed before there was an optimizer is no part of the loop."""

        @functools.wraps(original)
        def make(optimizer: Optimizer, *arguments: Any, **keywords: Any) -> None:
            original(optimizer, *arguments, **keywords)
            if not self.steps:
                self._tape.clear()

        return make

    def _compile(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Compiled code runs with nothing of ours on: hooks would break its graphs, and so change its results."""

        @functools.wraps(original)
        def compile(model: Any = None, **options: Any) -> Any:
            if model is None:
                return lambda function: compile(function, **options)
            made = original(model, **options)
            if isinstance(made, nn.Module):
                vars(made)["forward"] = self._unobserved(made.forward)
                return made
            return self._unobserved(made) if callable(made) else made

        return compile

    def _unobserved(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function, updated=())
        def run(*arguments: Any, **keywords: Any) -> Any:
            if self._is_elsewhere() or self._suspended:
                return function(*arguments, **keywords)
            off = self._tape.step_off()
            hooked = bool(self._module_hooks)
            self._unhook_modules()
            self._suspended += 1
            try:
                return function(*arguments, **keywords)
            finally:
                self._suspended -= 1
                if hooked:
                    self._hook_modules()
                if off:
                    self._tape.step_on()

        return run

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

    def _hook_modules(self) -> None:
        self._module_hooks = [
            register_module_forward_pre_hook(self._before_module),
            register_module_forward_hook(self._after_module, with_kwargs=True, always_call=True),
        ]

    def _unhook_modules(self) -> None:
        for hook in self._module_hooks:
            hook.remove()
            for left in (_global_forward_hooks_always_called, _global_forward_hooks_with_kwargs):
                left.pop(hook.id, None)  # torch 2.13 leaves its marks behind
        self._module_hooks = []

    def _watch_evaluation_only(self) -> None:
        self._unhook_modules()
        self._module_hooks = [register_module_forward_pre_hook(self._before_evaluation)]

    def _before_evaluation(self, module: nn.Module, arguments: Any) -> None:
        if id(module) in self._copied and not torch.is_grad_enabled():
            self._see_evaluation(module)

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
        elif id(inner) in self._copied:
            self._see_evaluation(inner)

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
        if self._tape.awake and torch.is_grad_enabled():
            call = Call(unwrapped(module), arguments, keywords, output, autocast_now(), "", random=self._random)
            self._tape.note(call)

    def _snapshot(self, module: nn.Module) -> None:
        """Copy a module as it is before it first runs in training."""
        if id(module) in self._copied:
            return
        if not any(each.requires_grad and not is_lazy(each) for each in module.parameters()):
            return
        self._copied.add(id(module))
        self._live.append(module)
        with self._timed():
            try:
                copy_together(module, None, self.copies)
            except Exception as error:  # whatever a foreign object raises
                self._remark(f"the model {type(module).__name__} could not be copied: {said(error)}")
        trainer = None if self._in_step is None else self.trainers.get(id(self._in_step))
        if trainer is not None and trainer.copy is None:
            self._prepare(trainer, [module])

    def _see_evaluation(self, module: nn.Module) -> None:
        seen = self.evaluations.setdefault(id(module), Evaluation(module))
        seen.calls += 1
        seen.in_training_mode += module.training
        if seen.calls == 1:
            seen.line = calling_line()
        if self._drawn and self._drawn[-1][0] not in seen.feeds:
            seen.feeds.append(self._drawn[-1][0])

    # Data.

    def _feed(self, loader: DataLoader[Any]) -> Feed:
        feed = next((each for each in self.feeds if each.loader.dataset is loader.dataset), None)
        if feed is None:
            feed = Feed(loader, place_of(loader)[0], calling_line())
            self.feeds.append(feed)
        feed.passes.append(self.steps)
        return feed

    # Backward passes and steps.

    def _see_backward(self, tensors: Any) -> None:
        with self._timed():
            root = tensors if isinstance(tensors, Tensor) else next(iter(tensors), None)
            if not isinstance(root, Tensor) or root.numel() != 1:
                return
            if self._tape.awake:
                self._look_closely(root)
            self._pending.append(root.detach())
            if root.device.type == "cpu" or len(self._pending) >= READ_TOGETHER:
                self._read_losses()

    def _read_losses(self) -> None:
        self.losses += [float(each) for each in self._pending]
        self._pending.clear()

    def _look_closely(self, root: Tensor) -> None:
        batch: dict[int, Origin] = {}
        for feed, drawn_batch in self._drawn:
            batch.update(drawn(feed, drawn_batch))
        calls = [*self._tape.calls]
        weights = {id(each) for module in self._live for each in (*module.parameters(), *module.buffers())}
        awake, self._tape.awake = self._tape.awake, False
        try:
            found = cut(calls, root, batch, weights)
            called = [] if found is None else [*found.modules.values()]
            held = [each for module in self._live for each in module.parameters()]
            stale = any(each.grad is not None and bool(each.grad.detach().any()) for each in held)
            trained = [module for module in called if id(module) in self._copied]
            random = next((call.random for call in calls if call.function in trained), None) if trained else None
            self._backwards.append(
                Backward(
                    float(root.detach()),
                    found,
                    stale,
                    all(module.training for module in trained),
                    random,
                    calling_line(),
                    self._drawn[-1][0] if self._drawn else None,
                )
            )
        except Exception as error:  # a script is never stopped by what we fail to see
            self._remark(f"a loss could not be followed: {said(error)}")
        finally:
            self._tape.awake = awake

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
        found = [each.slice for each in self._backwards if each.slice is not None]
        return [module for piece in found for module in piece.modules.values() if id(module) in self._copied]

    def _prepare(self, trainer: Trainer, called: list[nn.Module]) -> None:
        """Copy the optimizer, its model and its scheduler, before the first step."""
        if not called and trainer.closure:
            return  # the closure will call it
        trainer.begun = True
        with self._timed(), quiet(self._tape):
            try:
                trainer.place = place_of(trainer.optimizer)
                trainer.model = model_of(trainer.optimizer, called)
                if trainer.model is not None:
                    self._live.append(trainer.model)
                    self._copied.add(id(trainer.model))
                    trainer.model_place = place_of(trainer.model)
                    trainer.model_copy, trainer.copy = copy_together(trainer.model, trainer.optimizer, self.copies)
                trainer.scheduler = scheduler_of(trainer.optimizer)
                if trainer.scheduler is not None and trainer.copy is not None:
                    trainer.scheduler_place = place_of(trainer.scheduler)
                    trainer.scheduler_copy = copy.deepcopy(trainer.scheduler, self.copies)
            except Exception as error:  # whatever a foreign object raises
                self._remark(f"the {type(trainer.optimizer).__name__} could not be copied: {said(error)}")

    def _after_step(self, optimizer: Optimizer, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if self._is_elsewhere():
            return
        self._in_step = None
        trainer = self.trainers[id(optimizer)]
        trainer.steps += 1
        self.steps += 1
        if self._drawn:
            self._drawn[-1][0].trained += 1
        if self._tape.awake:
            sampled = Sampled(tuple(self._backwards), trainer.used_gradient, tuple(self._clips))
            trainer.sampled.append(sampled)
            self._backwards, self._clips, self._drawn = [], [], self._drawn[-1:]
            self._tape.clear()
            if self._has_seen_enough():
                self._tape.end()
                self._watch_evaluation_only()
        if self._limit is not None and self.steps >= self._limit:
            self.ended_by = "steps"
            raise Stopped
        if time.monotonic() > self._deadline:
            self.ended_by = "minutes"
            raise Stopped

    def _has_seen_enough(self) -> bool:
        if any(trainer.steps < SAMPLED for trainer in self.trainers.values()):
            return False
        streamed = not any(feed.trained for feed in self.feeds)
        return not streamed or max(trainer.steps for trainer in self.trainers.values()) >= STREAMED

    def _remark(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start


@contextmanager
def quiet(tape: Tape) -> Iterator[None]:
    """Note nothing inside, and warn of nothing."""
    awake, tape.awake = tape.awake, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        tape.awake = awake


@contextmanager
def swapped(owner: Any, name: str, wrap: Callable[[Any], Any]) -> Iterator[None]:
    """Put a wrapper in place of a function; afterwards the function is back, unless the script has replaced it."""
    original = getattr(owner, name)
    made = wrap(original)
    setattr(owner, name, made)
    try:
        yield
    finally:
        if getattr(owner, name) is made:
            setattr(owner, name, original)


def said(error: BaseException) -> str:
    """An error in a few words."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
