"""The commands with an examination that is not run: what they print, where, and how they end."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import unstuck
from tests.render import samples
from unstuck import rules
from unstuck.cli import command, main, target
from unstuck.cli.output import FirstLines
from unstuck.cli.parser import build, with_json_bound
from unstuck.errors import ExaminationError
from unstuck.render import ENDINGS
from unstuck.render.machine import from_json, to_json
from unstuck.report import Report


@dataclasses.dataclass(frozen=True)
class Given:
    """Stands for a set-up."""

    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Cured:
    """Stands for a cure."""

    setup: Given
    steps: tuple[Report, ...]
    before: tuple[float, ...] = (2.3, float("nan"))
    after: tuple[float, ...] = (2.3, 0.04)
    sentence: str = "Cured in one step."


Answer = Callable[[Report | BaseException], list[dict[str, Any]]]


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Let `diagnose` and `replay` give a report, or raise; the arguments that they get are listed."""

    def arrange(result: Report | BaseException) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = []

        def give(subject: object, **options: Any) -> Report:
            calls.append({"subject": subject, **options})
            print("the user's own code prints this")
            if isinstance(result, BaseException):
                raise result
            return result

        monkeypatch.setattr(target, "load", lambda typed: Given())
        for name in ("diagnose", "replay"):
            monkeypatch.setattr(unstuck, name, give, raising=False)
        return calls

    return arrange


def failed() -> Report:
    error = "The loss stage must run on a batch without an error; got ValueError at train.py:3: no. Mend it."
    empty = dataclasses.replace(samples.cut_short(), findings=(), curves=())
    return dataclasses.replace(empty, sentence=error, error=error)


@pytest.mark.parametrize(
    ("report", "status"),
    [
        (samples.healthy(), 0),
        (samples.sick(), 1),
        (samples.cut_short(), 1),
        (dataclasses.replace(samples.cut_short(), findings=()), 2),
        (failed(), 2),
        (dataclasses.replace(samples.sick(), error="It broke later.", complete=False), 1),
        (dataclasses.replace(samples.cut_short(), error="It broke.", complete=False), 2),
    ],
)
def test_the_status_says_whether_a_cause_was_found(report: Report, status: int, answer: Answer) -> None:
    answer(report)
    assert main(["diagnose", "train.py"]) == status


def test_a_piped_report_is_plain_text_on_standard_output(answer: Answer, capfd: pytest.CaptureFixture[str]) -> None:
    answer(samples.sick())
    main(["diagnose", "my train.py", "--budget", "3x", "--seed", "5"])
    out, err = capfd.readouterr()
    command_typed = "unstuck diagnose 'my train.py' --budget 3x --seed 5"
    provenance = dataclasses.replace(samples.sick().provenance, command=command_typed)
    assert out == str(dataclasses.replace(samples.sick(), provenance=provenance))
    assert err == "the user's own code prints this\n"


def test_budget_and_seed_reach_the_examination(answer: Answer) -> None:
    calls = answer(samples.healthy())
    main(["diagnose", "train.py"])
    main(["diagnose", "train.py", "--budget", "12.5", "--seed", "5"])
    main(["diagnose", "train.py", "--budget", "3x"])
    assert [(call["subject"].seed, call["budget"]) for call in calls] == [(0, 60.0), (5, 12.5), (0, "3x")]


def test_json_alone_goes_to_standard_output(answer: Answer, capfd: pytest.CaptureFixture[str]) -> None:
    answer(samples.sick())
    assert main(["diagnose", "--json", "train.py"]) == 1
    assert from_json(capfd.readouterr().out.encode()).findings == samples.sick().findings


def test_json_with_a_path_goes_there_and_the_text_is_printed(
    answer: Answer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    answer(samples.sick())
    assert main(["diagnose", "train.py", "--json", str(tmp_path / "r.json")]) == 1
    assert from_json((tmp_path / "r.json").read_bytes()).sentence == samples.sick().sentence
    assert capfd.readouterr().out.startswith("✗ The learning rate")


def test_html_goes_to_its_path_and_the_text_is_printed(
    answer: Answer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    answer(samples.sick())
    assert main(["diagnose", "train.py", "--html", str(tmp_path / "r.html")]) == 1
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and samples.sick().sentence in page
    assert "unstuck diagnose train.py" in page
    assert "The way through the guide" in capfd.readouterr().out


def test_html_that_cannot_be_written_is_refused(answer: Answer, tmp_path: Path) -> None:
    answer(samples.sick())
    (tmp_path / "r.html").mkdir()
    assert main(["diagnose", "train.py", "--html", str(tmp_path / "r.html")]) == 2


@pytest.mark.parametrize(
    ("typed", "bound"),
    [
        (["diagnose", "--json", "train.py"], ["diagnose", "--json=-", "train.py"]),
        (["diagnose", "train.py", "--json"], ["diagnose", "train.py", "--json=-"]),
        (["diagnose", "--json", "a.json", "train.py"], ["diagnose", "--json=a.json", "train.py"]),
        (["diagnose", "--json", "-", "train.py"], ["diagnose", "--json=-", "train.py"]),
        (["diagnose", "--", "--json"], ["diagnose", "--", "--json"]),
    ],
)
def test_json_never_takes_the_target_for_its_path(typed: list[str], bound: list[str]) -> None:
    assert with_json_bound(typed) == bound


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["diagnose"], "required: TARGET"),
        (["diagnose", "a.py", "--budget", "0"], "must be seconds such as 60 or a multiple"),
        (["diagnose", "a.py", "--budget", "fast"], "got 'fast'"),
        (["diagnose", "a.py", "--budget", "nan"], "got 'nan'"),
        (["diagnose", "a.py", "--seed", "x"], "invalid int value"),
        (["diagnose", "a.py", "--json=train.py"], "must be a path that ends in .json; got 'train.py'"),
        (["diagnose", "a.py", "--json=/no/such/x.json"], "must be in a folder that exists"),
        (["diagnose", "a.py", "--html", "train.py"], "must be a path that ends in .html; got 'train.py'"),
        (["diagnose", "a.py", "--html=/no/such/x.html"], "must be in a folder that exists"),
        (["heal", "a.py"], "invalid choice: 'heal'"),
    ],
)
def test_what_cannot_be_typed_ends_with_status_2(
    typed: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(typed)
    err = capfd.readouterr().err
    assert caught.value.code == 2
    assert said in err and "--help` says what can be typed." in err


def test_what_ends_an_examination_is_said_on_standard_error(answer: Answer, capfd: pytest.CaptureFixture[str]) -> None:
    answer(failed())
    assert main(["diagnose", "train.py"]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.endswith(f"unstuck: {failed().error}\n")


def test_what_was_found_before_an_error_is_still_printed(answer: Answer, capfd: pytest.CaptureFixture[str]) -> None:
    answer(dataclasses.replace(samples.cut_short(), error="It broke."))
    assert main(["diagnose", "train.py"]) == 2
    out, err = capfd.readouterr()
    assert "OPT001 learning-rate-too-high" in out and err.endswith("unstuck: It broke.\n")


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ExaminationError("loss", ValueError("no"), "train.py:3"), 2, "unstuck: The loss stage must run"),
        (KeyboardInterrupt(), 130, "unstuck: stopped."),
        (ZeroDivisionError("oh"), 2, "unstuck: `unstuck` must not fail by itself; got ZeroDivisionError at "),
    ],
)
def test_nothing_ends_in_a_bare_traceback(
    error: BaseException, status: int, said: str, answer: Answer, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("UNSTUCK_TRACEBACK", raising=False)
    answer(error)
    assert main(["diagnose", "train.py"]) == status
    out, err = capfd.readouterr()
    assert out == "" and said in err and "Traceback" not in err


def test_a_fault_of_ours_shows_its_traceback_when_asked(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSTUCK_TRACEBACK", "1")
    answer(ZeroDivisionError("oh"))
    with pytest.raises(ZeroDivisionError):
        main(["diagnose", "train.py"])


def test_treat_shows_each_step_and_both_curves(
    answer: Answer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    answer(samples.sick())
    calls: list[dict[str, Any]] = []

    def treat(setup: Given, **options: Any) -> Cured:
        calls.append(options)
        return Cured(setup, (samples.sick(), samples.healthy()))

    monkeypatch.setattr(unstuck, "treat", treat, raising=False)
    assert main(["treat", "train.py"]) == 1
    out = capfd.readouterr().out
    assert out.startswith("✓ Cured in one step.\n\nStep by step\n\n  Round 1, as given\n  ├─○ OPT002 ")
    assert "\n  └─● OPT001 learning-rate-too-high " in out and "\n      Round 2, with what was kept so far\n" in out
    assert "2.3 → nan" in out and "2.3 → 0.04" in out and "  unstuck treat train.py\n" in out
    page = tmp_path / "cure.html"
    assert main(["treat", "train.py", "--json", "--budget", "9", "--html", str(page)]) == 1
    assert "Step by step" in page.read_text(encoding="utf-8")
    cure = json.loads(capfd.readouterr().out)
    paths = [tmp_path / f"cure{ending}" for ending in ENDINGS]
    assert main(["treat", "train.py", *(word for path in paths for word in ("--save", str(path)))]) == 1
    saved = {path.suffix: path.read_text(encoding="utf-8") for path in paths}
    assert "Step by step" in saved[".html"] and saved[".txt"] == capfd.readouterr().out
    assert json.loads(saved[".json"])["sentence"] == cure["sentence"]
    runs = json.loads(saved[".sarif"])["runs"]
    assert [run["automationDetails"]["id"] for run in runs] == ["unstuck/round-1/", "unstuck/round-2/"]
    assert [len(run["results"]) for run in runs] == [2, 0]
    assert saved[".xml"].count("<testsuite ") == 2 and saved[".md"].startswith("## Cured in one step.")
    assert "**Round 1.**" in saved[".md"] and "optimizer.lr" in saved[".md"]
    assert cure["before"] == [2.3, "nan"] and len(cure["steps"]) == 2 and cure["schema"] == 1
    assert [options["budget"] for options in calls] == [120.0, 9.0, 120.0]


def test_replay_judges_a_saved_report_again(answer: Answer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    calls = answer(samples.healthy())
    (tmp_path / "r.json").write_bytes(to_json(samples.sick()))
    assert main(["replay", str(tmp_path / "r.json")]) == 0
    assert calls[0]["subject"].sentence == samples.sick().sentence
    assert capfd.readouterr().out == str(samples.healthy())


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"{}", "without the field `schema`")])
def test_replay_refuses_what_is_no_report(
    content: bytes | None, said: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "r.json").write_bytes(content)
    assert main(["replay", str(tmp_path / "r.json")]) == 2
    err = capfd.readouterr().err
    assert said in err and "; got " in err


def test_demo_examines_the_sick_case_of_a_rule(
    answer: Answer, rule_folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    calls = answer(samples.sick())
    case = SimpleNamespace(patient="digits at a rate of 3", setup=lambda: Given(seed=3))
    monkeypatch.setattr(rules, "load", lambda: (SimpleNamespace(code="OPT001", cases=(case,)),), raising=False)
    assert main(["demo", "learning-rate-too-high", "--seed", "4"]) == 0
    out = capfd.readouterr().out
    assert out.startswith("A demo of OPT001 learning-rate-too-high. The patient: digits at a rate of 3.\n\n✗ The")
    assert out.endswith("\n\nThe fault put in was OPT001; the diagnosis names OPT001.\n")
    assert "    unstuck demo OPT001 --seed 4\n" in out
    assert calls[0]["subject"] == Given(seed=4)
    answer(samples.healthy())
    assert main(["demo", "OPT001"]) == 1
    assert capfd.readouterr().out.endswith("\n\nThe fault put in was OPT001; the diagnosis names no cause.\n")
    assert main(["demo", "SET001"]) == 2
    assert "A demo must have a sick case to show; got SET001" in capfd.readouterr().err


RULES = """\
SET The program does not do what its author means

  SET001 target-shape-broadcast
         Outputs and targets broadcast.

OPT The training loss is large because optimisation fails

  OPT001 learning-rate-too-high
         The learning rate is too high.
  OPT002 learning-rate-too-low
         The learning rate is too low.

MIS The held-out loss is small, the test loss is not

  MIS001 test-from-elsewhere
         The test data are of another kind.

unstuck explain CODE says more of one.
"""

EXPLAINED = """\
OPT001 learning-rate-too-high
The learning rate is too high.

What it checks

  Whether `rate × curvature` is above 2:

  • at the end of the run, where the surface is sharpest and a step that is too
    long shows up at once;
  • at its start.

Why it hurts

  A step that is too long lands higher on the other side.

  A second paragraph.

How it is measured

  1. Train as given.
  2. Train at a third of the rate.

    optimizer.step()  # [red]not markup[/red]

Remedy

  Lower the rate.

When to leave it

  Never.

References

  Cohen et al., 2021.
"""


def test_rules_and_explain_read_to_the_letter(rule_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["rules"]) == 0
    assert capfd.readouterr().out == RULES
    assert main(["explain", "opt001"]) == 0
    assert capfd.readouterr().out == EXPLAINED


def test_rules_and_explain_speak_json(rule_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    main(["rules", "--json"])
    listed = json.loads(capfd.readouterr().out)
    assert listed[1] == {"code": "OPT001", "name": "learning-rate-too-high", "title": "The learning rate is too high."}
    main(["explain", "OPT001", "--json"])
    assert json.loads(capfd.readouterr().out)["sections"]["Remedy"] == "Lower the rate."


def test_an_unknown_rule_is_answered_by_those_that_come_close(
    rule_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for verb in ("explain", "demo"):
        assert main([verb, "OPT01"]) == 2
        assert "unstuck: A diagnosis must be named by its code or its name; got 'OPT01'." in capfd.readouterr().err


def test_nothing_typed_shows_the_help(capfd: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capfd.readouterr().out.startswith("usage: unstuck COMMAND ...")


@pytest.mark.parametrize("verb", [None, *command.COMMANDS])
def test_help_reads_well_at_80_columns(verb: str | None, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        build().parse_args([*([verb] if verb else []), "--help"])
    out = capfd.readouterr().out
    assert caught.value.code == 0
    assert max(map(len, out.splitlines())) <= 80
    assert out.startswith(f"usage: unstuck {verb or 'COMMAND ...'}")


WITHOUT_TORCH = """
import sys
from unstuck.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
heavy = {"torch", "numpy", "scipy", "sklearn", "joblib"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""


@pytest.mark.parametrize("typed", [["--help"], ["--version"], ["rules"], ["explain", "OPT001"], ["demo", "--help"]])
def test_help_and_catalogue_answer_at_once_and_without_torch(typed: list[str]) -> None:
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *typed], capture_output=True, text=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
        assert done.returncode == 0, done.stderr
    assert min(seconds) <= 0.4  # processor time: wall time is that of whatever else the machine does


def test_a_closed_pipe_ends_quietly() -> None:
    shell = f"{sys.executable} -m unstuck --help | head -1; {sys.executable} -m unstuck rules | true"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    assert "Traceback" not in done.stderr and "BrokenPipe" not in done.stderr


def test_an_output_without_unicode_does_not_break_the_page() -> None:
    script = "import sys; from tests.render import samples; from unstuck.cli.output import *\n"
    script += "survive_any_encoding(); from unstuck.render.page import page\n"
    script += "show(lambda width: page(samples.sick(), width), False)\n"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, env={"PYTHONIOENCODING": "ascii"},
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode("ascii").startswith("x The learning rate")


def test_a_program_that_prints_a_lot_is_cut_off_once() -> None:
    stream = io.StringIO()
    with contextlib.redirect_stdout(FirstLines(stream)):
        for step in range(100):
            print("loss", step)
    *shown, last = stream.getvalue().splitlines()
    assert shown == [f"loss {step}" for step in range(20)]
    assert last == "unstuck: your program prints more, which is left out from here on."


def test_a_report_is_saved_in_every_form_that_is_asked_for(
    answer: Answer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    answer(samples.sick())
    names = ["r.md", "r.sarif", "r.xml"]
    typed = [part for name in names for part in ("--save", str(tmp_path / name))]
    assert main(["diagnose", "train.py", *typed]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert capfd.readouterr().out.startswith("✗ The learning rate")


def test_a_set_up_that_cannot_be_examined_is_an_error_in_what_is_saved(answer: Answer, tmp_path: Path) -> None:
    answer(failed())
    assert main(["diagnose", "train.py", "--save", str(tmp_path / "r.xml")]) == 2
    assert "<error message=" in (tmp_path / "r.xml").read_text()


@pytest.mark.parametrize(
    ("path", "problem"),
    [("report.pdf", "must end in .html, .json"), ("nowhere/r.md", "must be in a folder that exists")],
)
def test_a_path_that_cannot_be_saved_to_is_refused_before_anything_is_trained(
    path: str, problem: str, answer: Answer, capfd: pytest.CaptureFixture[str]
) -> None:
    calls = answer(samples.sick())
    with pytest.raises(SystemExit) as left:
        main(["diagnose", "train.py", "--save", path])
    assert left.value.code == 2 and not calls
    assert problem in capfd.readouterr().err


def test_verbose_prints_all_that_was_ruled_out(answer: Answer, capfd: pytest.CaptureFixture[str]) -> None:
    answer(dataclasses.replace(samples.sick(), ruled_out=samples.sick().ruled_out * 5))
    main(["diagnose", "train.py"])
    assert "more, each by a number of its own" in capfd.readouterr().out
    main(["diagnose", "train.py", "--verbose"])
    assert capfd.readouterr().out.count("SET001 target-shape-broadcast: ") == 5
