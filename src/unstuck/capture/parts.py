"""What is told of the parts of a script that were recovered: each in a few words, with its line."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.capture.recorded_step import RecordedStep
from unstuck.capture.recovered import Part
from unstuck.capture.sightings import Feed, Trainer
from unstuck.setup.data import Data


def model_part(model: nn.Module, place: tuple[str, str]) -> Part:
    """The model, by its kind and size.

    Args:
        model: What is trained.
        place: The variable that holds it, and the line where that is assigned.

    Returns:
        What to tell.
    """
    count = sum(each.numel() for each in model.parameters() if each.requires_grad)
    return Part("model", f"{type(model).__name__}, {count:,} trainable parameters", place[1])


def optimizer_part(trainer: Trainer, several: bool) -> Part:
    """An optimizer, by its kind and settings.

    Args:
        trainer: Its steps.
        several: Whether there are others, so that its name and the number of its steps tell it apart.

    Returns:
        What to tell.
    """
    name, line = trainer.place
    kind = type(trainer.optimizer).__name__
    settings = _settings(trainer.copy or trainer.optimizer)
    steps = f", {trainer.steps} steps" if several else ""
    return Part(f"optimizer {name}" if several and name else "optimizer", f"{kind}({settings}){steps}", line)


def data_part(name: str, data: Data, feed: Feed | None) -> Part:
    """A split, by its size; the training split also by its order and batches.

    Args:
        name: Of the split.
        data: Its samples.
        feed: The loader that they were read through, or None.

    Returns:
        What to tell.
    """
    size = "samples of unknown number" if data.size is None else f"{data.size:,} samples"
    order = "shuffled" if data.shuffled else "in order"
    what = f"{size}, {order}, batches of {data.batch_size}" if name == "train" else size
    if name == "train" and data.size == 1 and data.batch_size > 1:
        what = f"one batch of {data.batch_size} in every step"
    return Part(name, what, feed.line if feed is not None else "")


def step_parts(step: RecordedStep, line: str) -> tuple[Part, ...]:
    """What is unusual about a training step; nothing where it is a usual one.

    Args:
        step: The step.
        line: Of the user's source, or "".

    Returns:
        One part, or none.
    """
    unusual = [
        "" if step.clears else "gradients are not cleared",
        f"gradients of {step.repeats} batches are added up" if step.repeats > 1 else "",
        *(f"gradients are clipped at {kind} {limit:g}" for kind, limit in step.clips),
        "the model is in evaluation mode" if step.evaluates else "",
        "gradients are cleared before the step uses them" if step.in_vain else "",
    ]
    return (Part("train_step", ", ".join(filter(None, unusual)), line),) if any(unusual) else ()


def _settings(optimizer: Optimizer) -> str:
    group = optimizer.param_groups[0]
    shown = [name for name in ("lr", "momentum", "betas", "weight_decay", "nesterov", "alpha") if group.get(name)]
    return ", ".join(f"{name}={_number(group[name])}" for name in shown)


def _number(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return "(" + ", ".join(_number(part) for part in value) + ")"
    return f"{float(value):.4g}" if isinstance(value, (int, float, Tensor)) and value is not True else str(value)
