"""What a batch counts as samples, and what can be joined."""

from __future__ import annotations

import pytest
import torch

from unstuck.setup.batch import Batch, concatenate, length

WORDS, TEXTS = 20, 4
RAGGED = (torch.arange(WORDS), torch.tensor([0, 5, 9, 12])), torch.zeros(TEXTS)


@pytest.mark.parametrize(
    ("batch", "samples"),
    [
        (torch.zeros(3, 2), 3),
        ((torch.zeros(3, 2), torch.zeros(3)), 3),
        ({"inputs": torch.zeros(3, 2), "scale": torch.tensor(1.0)}, 3),
        ((torch.zeros(7, 3), torch.zeros(3)), 7),  # nothing tells which of two it is
        (RAGGED, TEXTS),
        (torch.tensor(1.0), 0),
        ("text", 0),
    ],
)
def test_samples_are_what_most_tensors_count(batch: Batch, samples: int) -> None:
    assert length(batch) == samples


def test_batches_are_joined_sample_by_sample() -> None:
    pair = concatenate([{"x": torch.zeros(3, 2), "y": [torch.zeros(3)]}, {"x": torch.ones(2, 2), "y": [torch.ones(2)]}])
    assert pair["x"].shape == (5, 2) and pair["y"][0].tolist() == [0, 0, 0, 1, 1]


def test_texts_laid_end_to_end_are_not_joined() -> None:
    """Where each text begins would count from the beginning of its own batch."""
    with pytest.raises(ValueError, match="differ in their first dimension"):
        concatenate([RAGGED, RAGGED])
