"""From what was seen of a script to a set-up."""

from __future__ import annotations

import copy
import math
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from unstuck.capture.inner_loss import SAME_LOSS, with_loss_outside
from unstuck.capture.observer import Observer
from unstuck.capture.parts import data_part, model_part, optimizer_part, step_parts
from unstuck.capture.reading import Step, read
from unstuck.capture.recorded_step import RecordedStep
from unstuck.capture.recovered import Part, Recovered, SchedulerLike, Unclear
from unstuck.capture.samples import is_by_sample, prepared, training_data
from unstuck.capture.sightings import Backward, Feed, Slice, Trainer
from unstuck.capture.swapping import said
from unstuck.errors import UnstuckError
from unstuck.setup import Setup
from unstuck.setup.data import Data
from unstuck.setup.randomness import isolated

WHOLE: Final = {"model", "optimizer", "train"}
"""Hints that a set-up can be made of where nothing was seen, with a loss or a training step."""


def recover(observer: Observer, finished: bool) -> Recovered:
    """Make a set-up of what was seen.

    Args:
        observer: Has watched a script.
        finished: Whether the script came to its own end.

    Returns:
        What could be recovered, and what not.
    """
    trainers = [each for each in observer.trainers.values() if each.steps]
    if len(trainers) != 1 and WHOLE <= set(observer.hinted) and {"loss", "train_step"} & set(observer.hinted):
        return _as_hinted(observer)
    if not trainers:
        return Recovered(None, missing=(_no_step(observer),))
    parts = tuple(optimizer_part(each, len(trainers) > 1) for each in trainers)
    if len(trainers) > 1:
        kinds = ", ".join(type(each.optimizer).__name__ for each in trainers)
        missing = (
            f"{len(trainers)} optimizers take turns ({kinds}), which no single set-up can stand for; "
            "`unstuck.hint(model=..., optimizer=..., train=..., train_step=...)` before the loop tells which one to "
            "examine, and what its step is"
        )
        return Recovered(None, parts, (missing,), tuple(observer.notes))
    return _Rebuilding(observer, trainers[0], finished).run(parts)


def _as_hinted(observer: Observer) -> Recovered:
    """The set-up that a script says it has, where none could be seen."""
    parts = tuple(Part(name, "as hinted") for name in observer.hinted)
    try:
        setup = Setup.of(**{"seed": observer.seed, "loss": None, **observer.hinted})
    except UnstuckError as error:
        return Recovered(None, parts, (str(error),), tuple(observer.notes))
    return Recovered(setup, parts, (), tuple(observer.notes))


def _no_step(observer: Observer) -> str:
    """Why there is nothing to examine."""
    if "keras" in sys.modules:
        return (
            "Keras' own optimizer took the steps, which torch does not show; `unstuck.hint(model=..., optimizer=..., "
            "loss=..., train=...)` with their like in torch tells what to examine"
        )
    if observer.losses:
        return (
            f"{len(observer.losses)} backward passes and no step of an optimizer of torch, so there is nothing to "
            "examine; `unstuck.hint(model=..., optimizer=..., loss=..., train=...)` tells it"
        )
    return "no optimizer of torch took a step, so there is nothing to examine"


@final
@dataclass(eq=False)
class _Rebuilding:
    """The making of one set-up."""

    observer: Observer
    trainer: Trainer
    finished: bool

    def __post_init__(self) -> None:
        self.parts: list[Part] = []
        self.missing: list[str] = []
        self.notes: list[str] = list(self.observer.notes)

    def run(self, parts: Sequence[Part]) -> Recovered:
        self.parts.extend(parts)
        try:
            setup = self._setup()
        except Unclear as reason:
            self.missing.append(str(reason))
            setup = None
        except UnstuckError as error:
            self.missing.append(str(error))
            setup = None
        return Recovered(setup, tuple(self.parts), tuple(self.missing), tuple(self.notes))

    def _setup(self) -> Setup:
        trainer, hinted = self.trainer, self.observer.hinted
        first = next((each for sampled in trainer.sampled for each in sampled.backwards if each.slice), None)
        given: dict[str, Any] = {}
        if trainer.model_copy is None or trainer.copy is None:
            if not {"model", "optimizer"} <= set(hinted):
                raise Unclear(
                    "the model could not be told: the loss could not be followed back to a module; "
                    "`unstuck.hint(model=..., optimizer=..., loss=..., train=...)` before the loop tells it"
                )
        else:
            given |= {"model": trainer.model_copy, "optimizer": trainer.copy}
            self.parts.insert(0, model_part(trainer.model_copy, trainer.model_place))
        if first is not None and trainer.model is not None:
            given |= self._computation(first, trainer.model)
        elif not {"loss", "train"} <= set(hinted):
            raise Unclear(
                "the loss could not be followed back to the model; `unstuck.hint(loss=..., train=...)` before the "
                "loop tells it"
            )
        given |= self._schedule()
        given["seed"] = self.observer.seed
        given |= hinted
        for name in hinted:
            self.parts.append(Part(name, "as hinted"))
        given.setdefault("loss", None)
        setup = Setup.of(**given)
        if first is not None and not hinted:
            self._check(setup, first)
        lines = {part.name: part.line for part in self.parts if part.line}
        step_line = self.trainer.lines.get("step", "")
        return replace(setup, lines={"train_step": step_line, **lines} if step_line else lines)

    # Batches, forward function, loss and step.

    def _computation(self, first: Backward, model: nn.Module) -> dict[str, Any]:
        assert first.slice is not None  # the caller has looked
        repeats = self._repeats()
        memo = self.observer.copies.memo
        mode = self._evaluates_in_training_mode(model)
        self.pattern = pattern = self._pattern(first)
        answer = next((each.answer for each in pattern.origins.values() if each.answer), "")
        if answer:
            raise Unclear(
                f"the loss takes what a network answered without gradients at {answer}; such targets change while it "
                "trains, and no set-up holds them. Where that network never changes, `unstuck.hint(train=(inputs, "
                "targets), loss=...)` with its answers as targets helps"
            )
        step = read(pattern, model, memo, repeats=repeats, in_training_mode=mode)
        streamed = not any(origin.feed for origin in step.origins.values())
        if not streamed and not is_by_sample(step):
            step = read(pattern, model, memo, repeats=repeats, in_training_mode=mode, raw=True)
        places = dict(zip(pattern.entries, first.slice.entries.values(), strict=True))
        if step.loss is None and self.trainer.model_copy is not None and not step.whole.differentiates:
            own = copy.deepcopy(self.trainer.model_copy).train(first.training)
            step = with_loss_outside(step, own, places, first.loss / step.scale, first.random)
            if step.loss is not None:
                self.notes.append(f"the loss inside the model is {step.loss.__name__}, told by its value")
        self.step = step
        self.first_seen = {each: places[each] for each in (*step.inputs, *step.targets) if each in places}
        train, feed = training_data(step, self.trainer.sampled, pattern, self.notes)
        recorded = self._recorded_step(step, repeats)
        given: dict[str, Any] = {"train": train, "loss": step.loss, "epochs": self._epochs(train, feed, repeats)}
        if step.forward is not None:
            given["forward"] = step.forward
        if step.loss is None or not recorded.is_usual:
            given["train_step"] = recorded
        loss = getattr(step.loss, "__name__", None) or (repr(step.loss) if step.loss is not None else "in the model")
        self.parts.append(Part("loss", loss, step.lines["loss"] or first.line))
        self.parts.append(data_part("train", train, feed))
        self.parts.extend(step_parts(recorded, self.trainer.lines.get("step", "")))
        if feed is not None:
            given |= self._evaluation(step, feed)
        return given

    def _pattern(self, first: Backward) -> Slice:
        """The slice of the second step, where it is like the first: what was made before the loop is then outside."""
        assert first.slice is not None  # the caller has looked
        for sampled in self.trainer.sampled[1:]:
            for each in sampled.backwards:
                if each.slice is not None and len(each.slice.entries) == len(first.slice.entries):
                    return each.slice
        return first.slice

    def _repeats(self) -> int:
        if self.trainer.closure:
            return 1
        counts = Counter(len(sampled.backwards) for sampled in self.trainer.sampled if sampled.backwards)
        return max(1, counts.most_common(1)[0][0]) if counts else 1

    def _evaluates_in_training_mode(self, model: nn.Module) -> bool:
        """Whether the script evaluates in training mode a model to which this makes a difference."""
        inside = {id(each) for each in model.modules()}
        seen = [each for each in self.observer.evaluations.values() if id(each.module) in inside]
        differs = any(isinstance(each, (_NormBase, _DropoutNd)) for each in model.modules())
        found = differs and any(each.in_training_mode > each.calls / 2 for each in seen)
        if found:
            line = next((each.line for each in seen if each.line), "")
            text = "the script evaluates in training mode"
            self.notes.append(f"the script evaluates in training mode at {line}" if line else text)
        return found

    def _recorded_step(self, step: Step, repeats: int) -> RecordedStep:
        sampled = [each for each in self.trainer.sampled if each.backwards]
        later = sampled[1:] or sampled[:0]
        clips = Counter(tuple(clip[:2] for clip in each.clips) for each in sampled)
        used = [each.used_gradient for each in self.trainer.sampled if each.used_gradient is not None]
        # What the optimizer does not hold, it neither clears nor uses.
        held = {id(each) for group in self.trainer.optimizer.param_groups for each in group["params"]}
        own = {id(each) for each in self.trainer.model.parameters()} if self.trainer.model is not None else held
        return RecordedStep(
            step.whole,
            (*step.inputs, *step.targets),
            dict(step.constants),
            clears=self.trainer.closure or not any(each.backwards[0].stale & held for each in later),
            repeats=repeats,
            clips=clips.most_common(1)[0][0] if clips else (),
            evaluates=bool(sampled) and not any(each.training for one in sampled for each in one.backwards),
            in_vain=bool(used and held & own) and not any(used),
        )

    def _epochs(self, train: Data, feed: Feed | None, repeats: int) -> int:
        batches = train.batches_per_epoch
        calls = self.trainer.steps * repeats
        by_steps = max(1, math.ceil(calls / batches)) if batches else 1
        if not self.finished:
            self.notes.append(f"the script was ended after {self.trainer.steps} steps; `epochs` is taken as {by_steps}")
            return by_steps
        passes = 0 if feed is None else len(feed.passes)
        if not passes or not batches or not 0.5 * passes * batches <= calls <= 2.0 * passes * batches:
            return by_steps
        return min(passes, by_steps)

    def _evaluation(self, step: Step, train: Feed) -> dict[str, Any]:
        """Splits that were read without training on them."""
        found: dict[str, Any] = {}
        others = [each for each in self.observer.batches.feeds if each is not train and not each.trained and each.drawn]
        for feed in others:
            name = "test" if "test" in feed.name.lower() or "validation" in found else "validation"
            if name in found:
                continue
            try:
                data = prepared(name, feed, step)
                data.head(2)
            except Exception as error:  # whatever the user's data set raises
                self.notes.append(f"the data read at {feed.line} could not be used: {said(error)}")
                continue
            found[name] = data
            self.parts.append(data_part(name, data, feed))
        return found

    def _schedule(self) -> dict[str, Any]:
        trainer = self.trainer
        if trainer.scheduler_copy is None:
            return {}
        counts = trainer.counts
        moved = sum(1 for before, after in zip(counts, counts[1:], strict=False) if before != after)
        if not moved and not hasattr(trainer.scheduler_copy, "patience"):
            return {}
        for each in (trainer.scheduler_copy, *getattr(trainer.scheduler_copy, "_schedulers", ())):
            each.optimizer = None
        every = "step" if moved > 0.9 * (len(counts) - 1) else "epoch"
        kind = type(trainer.scheduler_copy).__name__
        self.parts.append(Part("scheduler", f"{kind}, stepped every {every}", trainer.scheduler_place[1]))
        return {"scheduler": SchedulerLike(trainer.scheduler_copy), "schedule_every": every}

    def _check(self, setup: Setup, first: Backward) -> None:
        """Compute the first loss again."""
        step = self.step
        parts = [self.first_seen.get(each) for each in (*step.inputs, *step.targets)]
        if any(part is None for part in parts):
            return
        inputs, targets = parts[: len(step.inputs)], parts[len(step.inputs) :]
        batch = (*inputs, targets[0] if len(targets) == 1 else tuple(targets))
        try:
            with isolated(0):
                own, model, _ = setup.fresh()
                model.train(first.training)
                if first.random is not None:
                    torch.set_rng_state(first.random)
                if own.loss is not None:
                    loss = own.loss(own.outputs(model, batch), own.targets(batch))
                else:
                    assert isinstance(own.train_step, RecordedStep)
                    loss = own.train_step.loss(model, batch)
        except Exception as error:  # whatever the user's code raises
            raise Unclear(
                f"the first step could not be done again ({said(error)}); `unstuck.hint(...)` with the part that is "
                "wrong helps"
            ) from error
        seen, again = first.loss / step.scale, float(loss.detach())
        if seen != again and not abs(seen - again) <= SAME_LOSS * max(abs(seen), abs(again)):
            raise Unclear(
                f"the first loss, done again, is {again:.6g} where the script's was {seen:.6g}; "
                "`unstuck.hint(loss=...)` tells what it is made of"
            )
        self.notes.append(f"the first loss was computed again: {again:.6g}, as in the script")
