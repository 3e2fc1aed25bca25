"""Choosing among candidates: who wins, who is refused, and what is left behind."""

from __future__ import annotations

import json
import random
from functools import partial
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch
from torch import nn

import unstuck
from tests.tiny import line
from unstuck import Between, Setup
from unstuck.cli import main
from unstuck.errors import SetupError
from unstuck.render.choice_schema import choice_schema, written
from unstuck.render.lines import cells
from unstuck.render.selection import plain, to_json
from unstuck.selection.folds import rounds_of
from unstuck.selection.searching import Searched, grid_of, narrowed

DRAWS = torch.Generator().manual_seed(4)
INPUTS = torch.randn(120, 2, generator=DRAWS)
LABELS = (INPUTS[:, 0] + 0.3 * torch.randn(120, generator=DRAWS) > 0).long()


def sorter(rate: float = 0.1, epochs: int = 3, width: int = 2) -> Setup:
    return Setup.of(
        model=partial(nn.Linear, 2, width),
        loss=nn.CrossEntropyLoss(),
        optimizer=partial(torch.optim.SGD, lr=rate),
        train=(INPUTS, LABELS),
        epochs=epochs,
        batch_size=20,
    )


def test_the_better_candidate_is_chosen_and_trains_on_all_samples() -> None:
    chosen = unstuck.select({"idle": sorter(rate=1e-9), "able": sorter(rate=0.5)}, log=None)
    assert chosen.choice.chosen == "able" and chosen.choice.by == "error"
    assert chosen.setup.train.size == 120
    assert unstuck.fit(chosen.setup).losses
    assert chosen.choice.candidates[0].name == "able" and len(chosen.choice.candidates[0].folds) == 5
    assert len(chosen.choice.candidates[0].validation_curve) == 3


def test_the_smaller_of_equals_is_chosen_unless_the_best_is_asked_for() -> None:
    same = {"large": sorter(0.5, width=9), "small": sorter(0.5)}
    assert unstuck.select(same, log=None).choice.chosen == "small"
    choice = unstuck.select(same, rule="lowest", log=None).choice
    assert choice.chosen == choice.best


def test_earlier_candidates_on_the_same_samples_count(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    first = unstuck.select({"a": sorter(0.1), "b": sorter(0.2)}, log=log).choice.honesty
    again = unstuck.select({"a": sorter(0.1), "c": sorter(0.3)}, log=log).choice.honesty
    assert (first.tried_so_far, again.tried_so_far) == (2, 3)
    assert again.bound > first.bound


def test_a_log_that_cannot_be_read_or_written_costs_a_note_only(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    choice = unstuck.select({"a": sorter()}, log=blocked / "log.jsonl").choice
    assert any("could not be written" in note for note in choice.notes)


def test_a_candidate_that_fails_is_shown_and_not_chosen() -> None:
    def broken() -> Setup:
        raise RuntimeError("no such file")

    choice = unstuck.select({"broken": broken, "able": sorter(0.5)}, log=None).choice
    assert choice.chosen == "able"
    assert "no such file" in choice.candidates[-1].problem
    with pytest.raises(SetupError, match="no such file"):
        unstuck.select({"broken": broken}, log=None)


def test_validation_split_is_judged_where_there_is_one_fold() -> None:
    choice = unstuck.select({"slow": line(rate=1e-6), "quick": line()}, folds=1, log=None).choice
    assert choice.chosen == "quick" and choice.by == "loss"
    assert choice.honesty.samples == 48


def test_a_space_is_searched_coarse_to_fine() -> None:
    pytest.importorskip("optuna")
    found = unstuck.select(sorter, space={"rate": Between(1e-6, 1.0, log=True)}, trials=6, folds=2, log=None)
    rates = [candidate.hyper["rate"] for candidate in found.choice.candidates]
    assert len(rates) == 6 and all(1e-6 <= rate <= 1.0 for rate in rates)
    assert found.choice.candidates[0].hyper["rate"] > 1e-3


def test_a_fine_range_lies_around_the_best_within_the_coarse() -> None:
    space = {"rate": Between(1e-4, 1.0, log=True), "width": Between(2, 30, whole=True), "kind": ["a", "b"]}
    near = narrowed(space, {"rate": 1.0, "width": 10, "kind": "b"})
    rate, width = near["rate"], near["width"]
    assert isinstance(rate, Between) and rate.high == 1.0 and 0.1 < rate.low < 0.3
    assert isinstance(width, Between) and 5 <= width.low < 10 < width.high <= 15 and near["kind"] == ["b"]
    assert grid_of(space)["kind"] == [0, 1] and len(grid_of(space)["rate"]) == 3


def test_grid_visits_every_point_once() -> None:
    pytest.importorskip("optuna")
    source, seen = Searched(sorter, {"rate": [0.1, 0.2], "epochs": [1, 2]}, "grid", 10, 0), []
    while points := source.ask(3):
        for point in points:
            seen.append(tuple(point.hyper.values()))
            source.tell(point, 1.0, False)
    assert sorted(seen) == [(0.1, 1), (0.1, 2), (0.2, 1), (0.2, 2)]


def test_groups_and_times_are_kept_apart() -> None:
    setup = sorter()
    groups = [number // 10 for number in range(120)]
    for first, second in rounds_of(setup, None, 4, groups, None, 0).splits:
        assert not {groups[place] for place in first} & {groups[place] for place in second}
    times = np.random.default_rng(0).permutation(120)
    for first, second in rounds_of(setup, None, 4, None, list(times), 0).splits:
        assert times[first].max() < times[second].min()


def test_nested_choice_judges_the_procedure() -> None:
    choice = unstuck.select({"idle": sorter(rate=1e-9), "able": sorter(0.5)}, folds=2, nested=True, log=None).choice
    assert choice.honesty.nested is not None
    assert 0.0 <= choice.honesty.nested.value < 0.5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"candidates": {}}, "must map names"),
        ({"candidates": {"a": 3}}, "must be an unstuck.Setup"),
        ({"candidates": {"a": sorter}, "folds": 0}, "folds"),
        ({"candidates": {"a": sorter}, "folds": 1}, "validation"),
        ({"candidates": {"a": sorter}, "by": "luck"}, "by"),
        ({"candidates": {"a": sorter}, "groups": [1]}, "groups"),
        ({"candidates": {"a": sorter, "b": line}}, "same `train` samples"),
        ({"candidates": sorter, "space": {"rate": "wide"}}, "choices"),
    ],
)
def test_what_cannot_be_chosen_among_is_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(SetupError, match=words):
        unstuck.select(**{"log": None, **arguments})  # type: ignore[arg-type]


def test_generators_stay_where_they_were() -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]
    unstuck.select({"a": sorter()}, folds=2, log=None)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1:] == (np.random.get_state()[1].tolist(), random.getstate())  # type: ignore[index]


def test_the_page_fits_and_the_json_is_strict() -> None:
    choice = unstuck.select({"a" * 90: sorter(0.5), "b": sorter(1e-9)}, log=None).choice
    assert all(cells(row) <= 80 for row in plain(choice).splitlines())
    assert "How far to believe it" in str(choice)
    read = json.loads(to_json(choice), parse_constant=lambda name: pytest.fail(name))
    assert read["schema"] == 1 and len(read["candidates"]) == 2
    jsonschema.validate(read, choice_schema())


def test_the_schema_in_the_docs_is_that_of_the_records() -> None:
    assert Path("docs/choice-schema.json").read_text() == written()


def test_the_command_chooses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "from tests.selection.test_select import sorter\n"
        "def named():\n    return {'idle': sorter(1e-9), 'able': sorter(0.5)}\n"
        "def tuned(rate):\n    return sorter(rate)\n"
    )
    assert main(["select", "mine.py:named", "--folds", "2", "--json", "out.json"]) in (0, 1)
    assert "able is chosen among 2 candidates" in capsys.readouterr().out
    assert json.loads((tmp_path / "out.json").read_text())["chosen"] == "able"
    assert (tmp_path / ".unstuck" / "candidates.jsonl").exists()
    assert main(["select", "mine.py:tuned"]) == 2
    assert "--vary" in capsys.readouterr().err
