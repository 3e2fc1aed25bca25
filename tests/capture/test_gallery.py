"""The gallery of scripts: recovered as they are written, and printing the same under observation."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from tests.capture.forked import alone_with_losses, observed, without_times

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"

# Script → what must be recovered of it; each is what a reader of the script would say.
RECOVERED = {
    "accelerate_digits": {"loss": "CrossEntropyLoss()", "scheduler": "StepLR, stepped every step"},
    "accumulation": {"train_step": "gradients of 4 batches are added up", "loss": "CrossEntropyLoss()"},
    "autoencoder": {"loss": "MSELoss()", "train": "1,797 samples, shuffled, batches of 64"},
    "char_rnn": {"loss": "view, CrossEntropyLoss"},
    "compiled": {"model": "Sequential, 4,810 trainable parameters", "loss": "CrossEntropyLoss()"},
    "contrastive": {"loss": "normalize, T, matmul, div …", "train": "1,797 samples, shuffled, batches of 100"},
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
FRAMEWORKS = {
    "accelerate_digits": "accelerate",
    "hf_trainer": "transformers",
    "keras_digits": "keras",
    "lightning_classifier": "lightning",
}
QUICK = ("minibatch_permutation", "pairs", "one_cycle", "mixed_precision")


def skip_without_its_framework(name: str) -> None:
    if name in FRAMEWORKS and importlib.util.find_spec(FRAMEWORKS[name]) is None:
        pytest.skip(f"{FRAMEWORKS[name]} is not installed")


def check(name: str) -> None:
    skip_without_its_framework(name)
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
@pytest.mark.parametrize("name", sorted(path.stem for path in SCRIPTS.glob("*.py")))
def test_a_script_trains_and_prints_the_same_under_observation(name: str) -> None:
    skip_without_its_framework(name)
    path = SCRIPTS / f"{name}.py"
    told = observed(path)
    printed, losses = alone_with_losses(path)
    assert told.status == 0
    assert without_times(told.output) == without_times(printed)
    assert losses and told.losses == losses


def test_only_times_are_left_out_of_what_is_compared() -> None:
    """As Hugging Face's Trainer prints them."""
    one, other = (
        f"{{'train_runtime': '{time}', 'train_samples_per_second': {rate}, 'train_loss': '{loss}'}}\n0.5"
        for time, rate, loss in (("0.61", 2072, 0.2), ("1.5e1", 816.3, 0.2))
    )
    assert one != other and without_times(one) == without_times(other)
    assert without_times(one) != without_times(one.replace("'0.2'", "'0.3'"))
    assert without_times(one) != without_times(one.replace("\n0.5", "\n0.6"))


LOOP = """
import torch
from torch import nn
torch.manual_seed(0)
x, y = torch.randn(40, 3), torch.randn(40)
{parts}
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for a, b, t in torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x + 1, y), batch_size=8):
    {loss}
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
CONTRASTIVE = """
class Contrastive(nn.Module):
    def forward(self, one, other, label):
        apart = ((one - other) ** 2).sum(1)
        return (label.abs() * apart + torch.relu(1.0 - apart)).mean()
class Twin(nn.Sequential):
    def forward(self, one, other):
        return super().forward(one), super().forward(other)
model, criterion = Twin(nn.Linear(3, 4)), Contrastive()
"""
MIXTURE = """
from torch import distributions
class Mixture(nn.Linear):
    def forward(self, x):
        mean, weight = super().forward(x).chunk(2, 1)
        parts = distributions.Normal(mean, 1.0 + mean ** 2)
        return distributions.MixtureSameFamily(distributions.Categorical(logits=weight), parts)
model = Mixture(3, 4)
"""


@pytest.mark.parametrize(
    ("parts", "loss", "told_loss"),
    [
        (CONTRASTIVE, "one, other = model(a, b); loss = criterion(one, other, t)", "Contrastive"),
        (CONTRASTIVE, "one, other = model(a, b); loss = criterion(one, a @ torch.ones(3, 4), t)", "Contrastive"),
        (MIXTURE, "loss = -model(a).log_prob(t).mean()", "pow, log, sub"),
    ],
    ids=["loss of two outputs", "loss of two targets", "output that is a distribution"],
)
def test_losses_of_several_parts_are_recovered(tmp_path: Path, parts: str, loss: str, told_loss: str) -> None:
    (tmp_path / "train.py").write_text(LOOP.format(parts=parts, loss=loss))
    told = observed(tmp_path / "train.py", steps=3)
    assert told.missing == ()
    assert any("the first loss was computed again" in note for note in told.notes)
    assert told_loss in told.parts["loss"]


EQUATION = """
import torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(1, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
x = torch.linspace(0, 1, 20).view(-1, 1).requires_grad_(True)
force, edge = torch.sin(3 * x).detach(), torch.zeros(1, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(5):
    optimizer.zero_grad()
    u = model(x)
    slope = torch.autograd.grad(u, x, torch.ones_like(u), create_graph=True)[0]
    loss = ((slope - force) ** 2).mean() + (model(edge) ** 2).mean()
    loss.backward()
    optimizer.step()
"""


def test_a_loss_of_derivatives_by_the_inputs_can_be_trained_again(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(EQUATION)
    told = observed(tmp_path / "train.py", budget=4.0)
    assert told.missing == ()
    assert any("the first loss was computed again" in note for note in told.notes)
    assert told.sentence and "must run" not in told.sentence  # which is what an error of the loss says


GRAPH = """
import torch
from torch import nn
torch.manual_seed(0)
features, graph, labels = torch.randn(30, 4), torch.rand(30, 30).softmax(1), torch.arange(30) % 3
labelled = torch.arange(12)
class Convolution(nn.Linear):
    def forward(self, x, graph):
        return graph @ super().forward(x)
model = Convolution(4, 3)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for epoch in range(20):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(features, graph)[labelled], labels[labelled]).backward()
    optimizer.step()
"""


def test_a_graph_of_which_some_nodes_have_labels_is_one_batch(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(GRAPH)
    told = observed(tmp_path / "train.py", steps=5)
    assert told.missing == ()
    assert any("the first loss was computed again" in note for note in told.notes)
    assert told.parts["train"].startswith("one batch of 30 in every step")


def test_a_data_set_that_cannot_be_asked_for_its_size_stops_no_script(tmp_path: Path) -> None:
    """As Keras makes one anew for every epoch."""
    script = tmp_path / "train.py"
    script.write_text(
        "import torch\ntorch.manual_seed(0)\n"
        "class Rows(torch.utils.data.Dataset):\n"
        "    def __len__(self):\n        raise TypeError('no len()')\n"
        "    def __getitem__(self, i):\n        return torch.tensor([float(i)]), torch.tensor([2.0 * i])\n"
        "model = torch.nn.Linear(1, 1)\noptimizer = torch.optim.SGD(model.parameters(), 0.01)\n"
        "for epoch in range(3):\n"
        "    for x, y in torch.utils.data.DataLoader(Rows(), 2, sampler=[0, 1, 2, 3]):\n"
        "        optimizer.zero_grad()\n        loss = (model(x) - y).square().mean()\n        loss.backward()\n"
        "        optimizer.step()\n    print(loss.item())\n"
    )
    told = observed(script)
    assert told.status == 0
    assert (told.output, told.losses) == alone_with_losses(script)


def test_what_fails_in_looking_on_is_noted_and_stops_no_script(tmp_path: Path) -> None:
    """An optimizer of the user's own whose rate is no number."""
    script = tmp_path / "train.py"
    script.write_text(
        "import torch\ntorch.manual_seed(0)\n"
        "class Own(torch.optim.Optimizer):\n"
        "    def __init__(self, parameters):\n        super().__init__(parameters, {'lr': None})\n"
        "    @torch.no_grad()\n"
        "    def step(self):\n"
        "        for each in self.param_groups[0]['params']:\n            each -= 0.1 * each.grad\n"
        "model = torch.nn.Linear(2, 1)\noptimizer = Own(model.parameters())\nx = torch.randn(8, 2)\n"
        "for _ in range(5):\n"
        "    optimizer.zero_grad()\n    loss = (model(x) - x[:, :1]).square().mean()\n    loss.backward()\n"
        "    optimizer.step()\n    print(loss.item())\n"
    )
    told = observed(script)
    assert told.status == 0 and any("could not be looked at" in note for note in told.notes)
    assert (told.output, told.losses) == alone_with_losses(script)
