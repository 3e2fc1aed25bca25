"""A rule folder of its own, so that these tests stand whatever rules there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from unstuck import catalogue

DOCUMENTATION = '''"""{title}

## What it checks
Whether `rate × curvature` is above **2**:

- at the end of the run, where the surface is sharpest and a step that is too long shows up at once;
- at its start.

## Why it hurts
A step that is too long
lands higher on the other side.

A second paragraph.

## How it is measured
1. Train as given.
2. Train at a third of the rate.

```python
optimizer.step()  # [red]not markup[/red]
```

## Remedy
Lower the rate.

## When to leave it
Never.

## References
Cohen et al., 2021.
"""

raise RuntimeError("the catalogue must never run a rule file")

RULE = Rule(judge=judge, code="{code}")
'''


def write_rule(folder: Path, name: str, code: str, title: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text(DOCUMENTATION.format(title=title, code=code), encoding="utf-8")
    return path


@pytest.fixture
def rule_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "rules"
    folder.mkdir()
    write_rule(folder, "test_from_elsewhere", "MIS001", "The test data are of another kind.")
    write_rule(folder, "learning_rate_too_low", "OPT002", "The learning rate is too low.")
    write_rule(folder, "learning_rate_too_high", "OPT001", "The learning rate is too high.")
    write_rule(folder, "target_shape_broadcast", "SET001", "Outputs and targets broadcast.")
    (folder / "__init__.py").write_text('"""Rules."""\n')
    (folder / "shared.py").write_text("RULE = None\nRULES = 1\n")
    monkeypatch.setattr(catalogue, "FOLDER", folder)
    return folder
