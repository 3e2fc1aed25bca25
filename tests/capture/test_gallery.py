"""The gallery of scripts: recovered as they are written, and printing the same under observation."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from tests.capture.forked import alone, observed

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"

# Script → what must be recovered of it; each is what a reader of the script would say.
RECOVERED = {
    "accelerate_digits": {"loss": "CrossEntropyLoss()", "scheduler": "StepLR, stepped every step"},
    "accumulation": {"train_step": "gradients of 4 batches are added up", "loss": "CrossEntropyLoss()"},
    "autoencoder": {"loss": "MSELoss()", "train": "1,797 samples, shuffled, batches of 64"},
    "char_rnn": {"loss": "view, CrossEntropyLoss"},
    "compiled": {"model": "Sequential, 4,810 trainable parameters", "loss": "CrossEntropyLoss()"},
    "digits_cnn": {"optimizer": "SGD(lr=0.05, momentum=0.9)", "train": "1,500 samples, shuffled, batches of 50"},
    "digits_mlp": {"loss": "nll_loss", "optimizer": "Adadelta(lr=1)"},
    "hf_trainer": {"train": "320 samples, shuffled, batches of 16"},
    "lbfgs": {"optimizer": "LBFGS(lr=0.8)", "train": "200 samples, in order, batches of 200"},
    "lightning_classifier": {"train": "1,400 samples, shuffled, batches of 64", "validation": "397 samples"},
    "logistic": {"loss": "BCELoss()", "train": "455 samples, shuffled, batches of 32"},
    "lstm_series": {"loss": "MSELoss()", "train": "500 samples, shuffled, batches of 32"},
    "minibatch_permutation": {"loss": "cross_entropy", "train": "178 samples, shuffled, batches of 16"},
    "mixed_precision": {"loss": "CrossEntropyLoss", "train_step": "gradients are clipped at norm 1"},
    "multitask": {"train": "1,797 samples, shuffled, batches of 64"},
    "one_cycle": {"loss": "BCEWithLogitsLoss()", "scheduler": "OneCycleLR, stepped every step"},
    "pairs": {"model": "Siamese, 6,273 trainable parameters", "loss": "binary_cross_entropy_with_logits"},
    "polynomial": {"loss": "smooth_l1_loss"},
    "regression_notebook": {"loss": "MSELoss()", "train": "353 samples, in order, batches of 353"},
    "text_bag": {"loss": "CrossEntropyLoss()", "train": "800 samples, shuffled, batches of 16"},
    "tiny_gpt": {"model": "GPT, 27,804 trainable parameters"},
    "transfer": {"model": "Pretrained, 2,570 trainable parameters", "loss": "CrossEntropyLoss()"},
    "vae": {"train": "1,797 samples, shuffled, batches of 64"},
    "workers": {"train": "1,797 samples, shuffled, batches of 128"},
}
FRAMEWORKS = {"accelerate_digits": "accelerate", "hf_trainer": "transformers", "lightning_classifier": "lightning"}
QUICK = ("minibatch_permutation", "pairs", "one_cycle", "mixed_precision")


def check(name: str) -> None:
    if name in FRAMEWORKS and importlib.util.find_spec(FRAMEWORKS[name]) is None:
        pytest.skip(f"{FRAMEWORKS[name]} is not installed")
    torch.set_num_threads(1)
    told = observed(SCRIPTS / f"{name}.py", steps=5)
    assert told.missing == ()
    assert any("the first loss was computed again" in note for note in told.notes)
    for part, what in RECOVERED[name].items():
        assert told.parts[part] == what


@pytest.mark.parametrize("name", QUICK)
def test_what_a_script_trains_is_recovered(name: str) -> None:
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(RECOVERED) - set(QUICK)))
def test_what_every_script_trains_is_recovered(name: str) -> None:
    check(name)


def test_several_optimizers_are_reported_and_not_examined() -> None:
    told = observed(SCRIPTS / "gan.py", steps=5)
    assert {"optimizer optimizerD", "optimizer optimizerG"} <= set(told.parts)
    assert "2 optimizers take turns" in told.missing[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(RECOVERED) - {"hf_trainer", "lightning_classifier", "accelerate_digits"}))
def test_a_script_prints_the_same_under_observation(name: str) -> None:
    path = SCRIPTS / f"{name}.py"
    told = observed(path)
    assert told.status == 0
    assert told.output == alone(path)
