"""Which column of a log is which: guessed from its name, or said by the user."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np

from unstuck.errors import LogError
from unstuck.logs.run import LoggedRun, Meaning

MEANINGS: Final[Mapping[str, Meaning]] = {
    "loss": Meaning.TRAINING_LOSS,
    "training_loss": Meaning.TRAINING_LOSS,
    "validation_loss": Meaning.VALIDATION_LOSS,
    "val_loss": Meaning.VALIDATION_LOSS,
    "metric": Meaning.VALIDATION_METRIC,
    "validation_metric": Meaning.VALIDATION_METRIC,
    "training_metric": Meaning.TRAINING_METRIC,
    "rate": Meaning.RATE,
    "lr": Meaning.RATE,
    "gradient_norm": Meaning.GRADIENT_NORM,
    "grad_norm": Meaning.GRADIENT_NORM,
}
"""What may stand on the left of `--map`."""

TRAINING: Final = frozenset({"train", "training", "tr", "trn"})
VALIDATION: Final = frozenset({"val", "valid", "validation", "eval", "evaluation", "dev", "holdout", "vali"})
TEST: Final = frozenset({"test", "tst"})
LOSS: Final = frozenset({"loss", "losses", "nll", "crossentropy", "objective", "cost", "perplexity"})
PERHAPS_LOSS: Final = frozenset({"mse", "mae", "ce", "bce", "rmse", "entropy"})
METRIC: Final = frozenset(
    {"acc", "accuracy", "f1", "auc", "auroc", "r2", "bleu", "iou", "dice", "map", "top1", "error"}
)
OTHER: Final = frozenset(
    {"min", "max", "std", "best", "scale", "weight", "kl", "reg", "aux", "smooth", "smoothed", "ema"}
)
"""Words that say that a column is something made of a loss, or a part of it."""

SECONDS: Final = frozenset({"time", "seconds", "sec", "runtime", "wall", "eta", "duration"})


def words(column: str) -> list[str]:
    """The words of a column's name: "trainLoss/step" has train, loss, step."""
    apart = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", column)
    found = [word for word in re.split(r"[^a-z0-9]+", apart.lower()) if word]
    joined = {"trainloss": ["train", "loss"], "valloss": ["val", "loss"], "testloss": ["test", "loss"]}
    return [part for word in found for part in joined.get(word, [word])]


def fitness(column: str, meaning: Meaning) -> float:
    """How well a name fits a meaning: 0 not at all, else the higher the better."""
    parts = words(column)
    own = set(parts)
    if own & SECONDS:
        return 0.0
    is_rate = bool(own & {"lr", "learningrate"}) or {"learning", "rate"} <= own or parts == ["rate"]
    is_norm = bool(own & {"norm", "gradnorm", "norms"}) and bool(own & {"grad", "gradient", "gradients", "gradnorm"})
    if meaning is Meaning.RATE:
        return 10.0 - 0.1 * len(parts) if is_rate else 0.0
    if meaning is Meaning.GRADIENT_NORM:
        return 10.0 - len(parts) if is_norm and len(parts) < 6 else 0.0
    if is_rate or is_norm:
        return 0.0
    is_loss, perhaps = bool(own & LOSS), bool(own & PERHAPS_LOSS)
    is_metric = bool(own & METRIC) and not is_loss
    for_loss = meaning in (Meaning.TRAINING_LOSS, Meaning.VALIDATION_LOSS)
    if for_loss and not (is_loss or perhaps) or not for_loss and not is_metric:
        return 0.0
    wants, other = TRAINING, VALIDATION | TEST
    if meaning in (Meaning.VALIDATION_LOSS, Meaning.VALIDATION_METRIC):
        wants, other = VALIDATION, TRAINING
        if not own & VALIDATION and not own & TEST:
            return 0.0
    if own & other:
        return 0.0
    value = 10.0 if is_loss or is_metric else 4.0
    value += 1.0 if own & wants else -1.0 if own & TEST else 0.0
    value -= 5.0 * bool(own & OTHER) + 0.1 * len(parts)
    value -= 2.0 * ("perplexity" in own) + 0.5 * ("error" in own)
    if "total" in own or "full" in own:
        value += 0.5
    if meaning is Meaning.TRAINING_LOSS:
        value += 0.5 * ("step" in own or "batch" in own) - 0.5 * ("epoch" in own and "step" not in own)
    else:
        value += 0.3 * ("epoch" in own)
    return max(value, 0.1)


def named(run: LoggedRun, mapping: Mapping[str, str] | None = None) -> LoggedRun:
    """Say which column is which.

    Args:
        run: As read.
        mapping: What the user said: a key of `MEANINGS` → the name of a column; an empty name for none.

    Returns:
        The run with its meanings, and a note where more than one column would do.

    Raises:
        LogError: If the mapping names a meaning or a column that there is not.
    """
    said = {meaning_of(key): _column(run, name) if name else "" for key, name in (mapping or {}).items()}
    found: dict[Meaning, str] = {}
    notes = list(run.notes)
    for meaning in Meaning:
        if meaning in said:
            if said[meaning]:
                found[meaning] = said[meaning]
            continue
        scores = {name: fitness(name, meaning) for name in run.columns if name not in said.values()}
        fitting = sorted((name for name in scores if scores[name] > 0.0), key=lambda name: (-scores[name], name))
        fitting = [name for name in fitting if np.isfinite(run.columns[name].values).any()] or fitting
        if not fitting:
            continue
        found[meaning] = fitting[0]
        rivals = [name for name in fitting[1:] if scores[fitting[0]] - scores[name] < 0.35 and name != fitting[0]]
        if rivals and meaning in (Meaning.TRAINING_LOSS, Meaning.VALIDATION_LOSS):
            key = "loss" if meaning is Meaning.TRAINING_LOSS else "validation_loss"
            others = ", ".join(repr(name) for name in rivals[:3])
            notes.append(
                f"the {meaning.value.replace('_', ' ')} is taken from {fitting[0]!r}; {others} would do as well: "
                f"`--map {key}=COLUMN` chooses"
            )
    return replace(run, meanings=found, notes=tuple(notes))


def meaning_of(key: str) -> Meaning:
    """The meaning of a key of `--map`.

    Args:
        key: Such as "loss".

    Returns:
        Its meaning.

    Raises:
        LogError: If there is none.
    """
    if key not in MEANINGS:
        raise LogError("The left of `--map` must be what a column means", repr(key), f"Use {', '.join(MEANINGS)}.")
    return MEANINGS[key]


def _column(run: LoggedRun, name: str) -> str:
    if name in run.columns:
        return name
    close = difflib.get_close_matches(name, run.columns, n=3) or list(run.columns)[:8]
    raise LogError(
        f"`--map` must name a column of {run.name}", repr(name), f"It has {', '.join(map(repr, close)) or 'none'}."
    )
