"""A set-up that was recovered, as a Python file with a function `setup` that a reader can keep and change."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, final

from torch import nn

from unstuck.capture.excerpt import Excerpt, Unwritable, epochs_of, excerpt, value_of
from unstuck.capture.program import Reference
from unstuck.capture.recorded_functions import Forward, RecordedLoss
from unstuck.capture.recorded_script import Place, Recording
from unstuck.capture.recorded_step import RecordedStep
from unstuck.capture.spelling import module_source, spelled
from unstuck.capture.variables import names_in
from unstuck.languages import marked
from unstuck.setup import Setup
from unstuck.setup.data import LoadedData

LATE: Final = ("scheduler", "validation", "test")
"""What a script may first use after the steps that were seen: at the end of an epoch."""


@final
@dataclass(frozen=True, slots=True)
class Written:
    """A file.

    Attributes:
        text: Its source.
        todo: What a reader has to fill in before `setup` returns anything.
    """

    text: str
    todo: tuple[str, ...]


def written(recording: Recording, told: Callable[[str], str] = str) -> Written:
    """Write the file.

    Args:
        recording: What a run has shown.
        told: Puts a sentence into the language of the reader; the code stays as it is.

    Returns:
        Source that compiles; where something cannot be told, `setup` raises `NotImplementedError` with what is needed.
    """
    return _Writing(recording, told).run()


@final
@dataclass(eq=False)
class _Writing:
    """The writing of one file."""

    recording: Recording
    told: Callable[[str], str]
    todo: list[str] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    given: dict[str, str] = field(default_factory=dict)
    wanted: list[tuple[str, int]] = field(default_factory=list)
    also: set[str] = field(default_factory=set)

    def run(self) -> Written:
        recording = self.recording
        self._made("model", recording.model)
        setup = recording.setup
        if setup is None:
            for sentence in recording.missing or (marked("the run showed no training"),):
                self._needs("loss", sentence)
            self.given["loss"] = "loss"
        else:
            self._try("loss", lambda: self._loss(setup))
        self._made("optimizer", recording.optimizer)
        self._data()
        self._epochs()
        if setup is not None:
            self._try("scheduler", lambda: self._scheduler(setup))
            if isinstance(setup.forward, Forward):
                self._try("forward", lambda: self._forward(setup))
            if isinstance(setup.train_step, RecordedStep):
                self._try("train_step", lambda: self._train_step(setup))
            self.given["seed"] = str(setup.seed)
        taken = self._excerpt()
        return Written(self._text(taken), tuple(self.todo))

    def _needs(self, name: str, what: str, line: str = "") -> None:
        self.todo.append(f"{name}: {self.told(what)} ({line or self.recording.script})")

    def _try(self, name: str, write: Callable[[], None]) -> None:
        try:
            write()
        except Unwritable as reason:
            self._needs(name, str(reason), f"{self.recording.script}:{self.recording.training}")
            self.given.setdefault(name, name)

    def _made(self, name: str, place: Place) -> None:
        self.given[name] = place.name if place.line else name
        if place.line:
            self.wanted.append((place.name, place.line))
        else:
            what = marked(f"make the script's {name} here; no variable of the script was seen to hold it")
            self._needs(name, what, place.seen)

    # Parts.

    def _data(self) -> None:
        setup = self.recording.setup
        for name in ("train", "validation", "test"):
            place = self.recording.data.get(name)
            split = None if setup is None else getattr(setup, name)
            if name != "train" and split is None:
                continue
            if place is None:
                self.given[name] = name
                what = marked("give it as `(inputs, targets)` or as a DataLoader; the script reads no loader for it")
                if split is not None and split.size is not None:
                    what = marked(
                        f"give the {split.size:,} samples as `(inputs, targets)` or as a DataLoader; the script reads "
                        "no loader for them"
                    )
                self._needs(name, what, f"{self.recording.script}:{self.recording.training}")
                continue
            self._made(name, place)
            if isinstance(split, LoadedData) and split.change is not None:
                what = marked(
                    "the script changes each batch before the model and the loss get it; make the loader give "
                    "(inputs, targets) as they take them"
                )
                self._needs(name, what, f"{self.recording.script}:{self.recording.training}")
            if split is not None and name == "train":
                self.given["batch_size"] = str(split.batch_size)

    def _epochs(self) -> None:
        recording = self.recording
        self.given["epochs"] = "epochs"
        expression = "" if not self.wanted else self._epochs_in_source()
        if expression:
            self.given["epochs"] = expression
            self.also |= names_in(expression)
        elif recording.epochs is not None:
            self.given["epochs"] = str(recording.epochs)
        else:
            what = marked("say how many the script trains")
            self._needs("epochs", what, f"{recording.script}:{recording.training}")

    def _epochs_in_source(self) -> str:
        try:
            return epochs_of(self.recording.source, self.wanted)
        except Unwritable:
            return ""  # the excerpt says so

    def _scheduler(self, setup: Setup) -> None:
        place = self.recording.scheduler
        if setup.scheduler is None or place is None:
            return
        value = value_of(self.recording.source, place.name, place.line) if place.line else None
        first = value.args[0] if isinstance(value, ast.Call) and value.args else None
        is_plain = isinstance(first, ast.Name) and first.id == self.recording.optimizer.name
        if value is None or not is_plain or any(isinstance(each, ast.List) for each in ast.walk(value)):
            raise Unwritable("give a function optimizer -> scheduler that makes the script's scheduler")
        expression = ast.unparse(value)
        self.also |= names_in(expression)
        self.given["scheduler"] = f"lambda {self.recording.optimizer.name}: {expression}"
        self.given["schedule_every"] = repr(setup.schedule_every)

    def _loss(self, setup: Setup) -> None:
        self.given["loss"] = "loss"
        if isinstance(setup.loss, RecordedLoss):
            loss = setup.loss
            known = _names(loss.outputs, "outputs") | _names(loss.targets, "targets")
            self._define("loss(outputs, targets)", spelled(loss.program, known, loss.constants))
        elif isinstance(setup.loss, nn.Module):
            self.given["loss"] = module_source(setup.loss)
        else:
            raise Unwritable("the loss is computed together with the outputs; give a `train_step` that does both")

    def _forward(self, setup: Setup) -> None:
        forward = setup.forward
        assert isinstance(forward, Forward)  # the caller has looked
        self.given["forward"] = "forward"
        known = {each: f"batch[{place}]" for place, each in enumerate(forward.inputs)}
        why = self.told(marked("as the script does in evaluation"))
        lines = [f"model.train()  # {why}"] if forward.in_training_mode else []
        self._define("forward(model, batch)", [*lines, *spelled(forward.program, known, forward.constants)])

    def _train_step(self, setup: Setup) -> None:
        step = setup.train_step
        assert isinstance(step, RecordedStep)  # the caller has looked
        self.given["train_step"] = "train_step"
        if step.repeats > 1:
            raise Unwritable(f"the gradients of {step.repeats} batches are added up; give a `train_step` that does it")
        outputs = "forward(model, batch)" if setup.forward is not None else "model(*batch[:-1])"
        loss = self.given["loss"]
        lines = [
            "model.eval()" if step.evaluates else "",
            "optimizer.zero_grad()" if step.clears else "",
            f"value = {loss}({outputs}, batch[-1])",
            "value.backward()",
            "optimizer.zero_grad()" if step.in_vain else "",
            *(f"torch.nn.utils.clip_grad_{kind}_(model.parameters(), {limit!r})" for kind, limit in step.clips),
            "optimizer.step()",
            "return value.detach()",
        ]
        self._define("train_step(model, optimizer, batch)", [each for each in lines if each])

    def _define(self, head: str, lines: Sequence[str]) -> None:
        self.functions.append(f"def {head}:\n" + _indented(lines))

    # The file.

    def _excerpt(self) -> Excerpt:
        recording = self.recording
        try:
            return excerpt(recording.source, self.wanted, recording.training, recording.arguments, self.also)
        except Unwritable as reason:
            what = marked(f"make model, optimizer and data here as the script does; {reason}")
            self.todo.insert(0, f"{self.told(what)} ({recording.script})")
        return Excerpt((), (), frozenset())

    def _text(self, taken: Excerpt) -> str:
        recording = self.recording
        typed = " ".join(["unstuck", "init", recording.script, *recording.arguments])
        doubled = {"setup", "loss", "forward", "train_step", "unstuck"} & taken.names & _defined(self.functions)
        if doubled or "setup" in taken.names:
            names = ", ".join(sorted(doubled | ({"setup"} & taken.names)))
            what = marked(f"the script has its own {names}; rename one of the two")
            self.todo.append(f"{self.told(what)} ({recording.script})")
        head = marked(f"The training set-up of {recording.script}, for `unstuck diagnose`. Written by `{typed}`.")
        imports = [each for each in taken.module if _is_import(each)]
        above = [each for each in taken.module if not _is_import(each)]
        for line in ("import torch", "import unstuck"):
            is_used = line == "import unstuck" or any(
                "torch." in each for each in (*self.functions, *self.given.values())
            )
            if is_used and line not in imports:
                imports.append(line)
        future = [each for each in imports if "__future__" in each]
        imports = [*future, *(each for each in imports if each not in future)]
        body = [*taken.body, *(f"raise NotImplementedError({_quoted('TODO: ' + each)})" for each in self.todo)]
        arguments = "".join(f"        {name}={value},\n" for name, value in self.given.items())
        made = "def setup():\n"
        made += f'    """{self.told(marked("What the script trains, and how."))}"""\n'
        made += "".join(f"    {line}\n" if line else "\n" for each in body for line in each.split("\n"))
        unseen = [name for name in LATE if name not in self.given]
        if unseen:
            more = marked("A few steps do not show everything. Where the script has them, add:")
            made += f"    # {self.told(more)}\n    # {', '.join(unseen)}\n"
        made += f"    return unstuck.Setup.of(\n{arguments}    )\n"
        blocks = [f'"""{_plain(self.told(head))}"""', "\n".join(imports)]
        loose: list[str] = []
        for each in above:
            if _is_definition(each):
                blocks += ["\n".join(loose)] if loose else []
                blocks.append(each)
                loose = []
            else:
                loose.append(each)
        blocks += ["\n".join(loose)] if loose else []
        blocks += [*self.functions, made]
        return "\n\n\n".join(blocks).replace('"""\n\n\n', '"""\n\n', 1)


def _names(references: Sequence[Reference], name: str) -> dict[Reference, str]:
    if len(references) == 1:
        return {references[0]: name}
    return {each: f"{name}[{place}]" for place, each in enumerate(references)}


def _defined(functions: Sequence[str]) -> set[str]:
    return {each.removeprefix("def ").split("(")[0] for each in functions}


def _is_import(text: str) -> bool:
    return text.startswith(("import ", "from "))


def _is_definition(text: str) -> bool:
    return text.startswith(("def ", "async def ", "class ", "@"))


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)


def _plain(text: str) -> str:
    return text.replace("\\", "/").replace('"""', "'''")


def _quoted(text: str) -> str:
    return '"' + " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"') + '"'
