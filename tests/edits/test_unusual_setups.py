"""Users' own steps, loaders that are read as they go, and inputs in structures."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset

import unstuck
from tests.edits import patients
from tests.edits.test_every_edit import EDITS
from unstuck.edits.passes import checked
from unstuck.edits.structure import read_structure
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup

WORKING = (
    "standardise-inputs",
    "remove",
    "insert",
    "sigmoid",
    "sound",
    "drawn",
    "wider",
    "narrower",
    "norm",
    "dropout",
)


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield from zip(patients.vectors(), patients.labels(), strict=True)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> Tensor:
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(batch["x"]), batch["kind"])
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss


def streamed() -> Setup:
    return Setup.of(
        model=patients.perceptron,
        loss=nn.CrossEntropyLoss(),
        optimizer=patients.adam,
        train=DataLoader(Stream(), batch_size=16),
        epochs=1,
    )


def own_step() -> Setup:
    """Only the user's step knows how to run the model: the batches have no targets that could be told."""
    return Setup.of(
        model=patients.perceptron,
        loss=None,
        optimizer=patients.adam,
        train={"x": patients.vectors(), "kind": patients.labels()},
        epochs=1,
        train_step=step,
    )


@pytest.mark.parametrize("edit", [*WORKING, "scale-inputs", "spread"])
def test_a_stream_can_be_edited(edit: str) -> None:
    assert len(unstuck.fit(EDITS[edit](streamed())).losses) == 4


@pytest.mark.parametrize("edit", [name for name in WORKING if name != "sound"])
def test_a_users_own_step_can_be_edited(edit: str) -> None:
    assert len(unstuck.fit(EDITS[edit](own_step())).losses) == 2


@pytest.mark.parametrize("edit", ["standardise-targets", "scale-inputs", "spread", "scale-targets", "append", "sound"])
def test_what_the_users_own_step_hides_is_refused(edit: str) -> None:
    with pytest.raises(RemedyError, match=r"\w+ \w+"):
        EDITS[edit](own_step())


def test_a_forward_that_leaves_torch_is_read_all_the_same() -> None:
    class Leaving(patients.Functional):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(torch.from_numpy(inputs.numpy() * 2))

    setup = patients.classes_setup(Leaving, patients.vectors())
    assert [layer.name for layer in read_structure(setup).layers] == ["encoder", "middle", "head"]
    assert read_structure(EDITS["remove"](setup)).affine_pairs[0] == ("encoder", "middle")


def test_an_edit_that_does_not_run_is_refused() -> None:
    setup = patients.plain()
    wrong = Edit("model", "as given", "without its head", lambda model: model[:-1])  # type: ignore[index]
    with pytest.raises(RemedyError, match=r"so it goes: its outputs would have shapes \[\(8, 8\)\]"):
        checked(setup, setup.with_edit(wrong), "so it goes")
    broken = Edit("model", "as given", "shorter", lambda model: model[1:3])  # type: ignore[index]
    with pytest.raises(RemedyError, match="so it goes: mat1"):
        checked(setup, setup.with_edit(broken), "so it goes")
