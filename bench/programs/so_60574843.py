"""StackOverflow 60574843 (also in deepmufl): a regression whose predictions lie between 0 and 1.

GRUs of 512, 256 and 256 units over sequences of one step with 12 features and one sigmoid, squared error, Adam at
0.001, batches of 256, 25 epochs. Mended by a linear output. Here: a generated target around 20, a sixteenth of the
units, 600 rows, batches of 32, 15 epochs.
"""

from torch import Tensor, nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal, standardised_targets
from unstuck import Setup


class Reader(nn.Module):
    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.first = nn.GRU(12, 32, batch_first=True)
        self.others = nn.GRU(32, 16, num_layers=2, batch_first=True)
        self.head = nn.Sequential(nn.Linear(16, 1), last)

    def forward(self, sequences: Tensor) -> Tensor:
        value: Tensor = self.head(self.others(self.first(sequences)[0])[0][:, -1])
        return value


def splits(repaired: Repaired) -> Splits:
    inputs = normal(1000, 12, seed=511)
    targets = 20 + 10 * (inputs @ normal(12, 1, seed=512) / 3).tanh() + normal(1000, 1, seed=513)
    rows = divided(inputs.unsqueeze(1), targets, 600)
    return standardised_targets(rows) if "DAT002" in repaired else rows


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: Reader(nn.Identity() if "SET004" in repaired else nn.Sigmoid()),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=15,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-60574843",
    source="StackOverflow 60574843",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET004", "DAT002"),
)
