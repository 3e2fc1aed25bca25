"""What curvature costs, side by side with PyHessian and plain double backward: `python -m bench.curvature`.

The contenders take turns within each round, on one thread, and their processor time is taken, so that other work on the
machine does not count; medians over the rounds.
PyHessian is needed for the comparison only: pip install --no-deps pyhessian.
"""

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: one thread a process

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn import functional as F

from bench.bases.nets import Transformer
from bench.page import COST, put, rows
from unstuck import Setup
from unstuck.loop import fit
from unstuck.measure.curvature import Surface, extreme_eigenpairs, surface_of
from unstuck.measure.curvature.training import MEMORY_IN_STEPS

COMMAND = "python -m bench.curvature"
HEADS = (
    *("network", "ours, s", "PyHessian, s", "double backward, s", "ours / PyHessian", "error, ours"),
    *("error, PyHessian", "product, gradients", "memory, steps"),
)

OF_PYHESSIAN = 0.65
"""Time for the largest eigenvalue, median of the three networks, as a multiple of PyHessian's."""

PRODUCT = {"MLP": 1.7, "CNN": 1.7, "transformer": 2.1}
"""Time for a product, in gradients."""

BATCH = 256
TOLERANCE = 0.01


@dataclass(frozen=True)
class Contest:
    """One network, trained for a while, a batch of its data, and the memory that its graphs may take."""

    name: str
    setup: Setup
    model: nn.Module
    batch: Any
    memory: float


def digits() -> tuple[Tensor, Tensor]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images / 16.0, dtype=torch.float32), torch.tensor(labels)


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(512, 10),
    )


def words() -> tuple[Tensor, Tensor]:
    """Sixteen random words of 32; the class is which of eight kinds there are most of."""
    draws = torch.Generator().manual_seed(0)
    texts = torch.randint(32, (1024, 16), generator=draws)
    return texts, F.one_hot(texts // 4, 8).sum(dim=1).argmax(dim=1)


def contest(name: str) -> Contest:
    images, labels = digits()
    torch.manual_seed(0)
    data: dict[str, tuple[Callable[[], nn.Module], tuple[Tensor, Tensor]]] = {
        "MLP": (perceptron, (images, labels)),
        "CNN": (convolutional, (images.unflatten(1, (1, 8, 8)), labels)),
        "transformer": (lambda: Transformer(32, 16, 64, 8), words()),
    }
    model, samples = data[name]
    setup = Setup.of(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=lambda parameters: torch.optim.Adam(parameters, 1e-3),
        train=samples,
        batch_size=BATCH,
        epochs=30,
    )
    run = fit(setup, validate=False)
    found = Contest(name, setup, run.model, setup.train.head(BATCH)[0], 0.0)
    return replace(found, memory=MEMORY_IN_STEPS * step_peak(found))


def surface(contest: Contest) -> Surface:
    """The loss, its graphs within three training steps' memory."""
    return surface_of(contest.setup, contest.model, [contest.batch], memory=contest.memory)


def ours(contest: Contest) -> float:
    """The largest eigenvalue, its residual at most 1 %."""
    of = surface(contest)
    found = extreme_eigenpairs(of.product, of.likely_start(torch.seed()), ends=(False, True), tolerance=TOLERANCE)
    assert found.converged[1], "the residual must come down to 1 %"
    return found.largest.value


def of_pyhessian(contest: Contest) -> float:
    """PyHessian's power iteration, with its own default tolerance of 1e-3."""
    from pyhessian import hessian  # type: ignore[import-not-found]
    from torch.nn.attention import SDPBackend, sdpa_kernel

    inputs, targets = contest.batch
    with sdpa_kernel(SDPBackend.MATH):
        found = hessian(contest.model, nn.CrossEntropyLoss(), data=(inputs, targets), cuda=False)
        value = float(found.eigenvalues(tol=1e-3)[0][0])
    for parameter in contest.model.parameters():
        parameter.grad = None
    contest.model.train()
    return value


def plain(contest: Contest) -> float:
    """Lanczos on products that compute the gradient's graph anew each time."""
    of = surface(contest)
    of.memory = 0.0
    start = torch.randn(of.size)
    return extreme_eigenpairs(of.product, start, ends=(False, True), tolerance=TOLERANCE).largest.value


def gradient(contest: Contest) -> None:
    """One ordinary gradient."""
    inputs, targets = contest.batch
    F.cross_entropy(contest.model(inputs), targets).backward()
    for parameter in contest.model.parameters():
        parameter.grad = None


def seconds(task: Callable[[], object]) -> float:
    start = time.process_time()
    task()
    return time.process_time() - start


def peak(task: Callable[[], object]) -> int:
    """Highest memory in bytes that tensors made inside take together."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        task()
    assert profile.profiler is not None and profile.profiler.kineto_results is not None
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    level = highest = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        level += event.nbytes()
        highest = max(highest, level)
    return highest


def step_peak(contest: Contest) -> int:
    """That of one training step, the gradients in its `grad` included."""

    def step() -> None:
        inputs, targets = contest.batch
        F.cross_entropy(contest.model(inputs), targets).backward()

    found = peak(step)
    for parameter in contest.model.parameters():
        parameter.grad = None
    return found


def product_peak(contest: Contest) -> int:
    """That of two products, the graph kept."""

    def task() -> None:
        of = surface(contest)
        vector = torch.randn(of.size)
        of.product(vector)
        of.product(vector)

    return peak(task)


@dataclass(frozen=True)
class Result:
    """Medians of one network."""

    name: str
    ours: float
    pyhessian: float
    plain: float
    ratio: float
    off: tuple[float, float]
    product: float
    memory: float


def race(contest: Contest, rounds: int, with_pyhessian: bool) -> Result:
    """Let the contenders take turns."""
    contenders: dict[str, Callable[[Contest], float]] = {"ours": ours, "plain": plain}
    if with_pyhessian:
        contenders["pyhessian"] = of_pyhessian
    times: dict[str, list[float]] = {name: [] for name in (*contenders, "gradient", "product")}
    values: dict[str, list[float]] = {name: [] for name in contenders}
    of = surface(contest)
    vector = torch.randn(of.size)
    of.product(vector)
    for number in range(rounds + 1):
        torch.manual_seed(number)
        for name, contender in contenders.items():
            begun = time.process_time()
            values[name].append(contender(contest))
            times[name].append(time.process_time() - begun)
        of.product(vector)
        for _ in range(5):
            times["gradient"].append(seconds(lambda: gradient(contest)))
            times["product"].append(seconds(lambda: of.product(vector)))
    true = extreme_eigenpairs(of.product, vector, ends=(False, True), tolerance=1e-4, most=400).largest.value
    middle = {name: statistics.median(found[1:]) for name, found in times.items()}  # the first round warms up

    def off(name: str) -> float:
        return max((abs(value / true - 1.0) for value in values.get(name, [])), default=math.nan)

    ratios = [a / b for a, b in zip(times["ours"][1:], times.get("pyhessian", [])[1:], strict=False)]
    return Result(
        contest.name,
        middle["ours"],
        middle.get("pyhessian", math.nan),
        middle["plain"],
        statistics.median(ratios) if ratios else math.nan,
        (off("ours"), off("pyhessian")),
        middle["product"] / middle["gradient"],
        product_peak(contest) / step_peak(contest),
    )


def cells(r: Result) -> tuple[str, ...]:
    """A row of the table."""
    numbers = (f"{r.ours:.3f}", f"{r.pyhessian:.3f}", f"{r.plain:.3f}", f"{r.ratio:.2f}")
    return (r.name, *numbers, f"{r.off[0]:.2%}", f"{r.off[1]:.2%}", f"{r.product:.2f}", f"{r.memory:.2f}")


def show(results: list[Result], console: Console) -> bool:
    """Print the table; whether every promise was kept."""
    table = Table(title="Largest eigenvalue of the Hessian: medians, one thread")
    for head in HEADS:
        table.add_column(head, justify="left" if head == "network" else "right")
    for result in results:
        table.add_row(*cells(result))
    console.print(table)
    ratio = statistics.median(r.ratio for r in results)
    kept = {
        f"ours / PyHessian, median {ratio:.2f}, at most {OF_PYHESSIAN}": not ratio > OF_PYHESSIAN,
        "products": all(r.product <= PRODUCT[r.name] for r in results),
        "memory": all(r.memory <= MEMORY_IN_STEPS for r in results),
    }
    for promise, holds in kept.items():
        console.print(f"{'kept' if holds else 'NOT KEPT'}: {promise}")
    return all(kept.values())


def main() -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="times that every contender runs (default: 9)")
    parser.add_argument("--write", action="store_true", help=f"put the table into {COST.name}")
    options = parser.parse_args()
    console = Console(width=140)
    torch.set_num_threads(1)
    try:
        import pyhessian  # noqa: F401

        there = True
    except ImportError:
        there = False
        console.print("PyHessian is not installed, so nothing is compared with it; pip install pyhessian adds it.")
    results = [race(contest(name), options.rounds, there) for name in ("MLP", "CNN", "transformer")]
    if options.write:
        put(COST, COMMAND, rows(HEADS, map(cells, results)))
    raise SystemExit(0 if show(results, console) else 1)


if __name__ == "__main__":
    main()
