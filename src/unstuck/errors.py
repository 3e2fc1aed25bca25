"""Every error that `unstuck` raises on purpose.

    UnstuckError
    ├── ExaminationError    the user's own code raised; carries the stage and their line
    ├── RemedyError         a remedy does not apply to this set-up
    └── InputError
        ├── SetupError      the set-up cannot be what it was given as
        ├── RecordError     the record of a run cannot be read or written
        ├── LogError        a log cannot be read, or holds nothing that could be judged
        └── TargetError     the command line was pointed at something that is no set-up

A message has one grammar: what must be what; got what; do this.
"""

from __future__ import annotations

from typing import Any, Final, final

from unstuck.languages import translated


class UnstuckError(Exception):
    """Anything that `unstuck` raises on purpose.

    What it says is English, which is what people search for. From Python 3.11 on a traceback shows below it the same
    in the language of the reader, as a note.
    """

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        told = translated(str(self))
        if told != str(self) and hasattr(self, "add_note"):
            self.add_note(told)

    def __reduce__(self) -> tuple[Any, ...]:
        """Come back from another process as it was; a foreign exception that it carries, as its text."""
        held = {name: value for name, value in vars(self).items() if isinstance(value, str)}
        cause = getattr(self, "cause", None)
        return _restored, (type(self), str(self), held, None if cause is None else f"{type(cause).__name__}: {cause}")


def _restored(kind: type[UnstuckError], message: str, held: dict[str, str], cause: str | None) -> UnstuckError:
    error = kind.__new__(kind)
    error.args = (message,)
    vars(error).update(held if cause is None else {**held, "cause": RuntimeError(cause)})
    return error


def sentence(must: str, got: str, do: str) -> str:
    """Join the three parts of a message: "`loss` must return a scalar; got shape [64]. Use …"."""
    return f"{must}; got {got}. {do}"


class InputError(UnstuckError):
    """What was given is not what it must be; abstract, its kinds say what it was.

    Args:
        must: What must be what, without a full stop.
        got: What was found instead.
        do: What the user does about it, as a sentence.
    """

    def __init__(self, must: str, got: str, do: str) -> None:
        super().__init__(sentence(must, got, do))


@final
class SetupError(InputError):
    """The set-up is not one that can be trained."""


_STAGES: Final = {
    "data": "the data stage",
    "model": "the model stage",
    "optimizer": "the optimizer stage",
    "forward": "the forward stage",
    "loss": "the loss stage",
    "backward": "the backward stage",
    "step": "the step stage",
    "schedule": "the schedule stage",
}
_WITHOUT_BATCH: Final = frozenset({"model", "optimizer", "schedule"})


@final
class ExaminationError(UnstuckError):
    """The user's own code raised while it was being run.

    Args:
        stage: "data", "model", "optimizer", "forward", "loss", "backward", "step" or "schedule".
        cause: The exception that their code raised.
        line: "file.py:12" of the innermost line that is the user's own, or "" where none is known.
        do: What the user does about it, as a sentence.
        on: The split that was being read or run on, such as "test", or "" where it does not matter.
    """

    def __init__(self, stage: str, cause: BaseException, line: str = "", do: str = "", on: str = "") -> None:
        self.stage = stage
        self.cause = cause
        self.line = line
        self.do = do
        self.on = on
        where = f" at {line}" if line else ""
        what = " ".join(str(cause).split()) or "no message"
        named = _STAGES.get(stage, f"the {stage} stage")
        advice = do or f"Run {named} by itself on one batch and mend it."
        must = _must(f"{named[0].upper()}{named[1:]}", stage, on)
        super().__init__(sentence(must, f"{type(cause).__name__}{where}: {what[:300]}", advice))


def _must(named: str, stage: str, on: str) -> str:
    if stage in _WITHOUT_BATCH:
        return f"{named} must run without an error"
    if stage == "data":
        if on:
            return f"{named} must run through every batch of `{on}` without an error"
        return f"{named} must run through every batch without an error"
    return (
        f"{named} must run on a batch of `{on}` without an error"
        if on
        else f"{named} must run on a batch without an error"
    )


@final
class RemedyError(UnstuckError):
    """A remedy does not apply to this set-up; its message says why."""


@final
class TargetError(InputError):
    """The command line was pointed at something that holds no set-up."""


@final
class RecordError(InputError):
    """The record of a run cannot be read or written."""


@final
class LogError(InputError):
    """A log cannot be read, or holds nothing that could be judged."""
