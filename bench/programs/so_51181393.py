"""StackOverflow 51181393 (also in DeepFD): a regression on 200 raw rows hardly moves.

Mean squared error, RMSprop at 0.001, batches of 32. Accepted: RMSprop at 0.1. The network is not in the
copies kept; here a single linear layer, one feature from 0 to 10, a line through it with noise.
"""

from torch import nn, optim
from torch.utils.data import TensorDataset

from bench.programs import Program, Repaired
from bench.programs.data import Splits, divided, normal, uniform
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    inputs = uniform(0, 10, 300, 1, seed=6)
    return divided(inputs, 3 * inputs + 15 + normal(300, 1, seed=7), 200)


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    rate = 0.1 if "OPT002" in repaired else 0.001
    return Setup.of(
        model=lambda: nn.Linear(1, 1),
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.RMSprop(parameters, lr=rate),
        train=TensorDataset(*train),
        validation=TensorDataset(*heldout),
        epochs=100,
        batch_size=32,
    )


PROGRAM = Program(
    id="SO-51181393",
    source="StackOverflow 51181393",
    build=build,
    splits=splits,
    task="regression",
    causes=("OPT002",),
    full_facts=False,
)
