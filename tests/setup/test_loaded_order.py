"""Samples that a loader reads in order, read in random order instead."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler

from unstuck import Setup
from unstuck.rules.data_not_shuffled import shuffle
from unstuck.setup.data import LoadedData
from unstuck.setup.randomness import seeded


def ragged(samples: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """A batch that cannot be taken apart by rows: texts end to end, and where each begins."""
    lengths = torch.tensor([0, *(len(text) for text, _ in samples)])
    return torch.cat([text for text, _ in samples]), lengths[:-1].cumsum(0), torch.tensor([y for _, y in samples])


def in_order(**options: object) -> Setup:
    samples = [(torch.full((1 + i % 3,), i), i // 10) for i in range(40)]
    loader = DataLoader(samples, 8, collate_fn=ragged, **options)  # type: ignore[arg-type]
    model = nn.Sequential(nn.EmbeddingBag(40, 4))
    return Setup.of(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), 0.1),
        loss=nn.CrossEntropyLoss(),
        train=loader,
        forward=lambda model, batch: model[0](batch[0], batch[1]),
    )


def one_pass(data: object, seed: int) -> list[int]:
    assert isinstance(data, LoadedData)
    generator = seeded(seed)
    return [int(batch[0][start]) for batch in data.batches(generator) for start in batch[1]]


def test_a_loader_in_order_is_shuffled_by_its_samples() -> None:
    setup = in_order()
    assert one_pass(setup.train, 0) == list(range(40)) and not setup.train.shuffled
    mixed = shuffle(setup).train
    first, other = one_pass(mixed, 0), one_pass(mixed, 1)
    assert mixed.shuffled and sorted(first) == sorted(other) == list(range(40))
    assert first != other and first == one_pass(mixed, 0) and first != list(range(40))
    assert one_pass(setup.train, 0) == list(range(40))


def test_a_part_of_it_is_shuffled_within_itself() -> None:
    train, held = in_order().train.split(0.25, 0)
    assert isinstance(train, LoadedData) and isinstance(held, LoadedData)
    mixed = train.in_random_order()
    assert sorted(one_pass(mixed, 0)) == one_pass(train, 0) != one_pass(mixed, 0)
    assert not set(one_pass(mixed, 0)) & set(one_pass(held, 0))


def test_what_draws_its_order_itself_is_left_to_it() -> None:
    setup = in_order(sampler=RandomSampler(range(40)))
    assert isinstance(setup.train, LoadedData)
    assert setup.train.shuffled and setup.train.shuffle is None
