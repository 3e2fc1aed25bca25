"""StackOverflow 61997645 (also in deepmufl): is the first of five digits odd? The accuracy stays at a half.

GRUs of 24 and 12 units with dropout 0.5 and a softmax over the single output, squared error, Adam at 0.001, batches
of 32, 20 epochs, 300 sequences of digits from 1 to 9. Answers: a sigmoid and binary cross-entropy, digits as
one-hot. Here: one-hot from the start, GRUs with tanh, batches of 10, 12 epochs at 0.005.
"""

import torch
from torch import Tensor, nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, generator
from unstuck import Setup


class Reader(nn.Module):
    def __init__(self, chance: float, last: nn.Module) -> None:
        super().__init__()
        self.first = nn.GRU(9, 24, batch_first=True)
        self.second = nn.GRU(24, 12, batch_first=True)
        self.drop = nn.Dropout(chance)
        self.head = nn.Sequential(nn.Linear(12, 1), last)

    def forward(self, sequences: Tensor) -> Tensor:
        states = self.drop(self.first(sequences)[0])
        answer: Tensor = self.head(self.drop(self.second(states)[0][:, -1]))
        return answer


def splits(repaired: Repaired) -> Splits:
    numbers = torch.randint(1, 10, (600, 5), generator=generator(531))
    return divided(nn.functional.one_hot(numbers - 1, 9).float(), (numbers[:, :1] % 2).float(), 300)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    chance = 0.1 if "CAP003" in repaired else 0.5
    last = nn.Sigmoid if "SET004" in repaired else lambda: nn.Softmax(dim=1)
    return Setup.of(
        model=lambda: Reader(chance, last()),
        loss=nn.BCELoss() if "SET005" in repaired else nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.005),
        train=train,
        validation=heldout,
        epochs=12,
        batch_size=10,
    )


PROGRAM = Program(
    id="SO-61997645",
    source="StackOverflow 61997645",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET004", "SET005", "CAP003"),
)
