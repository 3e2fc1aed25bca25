"""`unstuck run`: scripts as they are, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
ALONE = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


def python(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, env=ALONE, cwd=cwd, timeout=300)


def observed(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return python("-m", "unstuck", "run", "--observe-only", *words, cwd=cwd)


def test_a_script_prints_the_same_to_the_last_bit() -> None:
    script = str(SCRIPTS / "digits_mlp.py")
    alone, watched = python(script, "--epochs", "2"), observed(script, "--epochs", "2")
    assert alone.returncode == 0 and "Loss: 2.3" in alone.stdout
    assert (watched.returncode, watched.stdout) == (alone.returncode, alone.stdout)
    assert "note: the first loss was computed again: 2.30334, as in the script" in watched.stderr
    assert "without --observe-only, the set-up is examined" in watched.stderr
    assert "listed below" not in watched.stderr  # nothing is: no report follows
    for part in (
        "model      Net, 4,810 trainable parameters",
        "optimizer  Adadelta(lr=1)",
        "loss       nll_loss  (digits_mlp.py:35)",
        "train      1,400 samples, shuffled, batches of 64",
        "test       397 samples",
        "scheduler  StepLR, stepped every epoch",
    ):
        assert part in watched.stderr


def write(folder: Path, text: str) -> str:
    (folder / "train.py").write_text(text)
    return str(folder / "train.py")


@pytest.mark.parametrize(
    ("end", "status"),
    [("", 0), ("sys.exit(3)", 3), ("sys.exit('bad data')", 1), ("raise ValueError('mine')", 1), ("1 +", 1)],
)
def test_a_script_ends_as_it_would_alone(tmp_path: Path, end: str, status: int) -> None:
    script = write(tmp_path, f"import sys\nprint(__name__, sys.argv[1:], __file__)\n{end}\n")
    alone, watched = python(script, "--lr", "1"), observed(script, "--lr", "1")
    assert alone.returncode == watched.returncode == status
    assert alone.stdout == watched.stdout
    assert watched.stderr.startswith(alone.stderr.rstrip("\n"))
    if status != 1 or "ValueError" in end:
        assert "not recovered: no optimizer of torch took a step" in watched.stderr


def test_what_cannot_be_rebuilt_is_judged_by_its_curves(tmp_path: Path) -> None:
    told = python("-m", "unstuck", "run", "--plain", str(SCRIPTS / "gan.py"))
    assert "2 optimizers take turns" in told.stderr
    assert "optimizerG: loss 0.60" in told.stderr and "over 100 steps" in told.stderr
    assert "Suspected" not in told.stderr
    script = write(
        tmp_path,
        "import torch\nw = torch.zeros(3, requires_grad=True)\n"
        "for step in range(20):\n    w.grad = None\n    ((w - 1) ** 2).sum().backward()\n    w.data -= 2.1 * w.grad\n",
    )
    told = python("-m", "unstuck", "run", "--plain", "--report", str(tmp_path / "r.json"), script)
    assert "20 backward passes and no step of an optimizer of torch" in told.stderr
    assert '"OPT001"' in (tmp_path / "r.json").read_text()


@pytest.mark.slow
def test_a_compiled_script_is_warned_of_its_own_hooks_only(tmp_path: Path) -> None:
    script = str(SCRIPTS / "compiled.py")
    assert "global hooks" not in observed(script).stderr
    own = "from torch.nn.modules.module import register_module_forward_hook\nregister_module_forward_hook(print)\n"
    text = (SCRIPTS / "compiled.py").read_text().replace("import torch\n", f"import torch\n{own}", 1)
    assert "global hooks" in observed("--steps", "2", write(tmp_path, text)).stderr
