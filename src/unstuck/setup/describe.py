"""A set-up in words, and the difference between two."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unstuck.report import Change
from unstuck.setup.data import Data
from unstuck.setup.randomness import isolated
from unstuck.setup.record import Setup

HIDDEN = ("loss", "loss_units", "optimizer", "output_form")
PART_OF = {"batch_size": "train", "step": "train_step"}
"""First word of a field → the part of the set-up that it belongs to, where that has another name."""

SHOWN = ("lr", "momentum", "weight_decay", "betas", "nesterov", "alpha")


def describe(setup: Setup) -> Mapping[str, str]:
    """Field → rendering, in the order in which a reader wants them."""
    with isolated(setup.seed):
        model, optimizer = setup.build()
    count = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    fields = {
        "model": f"{type(model).__name__}, {count:,} trainable parameters",
        "loss": setup.described.get("loss", ""),
        "optimizer": type(optimizer).__name__,
    }
    group = dict(optimizer.param_groups[0])
    for name in SHOWN:
        if name in group and not (name == "nesterov" and not group[name]):
            value = group[name] * setup.optimizer.rate_factor if name == "lr" else group[name]
            fields[f"optimizer.{name}"] = _number(value)
    known = {id(each) for each in model.parameters() if each.requires_grad}
    held = known.intersection(id(each) for each_group in optimizer.param_groups for each in each_group["params"])
    if held != known or setup.optimizer.adopts:
        fields["optimizer.params"] = f"{len(held)} of the model's {len(known)} trainable tensors"
    fields["train"] = _data(setup.train)
    if setup.validation is not None:
        fields["validation"] = _data(setup.validation)
    if setup.test is not None:
        fields["test"] = _data(setup.test)
    fields["batch_size"] = str(setup.train.batch_size)
    fields["epochs"] = str(setup.epochs)
    if setup.scheduler is not None:
        fields["scheduler"] = f"stepped every {setup.schedule_every}"
    if setup.train_step is not None:
        fields["train_step"] = getattr(setup.train_step, "__name__", "the user's own")
    fields.update(setup.corrections.described())
    if setup.early_stopping:
        fields["early_stopping"] = "keeps the weights of the best validation epoch"
    fields.update({name: text for name, text in setup.described.items() if name not in HIDDEN})
    return fields


def difference(before: Setup, after: Setup) -> tuple[Change, ...]:
    """What has to be changed to come from one set-up to the other."""
    old, new = describe(before), describe(after)
    known = len(before.model.edits)
    changes = [
        Change(edit.field, edit.before, edit.after, _line(before, edit.field)) for edit in after.model.edits[known:]
    ]
    for field in [*old, *(name for name in new if name not in old)]:
        was, becomes = old.get(field, "–"), new.get(field, "–")
        if was != becomes and not (field == "model" and changes):
            changes.append(Change(field, was, becomes, _line(before, field)))
    return tuple(changes)


def _line(setup: Setup, field: str) -> str:
    """Where the part is made that a field belongs to."""
    part = field.partition(".")[0]
    return setup.lines.get(PART_OF.get(part, part), "")


def _data(data: Data) -> str:
    size = "samples of unknown number" if data.size is None else f"{data.size:,} samples"
    return size + (", shuffled" if data.shuffled else "")


def _number(value: Any) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(_number(part) for part in value) + ")"
    return f"{float(value):.4g}" if isinstance(value, (int, float)) and not isinstance(value, bool) else str(value)
