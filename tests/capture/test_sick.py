"""Scripts with a mistake each: the diagnosis of an unchanged script names it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from bench.script_faults import FAULTS, Fault
from tests.capture.forked import alone_with_losses, observed, without_times

FRAMEWORKS = {"accelerate_digits": "accelerate", "hf_trainer": "transformers", "lightning_classifier": "lightning"}
UNNAMED = ("autoencoder: the encoder frozen",)
"""Mistakes that are harmful and not named yet."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda each: each.name)
def test_a_mistake_fits_its_script(fault: Fault) -> None:
    compile(fault.source(), fault.script, "exec")


@pytest.mark.slow
@pytest.mark.parametrize("fault", [each for each in FAULTS if each.name not in UNNAMED], ids=lambda each: each.name)
def test_a_mistake_is_named_and_the_script_prints_the_same(fault: Fault, tmp_path: Path) -> None:
    if fault.script in FRAMEWORKS and importlib.util.find_spec(FRAMEWORKS[fault.script]) is None:
        pytest.skip(f"{FRAMEWORKS[fault.script]} is not installed")
    torch.set_num_threads(1)
    script = tmp_path / f"{fault.script}.py"
    script.write_text(fault.source())
    told = observed(script, budget=60.0)
    assert told.missing == ()
    printed, losses = alone_with_losses(script)
    assert without_times(told.output) == without_times(printed)
    assert told.losses == losses
    assert told.cause in fault.codes, told.sentence


def test_an_optimizer_that_holds_none_of_the_model_neither_clears_nor_uses_its_gradients(tmp_path: Path) -> None:
    fault = next(each for each in FAULTS if each.codes == ("SET007",))
    script = tmp_path / "train.py"
    script.write_text(fault.source())
    told = observed(script, steps=5)
    assert told.missing == () and "train_step" not in told.parts


def test_windows_of_one_series_are_no_rows_of_a_sample(tmp_path: Path) -> None:
    """In tiny_gpt a window is as long as the batch is large."""
    told = observed(Path(__file__).parents[1] / "scripts" / "tiny_gpt.py", steps=5)
    assert told.parts["train"].startswith("80 samples")
    assert told.parts["loss"] == "cross_entropy"
    assert "the loss inside the model is cross_entropy, told by its value" in told.notes


def test_rows_that_follow_each_other_are_in_order(tmp_path: Path) -> None:
    healthy = (Path(__file__).parents[1] / "scripts" / "minibatch_permutation.py").read_text()
    script = tmp_path / "train.py"
    script.write_text(healthy.replace("torch.randperm(X.size(0))", "torch.arange(X.size(0))"))
    assert observed(script, steps=5).parts["train"] == "178 samples, in order, batches of 16"


def test_a_data_set_made_anew_for_every_epoch_is_one(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import torch\nfrom torch.utils.data import DataLoader, TensorDataset\ntorch.manual_seed(0)\n"
        "x = torch.randn(32, 4)\nmodel = torch.nn.Linear(4, 1)\n"
        "optimizer = torch.optim.SGD(model.parameters(), 0.1)\n"
        "for epoch in range(5):\n"
        "    for a, b in DataLoader(TensorDataset(x, x[:, :1]), 8, shuffle=True):\n"
        "        optimizer.zero_grad()\n        torch.nn.functional.mse_loss(model(a), b).backward()\n"
        "        optimizer.step()\n"
    )
    told = observed(script)
    assert told.missing == () and told.epochs == 5


def test_targets_that_a_network_gives_are_refused_with_the_line_that_gives_them() -> None:
    told = observed(Path(__file__).parents[1] / "scripts" / "dqn.py", steps=5)
    assert len(told.missing) == 1 and "without gradients at dqn.py:57" in told.missing[0]
