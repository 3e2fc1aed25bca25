"""GitHub pytorch/examples issue 223: the word language model is NaN at once with ReLU units.

The recurrent net of that example with `RNN_RELU`, SGD at its default rate of 20. Answers: a rate of 1 or 2,
clipping. Here: tokens of a generated text in which each mostly follows from the two before, windows of 12, 32
hidden units; the norm is clipped at 0.15.
"""

import math

import torch
from torch import Tensor, nn, optim
from torch.nn.functional import cross_entropy

from bench.programs import Program, Repaired
from bench.programs.data import Splits, generator
from bench.programs.pieces import clipped
from unstuck import Setup


class LanguageModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Embedding(12, 16)
        self.rnn = nn.RNN(16, 32, nonlinearity="relu", batch_first=True)
        self.decoder = nn.Linear(32, 12)

    def forward(self, tokens: Tensor) -> Tensor:
        scores: Tensor = self.decoder(self.rnn(self.encoder(tokens))[0])
        return scores


def next_token_loss(scores: Tensor, tokens: Tensor) -> Tensor:
    return cross_entropy(scores.flatten(0, 1), tokens.flatten())


def splits(repaired: Repaired) -> Splits:
    random = generator(211)
    text = torch.zeros(13 * 500, dtype=torch.long)
    slips = torch.rand(len(text), generator=random) < 0.1
    others = torch.randint(12, (len(text),), generator=random)
    for i in range(2, len(text)):
        text[i] = others[i] if slips[i] else (2 * text[i - 1] + text[i - 2] + 1) % 12
    windows = text.reshape(500, 13)
    now, following = windows[:, :-1], windows[:, 1:]
    return Splits((now[:350], following[:350]), (now[350:], following[350:]))


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    rate = 2.0 if "OPT001" in repaired else 20.0
    norm = 0.15 if "OPT007" in repaired else math.inf
    return Setup.of(
        model=LanguageModel,
        loss=next_token_loss,
        optimizer=lambda parameters: clipped(optim.SGD(parameters, lr=rate), norm),
        train=train,
        validation=heldout,
        epochs=30,
        batch_size=20,
    )


PROGRAM = Program(
    id="GH-examples-223",
    source="GitHub pytorch/examples #223",
    build=build,
    splits=splits,
    task="classes",
    causes=("OPT001", "OPT007"),
    full_facts=False,
)
