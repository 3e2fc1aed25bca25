"""The callbacks of frameworks: each records the run that the framework makes, and changes nothing of it."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from unstuck.recording import Record, open_record, records_in

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the frameworks are not ours


def data() -> TensorDataset:
    inputs = torch.randn(48, 6, generator=torch.Generator().manual_seed(0))
    return TensorDataset(inputs, inputs[:, :3].argmax(1))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def only(folder: Path) -> Record:
    (info,), broken = records_in(folder)
    assert broken == () and info.status == "finished"
    return open_record(info.path)


def check(folder: Path, steps: int, epochs: int, layer: str, validated: bool = True) -> list[float]:
    with only(folder) as record:
        losses = record.series("loss")
        assert losses.steps.tolist() == list(range(steps)) and losses.bad.sum() == 0
        assert record.series("gradient_norm", layer).values.min() > 0
        assert len(record.epochs()) == epochs
        if validated:
            assert all("validation_loss" in epoch.measured for epoch in record.epochs())
        found: list[float] = losses.values.tolist()
    return found


@pytest.mark.slow
def test_lightning(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning.pytorch")
    from unstuck.integrations.lightning import Watch

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.net = network()
            self.losses: list[float] = []

        def training_step(self, batch: Any, number: int) -> Tensor:
            loss = nn.functional.cross_entropy(self.net(batch[0]), batch[1])
            self.losses.append(loss.item())
            return loss

        def validation_step(self, batch: Any, number: int) -> None:
            self.log("val_loss", nn.functional.cross_entropy(self.net(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), 0.1)

    results = []
    for callbacks in ([], [Watch(folder=tmp_path, findings=False)]):
        module = Module()
        trainer = lightning.Trainer(
            max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False, accelerator="cpu",
            enable_model_summary=False, callbacks=callbacks,
        )  # fmt: skip
        trainer.fit(module, DataLoader(data(), 8), DataLoader(data(), 16))
        results.append(module.losses)
    assert results[0] == results[1] == check(tmp_path, 12, 2, "net.0")


@pytest.mark.slow
def test_the_trainer_of_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from unstuck.integrations.huggingface import Watch

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
            outputs = self.net(inputs)
            return {"loss": nn.functional.cross_entropy(outputs, labels), "logits": outputs}

    rows = [{"inputs": inputs, "labels": label} for inputs, label in data()]
    weights = []
    for callbacks in ([], [Watch(folder=tmp_path, findings=False)]):
        arguments = transformers.TrainingArguments(
            str(tmp_path / "out"), num_train_epochs=2, per_device_train_batch_size=8, report_to=[], use_cpu=True,
            eval_strategy="epoch", save_strategy="no", disable_tqdm=True, seed=0, remove_unused_columns=False,
            logging_strategy="no",
        )  # fmt: skip
        model = Model()
        trainer = transformers.Trainer(model, arguments, train_dataset=rows, eval_dataset=rows, callbacks=callbacks)
        trainer.train()
        weights.append([each.clone() for each in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*weights, strict=True))
    check(tmp_path, 12, 2, "net.0", validated=False)
    with only(tmp_path) as record:
        assert len(record.series("validation_loss")) == 2


def test_skorch(tmp_path: Path) -> None:
    skorch = pytest.importorskip("skorch")
    from unstuck.integrations.skorch import Watch

    inputs, targets = data().tensors
    results = []
    for callbacks in ([], [Watch(folder=tmp_path, findings=False)]):
        torch.manual_seed(0)
        net = skorch.NeuralNetClassifier(
            network(), criterion=nn.CrossEntropyLoss, max_epochs=2, lr=0.1, batch_size=8, verbose=0,
            train_split=skorch.dataset.ValidSplit(3), callbacks=callbacks,
        )  # fmt: skip
        net.fit(inputs.numpy(), targets.numpy())
        results.append(net.history[:, "train_loss"])
    assert results[0] == results[1]
    check(tmp_path, 8, 2, "0")


def test_accelerate(tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate")
    from unstuck.integrations.accelerate import watch

    accelerator = accelerate.Accelerator(cpu=True)
    model = network()
    prepared = accelerator.prepare(model, torch.optim.SGD(model.parameters(), 0.1), DataLoader(data(), 8))
    model, optimizer, loader = prepared
    criterion = nn.CrossEntropyLoss()
    losses = []
    with watch(model, optimizer, folder=tmp_path, findings=False) as recording:
        for inputs, targets in recording.over(loader):
            optimizer.zero_grad()
            loss = criterion(model(inputs), targets)
            accelerator.backward(loss)
            optimizer.step()
            losses.append(loss.item())
    assert check(tmp_path, 6, 1, "0", validated=False) == losses


KERAS = """
import sys
import keras, torch
from unstuck.integrations.keras import Watch
inputs = torch.randn(48, 6, generator=torch.Generator().manual_seed(0))
targets = inputs[:, :3].argmax(1)
results = []
for watched in (False, True):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((6,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    callbacks = [Watch(folder=sys.argv[1], findings=False)] if watched else []
    model.fit(inputs, targets, batch_size=8, epochs=2, verbose=0, validation_split=1 / 3, callbacks=callbacks)
    results.append([torch.as_tensor(value) for value in model.get_weights()])
assert all(torch.equal(a, b) for a, b in zip(*results))
"""


@pytest.mark.slow
def test_keras(tmp_path: Path) -> None:
    pytest.importorskip("keras")
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    subprocess.run([sys.executable, "-W", "ignore", "-c", KERAS, str(tmp_path)], check=True, env=environment)
    with only(tmp_path) as record:
        assert record.series("rate").steps.tolist() == list(range(8))
        layers = [layer.name for layer in record.layers()]
        assert len(layers) == 2 and record.series("gradient_norm", layers[0]).values.min() > 0
        assert len(record.epochs()) == 2
        assert all({"validation_loss", "training_loss"} <= set(epoch.measured) for epoch in record.epochs())
    warnings.resetwarnings()
