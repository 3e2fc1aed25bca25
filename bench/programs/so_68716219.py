"""StackOverflow 68716219: text classes, good in training and far worse in validation.

Embedding and bidirectional LSTM, squared error on one-hot labels, Adam at 0.00005. Answers: cross-entropy,
twice the rate, and a smaller model. Here: 120 generated texts of 12 words out of 1000, four classes each with
words of its own among many common ones; the rate is scaled to 25 epochs. The smaller model is the mean of
small embeddings under dropout and weight decay.
"""

import torch
from torch import Tensor, nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, generator, one_hot_targets
from unstuck import Setup


class Reader(nn.Module):
    """Word embeddings, read in order by an LSTM or just averaged."""

    def __init__(self, words: int, width: int, recurrent: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.lstm = nn.LSTM(width, 32, batch_first=True, bidirectional=True) if recurrent else None
        self.drop = nn.Dropout(0.0 if recurrent else 0.5)
        self.last = nn.Linear(64 if recurrent else width, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        words = self.drop(self.embed(tokens))
        text = words.mean(1) if self.lstm is None else self.lstm(words)[0][:, -1]
        scores: Tensor = self.last(text)
        return scores


def splits(repaired: Repaired) -> Splits:
    random = generator(161)
    labels = torch.randint(4, (620,), generator=random)
    common = torch.randint(20, 1000, (620, 12), generator=random)
    telling = 5 * labels.unsqueeze(1) + torch.randint(5, (620, 12), generator=random)
    texts = torch.where(torch.rand(620, 12, generator=random) < 0.15, telling, common)
    rows = divided(texts, labels, 120)
    return rows if "SET005" in repaired else one_hot_targets(rows, 4)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    small = "GEN001" in repaired
    return Setup.of(
        model=lambda: Reader(1000, 16, recurrent=False) if small else Reader(1000, 64, recurrent=True),
        loss=nn.CrossEntropyLoss() if "SET005" in repaired else nn.MSELoss(),
        optimizer=lambda parameters: optim.AdamW(parameters, lr=0.01, weight_decay=1.0 if small else 0.0),
        train=train,
        validation=heldout,
        epochs=25,
        batch_size=16,
    )


PROGRAM = Program(
    id="SO-68716219",
    source="StackOverflow 68716219",
    build=build,
    splits=splits,
    task="classes",
    causes=("SET005", "GEN001"),
    full_facts=False,
)
