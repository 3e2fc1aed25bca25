"""The set-up as given: each stage once, its run, and where that stands among other learners and copies of the model."""

from __future__ import annotations

from typing import Any

from unstuck.budget import Budget
from unstuck.draft import Draft
from unstuck.errors import UnstuckError
from unstuck.examine import Examination
from unstuck.guide import ask
from unstuck.loop import evaluate, fit
from unstuck.measure.comparison import Comparison
from unstuck.measure.history import Repeatability
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import Unmeasured
from unstuck.pairing import curve
from unstuck.report import Curve, Unchecked
from unstuck.setup import Setup


class TimeUp(Exception):
    """The budget was used up before the run as given."""


def needed(examination: Examination, time: Budget, kind: type[Any]) -> Any:
    """A material without which nothing goes on.

    Args:
        examination: Makes it.
        time: The budget.
        kind: Its type.

    Returns:
        The material.

    Raises:
        TimeUp: If the time was up before it.
        UnstuckError: If the user's own code failed: as it was raised.
    """
    value = examination.get(kind)
    if isinstance(value, Unmeasured):
        error = examination.error(kind)
        if error is None and time.is_spent:
            raise TimeUp
        raise error or UnstuckError(value.reason)
    return value


def probe(examination: Examination, time: Budget, draft: Draft) -> None:
    """Run every stage once, so that a fault in the user's code is reported by its stage.

    Args:
        examination: Of the set-up.
        time: The budget.
        draft: Takes the notes.

    Raises:
        TimeUp: If the time was up.
        UnstuckError: If a stage fails.
    """
    prepared = needed(examination, time, Prepared)
    run = fit(prepared.setup, steps=1, validate=False)
    for split in (prepared.held_out, prepared.setup.test):
        if split is not None:
            evaluate(prepared.setup, run.model, split, limit=split.batch_size)
    if prepared.held_out is prepared.setup.train:
        draft.notes.append("the training split is too small to hold samples out, so overfitting cannot be told")
    repeatability = examination.get(Repeatability)
    if isinstance(repeatability, Repeatability) and not repeatability.repeats:
        draft.notes.append(
            "the set-up does not repeat itself with the same seed, so differences between runs hold its own "
            "noise too; look for random numbers that are drawn outside torch, NumPy and Python"
        )


def train(examination: Examination, time: Budget, draft: Draft) -> None:
    """Train it as it is.

    Args:
        examination: Of the set-up.
        time: Told what one run takes.
        draft: Takes the curves and the notes.

    Raises:
        TimeUp: If the time was up.
        UnstuckError: If it cannot be trained.
    """
    trained = needed(examination, time, Trained)
    record = trained.run.record
    draft.run_seconds = record.seconds
    draft.curves = (curve("training loss", trained.run),)
    if record.validation_losses:
        ends = record.epoch_ends[: len(record.validation_losses)]
        draft.curves += (Curve("validation loss", ends, record.validation_losses),)
    if record.stopped == "time":
        draft.notes.append(
            f"one run was cut short after {len(record.losses)} steps ({record.seconds:.0f} s); comparisons "
            "use as many steps; a larger --budget allows more"
        )
    time.one_run_took(record.seconds)


def compare(examination: Examination, draft: Draft, setup: Setup) -> Comparison | None:
    """Walk the guide.

    Args:
        examination: Of the set-up.
        draft: Takes the answers, and what could not be told.
        setup: As given.

    Returns:
        The comparison; None where nothing could be compared.
    """
    comparison = examination.get(Comparison)
    if isinstance(comparison, Unmeasured):
        draft.unchecked["the guide"] = Unchecked("the questions of the guide", comparison.reason)
        return None
    draft.questions = ask(comparison)
    if not (comparison.can_clear or comparison.narrow_on_purpose):
        draft.notes.append(
            "it could be compared with copies of the same model only, so a fault inside the model or the loss "
            "that the copies share may pass unseen"
        )
    if comparison.given.test is None:
        reason = "no test data were given" if setup.unlabelled is None else "the test data have no labels"
        draft.unchecked["MIS"] = Unchecked("mismatch with the test data", reason)
    return comparison
