"""StackOverflow 57397440: breast cancer, the accuracy is the base rate of 0.63.

30-30-60-1 with ReLU, batch-norm and a softmax over the single output, binary cross-entropy, Adam at 0.001,
batches of 32, 6 epochs, scikit-learn's own data as they are. Answers: a sigmoid, and scaled inputs.
"""

from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

from bench.programs import Program, Repaired
from bench.programs.data import Splits, breast_cancer, standardised
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    return standardised(breast_cancer()) if "DAT001" in repaired else breast_cancer()


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=lambda: nn.Sequential(
            nn.Linear(30, 30),
            nn.ReLU(),
            nn.BatchNorm1d(30),
            nn.Linear(30, 60),
            nn.ReLU(),
            nn.BatchNorm1d(60),
            nn.Linear(60, 1),
            nn.Sigmoid() if "SET004" in repaired else nn.Softmax(dim=1),
        ),
        loss=nn.BCELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=DataLoader(TensorDataset(*train), batch_size=32, shuffle=True),
        validation=DataLoader(TensorDataset(*heldout), batch_size=169),
        epochs=6,
    )


PROGRAM = Program(
    id="SO-57397440",
    source="StackOverflow 57397440",
    build=build,
    splits=splits,
    task="binary",
    causes=("SET004", "DAT001"),
)
