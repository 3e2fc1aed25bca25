"""`trainer_state.json`, which Hugging Face's `Trainer` writes into every checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final, TypeGuard

from unstuck.errors import LogError
from unstuck.logs.run import LoggedRun, ordered

KIND: Final = "Hugging Face trainer state"
NAME: Final = "trainer_state.json"
SETTINGS: Final = ("num_train_epochs", "max_steps", "train_batch_size", "logging_steps", "eval_steps")
SUMMARY: Final = "train_runtime"
"""Key of the last entry, whose `train_loss` is a mean over the whole run and no point of the curve."""


def read(path: Path, name: str) -> LoggedRun:
    """Read a run.

    Args:
        path: The file.
        name: Of the run.

    Returns:
        The run.

    Raises:
        LogError: If the file is cut off, or holds no history.
    """
    must = "A trainer state must be JSON with a list `log_history`"
    do = "Give that of the last checkpoint that was written in full."
    try:
        state: Any = json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (ValueError, RecursionError):
        raise LogError(must, f"{path}, which is no JSON or is cut off", do) from None
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(history, list):
        raise LogError(must, f"{path} without one", do)
    found: dict[str, tuple[list[float], list[float]]] = {}
    epochs: dict[int, float] = {}
    for place, entry in enumerate(history):
        if not isinstance(entry, dict) or SUMMARY in entry:
            continue
        step = entry.get("step", place)
        if not _is_number(step):
            continue
        for key, value in entry.items():
            if key in ("step", "epoch") or not _is_number(value):
                continue
            steps, values = found.setdefault(key, ([], []))
            steps.append(float(step))
            values.append(float(value))
        if _is_number(epoch := entry.get("epoch")) and float(epoch).is_integer():
            epochs[int(epoch)] = float(step)
    columns, notes = {}, list[str]()
    for key, (steps, values) in found.items():
        columns[key], told = ordered(key, steps, values)
        notes += [told] if told else []
    settings = {key: str(state[key]) for key in SETTINGS if state.get(key) not in (None, "")}
    done, planned = state.get("global_step"), state.get("max_steps")
    if _is_number(done) and _is_number(planned) and 0 < done < planned:
        notes.append(f"the run had done {done} of {planned} steps when this state was written")
    ends = tuple(step for _, step in sorted(epochs.items()))
    return LoggedRun(name, path, KIND, "step", columns, {}, settings, ends, tuple(notes))


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
