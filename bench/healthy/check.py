"""Are the bases and the healthy set-ups healthy? `python -m bench.healthy --check [NAME …]` says so.

Held-out figures are on the validation split (or the test split, where it is the only one), means over seeds.
Seconds are those of the processor, on one thread.
`const` is the loss of the best constant output, `refer` the metric of the best of three scikit-learn models.
`gain` is by how much of the span from `const` to the loss reached the held-out loss would still fall, and by
which change: keeping the best epoch, three times the epochs, other rates, weight decay.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier
from torch import Tensor

import unstuck
from bench.bases import BASES, GENERALISATION
from bench.healthy import HEALTHY
from unstuck import Setup
from unstuck.errors import ExaminationError
from unstuck.loop.evaluate import evaluate, predict, score_of
from unstuck.measure.structured_constant import best_constants
from unstuck.setup import Batch, Data
from unstuck.setup.batch import concatenate

SEEDS = (0, 1)
ALL = 1_000_000

CHANGES: dict[str, Callable[[Setup], Setup]] = {
    "epochs×3": lambda setup: replace(setup, epochs=3 * setup.epochs),
    "rate×3": lambda setup: replace(setup, optimizer=setup.optimizer.with_rate_times(3.0)),
    "rate÷3": lambda setup: replace(setup, optimizer=setup.optimizer.with_rate_times(1 / 3)),
    "rate×10": lambda setup: replace(setup, optimizer=setup.optimizer.with_rate_times(10.0)),
    "decay": lambda setup: replace(setup, optimizer=setup.optimizer.with_setting("weight_decay", 1e-2)),
}


@dataclass(frozen=True)
class Outcome:
    """What a set-up reached."""

    seconds: float
    first: float
    train: float
    held_out: float
    test: float
    train_metric: float
    metric: float
    test_metric: float
    best_epoch: float


def held_out(setup: Setup) -> Data:
    data = setup.validation or setup.test
    assert data is not None  # every set-up here has one of the two
    return data


def metric(outputs: Tensor, targets: Tensor) -> float:
    """Accuracy for class labels, their probabilities, and zeros and ones; R² for other numbers."""
    if targets.is_floating_point() and targets.dim() == 2 and torch.allclose(targets.sum(1), torch.ones(())):
        if targets.shape[1] > 1:
            targets = targets.argmax(1)
    if not targets.is_floating_point():
        return float((outputs.argmax(-1) == targets).float().mean())
    if targets.dim() == 1:
        targets = targets.reshape(-1, *outputs.shape[1:])
    if outputs.shape != targets.shape:
        outputs = outputs[:, : targets.shape[1]]
    if set(targets.unique().tolist()) <= {0.0, 1.0}:
        threshold = 0.5 if 0 <= outputs.min() and outputs.max() <= 1 else 0.0
        return float(((outputs > threshold) == (targets > 0.5)).float().mean())
    return float(1 - (outputs - targets).square().mean() / (targets - targets.mean(0)).square().mean())


def outcome(setup: Setup, seeds: tuple[int, ...] = SEEDS) -> Outcome:
    """Means over seeds."""
    rows = []
    for seed in seeds:
        start = time.process_time()
        run = unstuck.fit(setup, seed=seed)
        seconds = time.process_time() - start
        splits = [setup.train, held_out(setup), setup.test or held_out(setup)]
        losses = [evaluate(setup, run.model, split, ALL).loss for split in splits]
        metrics = []
        for split in splits:
            batches = split.head(ALL)
            outputs = predict(setup, run.model, batches)
            is_plain = isinstance(outputs[0], Tensor)
            whole = concatenate(batches)
            metrics.append(metric(torch.cat(outputs), setup.targets(whole)) if is_plain else float("nan"))
        best = min(run.validation_losses, default=losses[1])
        rows.append([seconds, run.losses[0], *losses, *metrics, best])
    return Outcome(*np.mean(rows, axis=0).tolist())


def constant(setup: Setup) -> float:
    """Held-out loss of the constant output that is best on the training split."""
    assert setup.loss is not None  # every set-up here has a loss
    run = unstuck.fit(setup, steps=1, validate=False)
    batch, other = (concatenate(data.head(ALL)) for data in (setup.train, held_out(setup)))
    predicted = predict(setup, run.model, setup.train.head(ALL))
    if not isinstance(predicted[0], Tensor):
        batches = held_out(setup).head(ALL)
        return score_of(setup, list(map(best_constants(setup).outputs, batches)), batches).loss
    outputs = torch.cat(predicted)
    low, high = (0.0, 1.0) if outputs.min() >= 0 and outputs.max() <= 1 else (-np.inf, np.inf)
    sums_to_one = low == 0.0 and torch.allclose(outputs.sum(-1), torch.ones(()), atol=1e-4)
    value = outputs.mean(0).clone().requires_grad_()
    targets = setup.targets(batch)
    scale = max(1.0, float(targets.float().abs().mean()))
    optimizer = torch.optim.Adam([value], lr=0.05 * min(scale, 20.0))

    def loss_on(labels: Tensor) -> Tensor:
        assert setup.loss is not None
        output = value.clamp(low, high)
        output = output / output.sum() if sums_to_one else output
        return setup.loss(output.expand(len(labels), *value.shape), labels)

    for _ in range(400):
        optimizer.zero_grad()
        loss_on(targets).backward()
        optimizer.step()
    return float(loss_on(setup.targets(other)))


def table(setup: Setup, batch: Batch) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Inputs as one matrix, words one-hot, and targets."""
    inputs = batch[:-1]
    parts = [part if part.is_floating_point() else torch.nn.functional.one_hot(part, 50) for part in inputs]
    return torch.cat([part.flatten(1).float() for part in parts], dim=1).numpy(), batch[-1].squeeze().numpy()


def references(targets: Tensor) -> Iterator[Any]:
    """Scikit-learn models for the task."""
    one_column = targets.squeeze().dim() == 1
    if not targets.is_floating_point() or set(targets.unique().tolist()) <= {0.0, 1.0}:
        linear = LogisticRegression(max_iter=500)
        yield linear if one_column else MultiOutputClassifier(linear)
        yield ExtraTreesClassifier(100, random_state=0)
        if one_column:
            yield HistGradientBoostingClassifier(max_iter=50, random_state=0)
    else:
        yield Ridge()
        yield ExtraTreesRegressor(100, random_state=0)
        if one_column:
            yield HistGradientBoostingRegressor(max_iter=50, random_state=0)


def reference(setup: Setup) -> float:
    """The best metric of the references on the held-out split; NaN for an autoencoder and for several targets."""
    batch = concatenate(setup.train.head(ALL))
    if not isinstance(batch[-1], Tensor) or batch[0].shape == batch[-1].shape and torch.equal(batch[0], batch[-1]):
        return float("nan")
    train, other = (table(setup, concatenate(data.head(ALL))) for data in (setup.train, held_out(setup)))
    targets = setup.targets(batch)
    best = -np.inf
    for model in references(targets):
        predicted = model.fit(*train).predict(other[0])
        if targets.is_floating_point() and not set(np.unique(train[1])) <= {0.0, 1.0}:
            score = 1 - np.mean((predicted - other[1]) ** 2) / np.mean((other[1] - other[1].mean(0)) ** 2)
        else:
            score = np.mean(predicted == other[1])
        best = max(best, float(score))
    return best


def line(name: str, setup: Setup, compare: bool) -> str:
    """One line of the table."""
    reached, floor = outcome(setup), constant(setup)
    text = (
        f"{name:28} {reached.seconds:5.2f} {reached.first:8.3f} {reached.train:8.4f} {reached.held_out:8.4f} "
        f"{reached.test:8.4f} {floor:8.4f} | {reached.train_metric:6.3f} {reached.metric:6.3f} "
        f"{reached.test_metric:6.3f} {reference(setup):6.3f}"
    )
    if not compare:
        return text
    span = floor - reached.held_out
    gains = {"best epoch": (reached.held_out - reached.best_epoch) / span}
    for change, apply in CHANGES.items():
        try:
            gains[change] = (reached.held_out - outcome(apply(setup)).held_out) / span
        except ExaminationError:  # a schedule that is made for its number of steps
            gains[change] = -np.inf
    best = max(gains, key=lambda change: gains[change])
    return f"{text} | gain {gains[best]:6.1%} {best}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.healthy", description=__doc__)
    parser.add_argument("--check", nargs="*", metavar="NAME", required=True, help="only these; all if none")
    parser.add_argument("--quick", action="store_true", help="leave out the changes that might gain")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(
        f"{'set-up':28} {'s':>5} {'first':>8} {'train':>8} {'held out':>8} {'test':>8} {'const':>8} | "
        f"{'train':>6} {'held':>6} {'test':>6} {'refer':>6}"
    )
    for named in (*BASES, *GENERALISATION, *HEALTHY):
        if not arguments.check or named.name in arguments.check:
            print(line(named.name, named.setup(), not arguments.quick), flush=True)
