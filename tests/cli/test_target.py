"""From what was typed to a set-up, and what is said where there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from unstuck.cli import target
from unstuck.errors import SetupError, TargetError

GOOD = """
import torch
from torch import nn
import unstuck

def setup():
    return unstuck.Setup.of(
        model=nn.Linear(2, 1), loss=nn.MSELoss(), optimizer=lambda p: torch.optim.SGD(p, lr=0.1),
        train=(torch.zeros(4, 2), torch.zeros(4, 1)), epochs=1, batch_size=2, seed=7,
    )

other = setup
"""


@pytest.fixture(autouse=True)
def clean_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("typed", "parts"),
    [
        ("a/b.py", ("a/b.py", "setup")),
        ("a/b.py:make", ("a/b.py", "make")),
        ("a.b:make", ("a.b", "make")),
        ("a.b", ("a.b", "setup")),
        ("C:\\a\\b.py", ("C:\\a\\b.py", "setup")),
        ("C:\\a\\b.py:make", ("C:\\a\\b.py", "make")),
        ("a/b.py:", ("a/b.py", "setup")),
    ],
)
def test_a_target_is_a_place_and_a_function(typed: str, parts: tuple[str, str]) -> None:
    assert target.split(typed) == parts


@pytest.mark.parametrize("typed", ["mine.py", "./mine.py:other", "mine:setup", "mine"])
def test_a_set_up_is_loaded_from_a_file_or_a_module(tmp_path: Path, typed: str) -> None:
    (tmp_path / "mine.py").write_text(GOOD)
    assert target.load(typed).seed == 7
    assert "mine" in sys.modules


def test_a_file_imports_its_neighbours_as_a_script_would(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "neighbour_of_mine.py").write_text(GOOD)
    (tmp_path / "deep" / "mine.py").write_text("from neighbour_of_mine import setup\n")
    assert target.load("deep/mine.py").seed == 7


@pytest.mark.parametrize("name", ["calendar.py", "json.py", "my-script.py", "torch.py"])
def test_a_file_never_takes_the_place_of_another_module(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("import json\n" + GOOD if name == "my-script.py" else "def setup(): return None\n")
    if name == "my-script.py":
        assert target.load(name).seed == 7
    else:
        with pytest.raises(TargetError, match=r"must return an `unstuck.Setup`; got nothing \(None\)"):
            target.load(str(tmp_path / name))
    assert hasattr(__import__("json"), "dumps")


@pytest.mark.parametrize(
    ("source", "typed", "said"),
    [
        (None, "mien.py", "no file 'mien.py'. Did you mean mine.py?"),
        (None, "elsewhere/xyz.py", "no file 'elsewhere/xyz.py'. Give its path."),
        (None, ".", "'.', a folder. Write a .py file"),
        (None, "notes.txt", "'notes.txt', a file that ends in '.txt'"),
        (None, "no_such_module_at_all:setup", "no module 'no_such_module_at_all'. Give the path"),
        ("x = 1\n", "mine.py", "mine.py must have a function `setup`; got none. Write `def setup():`"),
        ("def a(): ...\ndef b(): ...\n", "mine.py", "Name one of its functions as mine.py:FUNCTION; it has a, b."),
        ("def a(): ...\n", "mine.py:c", "must have a function `c`; got none."),
        ("setup = 3\n", "mine.py", "`setup` of mine.py must be a function; got an object of type int."),
        ("def setup(rate): ...\n", "mine.py", "must be callable without arguments; got setup(rate)."),
        ("def setup(): return 3\n", "mine.py", "must return an `unstuck.Setup`; got an object of type int."),
        ("def setup():\n    return [][1]\n", "mine.py", "got IndexError at mine.py:2: list index out of range. Mend"),
        ("import json\ndef setup():\n    json.loads('{')\n", "mine.py", "JSONDecodeError at mine.py:3: "),
        ("raise ValueError('at import')\n", "mine.py", "import without an error; got ValueError at mine.py:1: at im"),
        ("import sys\nsys.exit(3)\n", "mine.py", "got SystemExit at mine.py:2: 3. Mend mine.py:2."),
        ("def setup(:\n", "mine.py", "got SyntaxError at mine.py:1: "),
        ("import no_such_module_here\n", "mine.py", "got ModuleNotFoundError at mine.py:1: No module named"),
        ("import no_such_module_here\n", "mine", "got ModuleNotFoundError at mine.py:1: No module named"),
        ("raise ValueError\n", "mine", "got ValueError at mine.py:1: no message."),
        (
            "from .near import setup\n",
            "mine.py",
            "got ImportError at mine.py:1: attempted relative import with no known parent package. Name it as a module",
        ),
    ],
)
def test_what_is_no_set_up_is_refused_in_one_sentence(
    tmp_path: Path, source: str | None, typed: str, said: str
) -> None:
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "mine.py").write_text(source or "")
    with pytest.raises(TargetError) as caught:
        target.load(typed)
    message = str(caught.value)
    assert said in message and "; got " in message and "\n" not in message


def test_ctrl_c_in_the_users_code_is_not_their_error(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def setup():\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        target.load("mine.py")


def test_what_unstuck_says_of_a_set_up_is_passed_on_with_its_line(tmp_path: Path) -> None:
    source = "import unstuck\ndef setup():\n    return unstuck.Setup.of(model=1, loss=1, optimizer=1, train=1)\n"
    (tmp_path / "mine.py").write_text(source)
    with pytest.raises(SetupError, match=r"^mine\.py:3: `loss` must be .*; got int\. .*[^.]\.$"):
        target.load("mine.py")
