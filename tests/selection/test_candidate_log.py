"""The log of candidates: whole under two writers, patient with a broken file, silent where it cannot be written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from unstuck import candidate_log


def test_candidates_are_counted_once_for_each_set_of_samples(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "candidates.jsonl"
    assert candidate_log.append("one", ["a", "b"], log) == ""
    assert candidate_log.append("one", ["b", "c"], log) == ""
    assert candidate_log.append("other", ["z"], log) == ""
    assert candidate_log.read("one", log).candidates == {"a", "b", "c"}


def test_broken_lines_are_passed_over_and_counted(tmp_path: Path) -> None:
    log = tmp_path / "candidates.jsonl"
    candidate_log.append("one", ["a"], log)
    with log.open("ab") as file:
        file.write(b'\xff\xfe\n[1, 2]\n{"samples": 3, "candidate": "x"}\n{"samples": "one", "cand')
    candidate_log.append("one", ["b"], log)
    known = candidate_log.read("one", log)
    assert known.candidates == {"a", "b"} and known.unreadable == 4


def test_a_log_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert "could not be written" in candidate_log.append("one", ["a"], blocked / "candidates.jsonl")
    assert candidate_log.read("one", blocked / "candidates.jsonl").candidates == frozenset()


def test_two_processes_do_not_mix_their_lines(tmp_path: Path) -> None:
    log = tmp_path / "candidates.jsonl"
    code = (
        "import sys; from pathlib import Path; from unstuck import candidate_log as log\n"
        "for number in range(200): log.append('one', [f'{sys.argv[1]}-{number}' + 'x' * 500], Path(sys.argv[2]))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, name, str(log)]) for name in "ab"]
    assert [process.wait() for process in running] == [0, 0]
    assert len(candidate_log.read("one", log).candidates) == 400
    assert all(json.loads(row) for row in log.read_text().splitlines())
