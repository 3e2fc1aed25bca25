"""GitHub sktime issue 10931 (merged in 10932): a forecaster that learns from the wrong signal, with a warning only.

A network that ends in `Linear(., 1)` against targets of shape `[N]`, Adam, batches of 6. Mended by squeezing the
prediction. Here: a convolution over windows of 12 out of a generated series, 32 units, at 0.001.
"""

from torch import nn, optim

from bench.programs import Program, Repaired
from bench.programs.data import Splits, flat_targets, on_inputs, wandering, windows
from unstuck import Setup


def splits(repaired: Repaired) -> Splits:
    series = wandering(600, seed=631)
    rows = on_inputs(Splits(windows(series[:250], 12), windows(series[250:], 12)), lambda x: x.transpose(1, 2))
    return rows if "SET001" in repaired else flat_targets(rows)


def network() -> nn.Module:
    return nn.Sequential(nn.Conv1d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(80, 32), nn.ReLU(), nn.Linear(32, 1))


def build(repaired: Repaired) -> Setup:
    train, heldout = splits(repaired)
    return Setup.of(
        model=network,
        loss=nn.MSELoss(),
        optimizer=lambda parameters: optim.Adam(parameters, lr=0.001),
        train=train,
        validation=heldout,
        epochs=20,
        batch_size=6,
    )


PROGRAM = Program(
    id="GH-sktime-10931",
    source="GitHub sktime #10931",
    build=build,
    splits=splits,
    task="regression",
    causes=("SET001",),
    full_facts=False,
)
