"""What watching costs, side by side with `wandb.watch` and naive hooks: `python -m bench.watching`.

The loops take turns, each a block of steps on the same batches, in an order drawn anew each round; what a loop costs is
told from the differences to the plain one within a round, so that other work on the machine falls on all alike. All of
them train one and the same network: two networks that are alike differ by several percent by where their weights happen
to lie in the caches, which is more than what is to be measured. `plain again` shows what is left of chance. Whatever
watching does from its first step on counts, but for loading. Processor time decides, wall time is beside.
`wandb` and `torchmortem` are needed for the comparison only: install them in an environment of its own; without them
their rows are left out. They have networks of their own, since they cannot be switched off for a while.
"""

import argparse
import gc
import os
import random
import statistics
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: one thread a process
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from bench.page import COST, put
from unstuck.watching import FindingWarning, Recording, watch
from unstuck.watching.cadence import SHARE
from unstuck.watching.layers import layers_of

KEPT = {"MALLOC_TRIM_THRESHOLD_": "4000000000", "MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TOP_PAD_": "64000000"}
"""Memory that is freed stays with the process. Whether it does by itself is luck: a network whose gradients happen to
lie at the end of the heap faults in a thousand pages at every step, which costs more than watching."""

BLOCK = 0.05
"""Seconds of plain steps in a block: so short that other work on the machine falls on neighbours alike."""

STATISTICS = 7
"""Series that a record keeps of each layer."""

WARM_UP = 10
PLAIN, DEFAULT = "plain", "unstuck.watch, default"
AT_THAT_CADENCE = "at the cadence of the default"
COMMAND = "python -m bench.watching"


class Attending(nn.Module):
    """A small transformer for classes of token sequences."""

    def __init__(self, width: int = 128, layers: int = 4) -> None:
        super().__init__()
        self.embed = nn.Embedding(256, width)
        block = nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, batch_first=True)
        self.blocks = nn.TransformerEncoder(block, layers, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        outputs: Tensor = self.head(self.blocks(self.embed(tokens)).mean(1))
        return outputs


def perceptron() -> nn.Module:
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )  # fmt: skip


def convolutional() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4096, 10),
    )  # fmt: skip


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "MLP 784-512-512-10, batch 128": (perceptron, lambda: torch.randn(128, 784)),
    "CNN 32×32, batch 64": (convolutional, lambda: torch.randn(64, 3, 32, 32)),
    "transformer, 4 layers, batch 16×64": (Attending, lambda: torch.randint(256, (16, 64))),
}


class Contender:
    """A training loop, one step at a time."""

    def __init__(self, make: Callable[[], nn.Module], shared: "Contender | None" = None) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = make() if shared is None else shared.model
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.Adam(self.model.parameters(), 1e-3) if shared is None else shared.optimizer
        )
        self.criterion = nn.CrossEntropyLoss()
        self.steps = 0

    def wake(self) -> None:
        """Take the turn."""

    def rest(self) -> None:
        """Give the turn to another loop, with the network as it was found."""

    @property
    def is_under_way(self) -> bool:
        """Whether another step must follow before the turn can be given away."""
        return False

    def block(self, batches: list[tuple[Tensor, Tensor]]) -> tuple[int, float, float]:
        """Steps of one turn, and what they took: processor and wall seconds."""
        self.wake()
        before = self.steps
        processor, wall = time.thread_time(), time.perf_counter()
        for inputs, targets in batches:
            self.step(inputs, targets)
        while self.is_under_way:
            self.step(*batches[0])
        processor, wall = time.thread_time() - processor, time.perf_counter() - wall
        self.rest()
        return self.steps - before, processor, wall

    def step(self, batch: Tensor, targets: Tensor) -> None:
        self.optimizer.zero_grad()
        loss = self.criterion(self.model(batch), targets)
        loss.backward()
        self.optimizer.step()
        self.steps += 1

    def close(self) -> None:
        """End what was begun."""


class Watched(Contender):
    """`unstuck.watch`, by its own cadence or at every step."""

    def __init__(
        self, make: Callable[[], nn.Module], folder: Path, share: float, shared: Contender | None = None
    ) -> None:
        super().__init__(make, shared)
        begun = time.thread_time()
        self.recording: Recording = watch(
            self.model, self.optimizer, loss=self.criterion, folder=folder, share=share
        )  # fmt: skip
        self.loading = time.thread_time() - begun
        self.recording.start()
        self.rested = time.monotonic(), self.recording._clock()

    def wake(self) -> None:
        """Put the hooks in place again; the recording knows nothing of the pause."""
        recording = self.recording
        recording._handles[0].remove()
        recording._handles[0] = self.optimizer.register_step_post_hook(recording._after_step)
        if recording._cadence.every_step or not self.steps:
            recording._open()
        if recording._writer is not None:
            recording._writer._flushed += time.monotonic() - self.rested[0]
        recording._last += recording._clock() - self.rested[1]

    def rest(self) -> None:
        """Take them away."""
        self.recording._handles[0].remove()
        self.recording._close()
        self.rested = time.monotonic(), self.recording._clock()

    @property
    def is_under_way(self) -> bool:
        """A step that is to be looked at comes next."""
        return self.recording._sampler.is_open and not self.recording._cadence.every_step

    @property
    def samples(self) -> int:
        """Steps that were looked at."""
        return self.recording._cadence.samples

    def close(self) -> None:
        self.wake()
        self.recording.finish()


class Naive(Contender):
    """Hooks that read mean, deviation and share of zeros of each output and gradient as they come."""

    def __init__(self, make: Callable[[], nn.Module], every: int, shared: Contender | None = None) -> None:
        super().__init__(make, shared)
        self.every = every
        self.seen: list[float] = []

    def step(self, batch: Tensor, targets: Tensor) -> None:
        if self.steps % self.every:
            super().step(batch, targets)
            return

        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor):
                self.see(output)

        handles = [module.register_forward_hook(hook) for module in self.model.modules() if not list(module.children())]
        before = [parameter.detach().clone() for parameter in self.model.parameters()]
        super().step(batch, targets)
        for handle in handles:
            handle.remove()
        for parameter, old in zip(self.model.parameters(), before, strict=True):
            if parameter.grad is not None:
                self.see(parameter.grad)
            self.see(parameter.detach() - old)
        self.seen.clear()

    def see(self, tensor: Tensor) -> None:
        tensor = tensor.detach().float()
        self.seen += [tensor.mean().item(), tensor.std().item(), (tensor == 0).float().mean().item()]


class Wandb(Contender):
    """`wandb.watch`, gradients only, offline."""

    def __init__(self, make: Callable[[], nn.Module], folder: Path, every: int) -> None:
        super().__init__(make)
        import wandb  # type: ignore[import-not-found, unused-ignore]

        self.run = wandb.init(project="bench", dir=str(folder), mode="offline")
        self.run.watch(self.model, log="gradients", log_freq=every)

    def step(self, batch: Tensor, targets: Tensor) -> None:
        super().step(batch, targets)
        self.run.log({"step": self.steps})

    def close(self) -> None:
        self.run.finish()


class Autopsied(Contender):
    """torchmortem, whose collectors hook the model."""

    def __init__(self, make: Callable[[], nn.Module], every: int) -> None:
        super().__init__(make)
        from torchmortem import (  # type: ignore[import-not-found, unused-ignore]
            Autopsy,
            SamplingConfig,
        )

        sampling = SamplingConfig(default_interval=every, expensive_interval=max(every, 50))
        self.autopsy = Autopsy(self.model, self.optimizer, sampling)
        self.autopsy.attach()

    def step(self, batch: Tensor, targets: Tensor) -> None:
        self.optimizer.zero_grad()
        loss = self.criterion(self.model(batch), targets)
        loss.backward()
        self.optimizer.step()
        self.autopsy.step(loss=loss.item())
        self.steps += 1

    def close(self) -> None:
        for collector in self.autopsy._collectors:  # without the analysis that `detach` makes
            collector.detach()
        self.autopsy._attached = False


def rivals(make: Callable[[], nn.Module], folder: Path, cadence: int, shared: Contender) -> dict[str, Contender]:
    """Those that can be imported, at the cadence of the default and at every step."""
    found: dict[str, Contender] = {}
    for every, words in ((cadence, AT_THAT_CADENCE), (1, "every step")):
        found[f"naive hooks, {words}"] = Naive(make, every, shared)
        if find_spec("wandb") is not None:
            found[f"wandb.watch offline, {words}"] = Wandb(make, folder, every)
        if find_spec("torchmortem") is not None:
            found[f"torchmortem, {words}"] = Autopsied(make, every)
    return found


@dataclass(frozen=True)
class Raced:
    """What one contender cost on one network.

    Attributes:
        share: Processor time over that of the plain loop, less one.
        low: Lower end of its 95 % interval (bootstrap over the rounds).
        high: Upper end.
        wall: The same share of the wall time; other work on the machine is in it.
    """

    share: float
    low: float
    high: float
    wall: float


def raced(
    make: Callable[[], nn.Module], batch: Callable[[], Tensor], seconds: float, with_rivals: bool
) -> tuple[dict[str, Raced], dict[str, float]]:
    """Overhead of each contender over the plain loop; and what the race was like."""
    draws = random.Random(0)
    torch.manual_seed(1)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        plain = Contender(make)
        pilot = _batches(batch, WARM_UP)
        plain.block(pilot)
        count, processor, _ = plain.block(pilot)
        length = max(1, round(BLOCK * count / processor))
        watched = Watched(make, place, SHARE, plain)
        loops: dict[str, Contender] = {
            PLAIN: plain,
            "plain again": Contender(make, plain),
            DEFAULT: watched,
            "unstuck.watch, every step": Watched(make, place, 0.0, plain),
        }
        for loop in loops.values():
            loop.rest()
        others: dict[str, Contender] = {}
        gc.collect()
        gc.freeze()
        rounds: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in loops}
        begun = time.thread_time()
        turn = 0
        while (spent := time.thread_time() - begun) < seconds:
            if with_rivals and not others and spent > 0.3 * seconds:  # by now the default has found its cadence
                others = rivals(make, place, max(1, watched.steps // watched.samples), plain)
                rounds.update({name: [] for name in others})
                for loop in others.values():
                    loop.block(pilot)
            batches = _batches(batch, length)
            names = [*loops]
            if others:  # one of them in each round: they cost most, and their figures need less care
                names.append([*others][turn % len(others)])
            turn += 1
            draws.shuffle(names)
            took = {name: (loops | others)[name].block(batches) for name in names}
            usual, processor, wall = took[PLAIN]
            for name in names:
                steps, *own = took[name]
                rounds[name].append((own[0] / steps, own[1] / steps, processor / usual, wall / usual))
        gc.unfreeze()
        for loop in (*loops.values(), *others.values()):
            loop.close()
    usual_step = statistics.median(row[2] for row in rounds[PLAIN])
    facts = {
        "steps": float(watched.steps), "ms": 1e3 * usual_step, "samples": float(watched.samples),
        "each": watched.steps / max(1, watched.samples), "loading": watched.loading,
        "counted": watched.recording.overhead,
    }  # fmt: skip
    return {name: _compared(rows) for name, rows in rounds.items() if name != PLAIN}, facts


def _batches(batch: Callable[[], Tensor], count: int) -> list[tuple[Tensor, Tensor]]:
    made = [batch() for _ in range(count)]
    return [(inputs, torch.randint(10, (len(inputs),))) for inputs in made]


def _compared(rows: list[tuple[float, float, float, float]]) -> Raced:
    table = np.asarray(rows)  # seconds a step
    shares = []
    for own, plain in ((table[:, 0], table[:, 2]), (table[:, 1], table[:, 3])):
        usual = np.median(plain)
        # Means, for what is rare counts; but a block that is off by several is the machine, not the contender.
        most = 3.0 * max(usual, float(np.median(own)) - usual)
        shares.append(np.clip(own - plain, -most, most) / usual)
    picks = np.random.default_rng(0).integers(len(table), size=(2000, len(table)))
    low, high = np.quantile(shares[0][picks].mean(1), (0.025, 0.975))
    return Raced(float(shares[0].mean()), float(low), float(high), float(shares[1].mean()))


def added_memory(make: Callable[[], nn.Module], batch: Callable[[], Tensor]) -> tuple[int, int, int, int]:
    """Bytes at the peak of a training, plain and added by watching at every step: tensors; Python's objects; and the
    statistics that are kept."""
    with tempfile.TemporaryDirectory() as folder:
        plain = partial(Contender, make)
        watched = partial(Watched, make, Path(folder), 0.0)
        inputs = batch()
        first, second = _peak(plain, inputs), _peak(watched, inputs)
        objects = _objects(watched, inputs) - _objects(plain, inputs)
    layers = len(layers_of(make()).names)
    return first, second - first, objects, STATISTICS * layers


def _peak(begin: Callable[[], Contender], inputs: Tensor) -> int:
    """Of a training from its very beginning: what is freed within a profile must have been made within it."""
    targets = torch.zeros(len(inputs), dtype=torch.long)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        contender = begin()
        for _ in range(4):
            contender.step(inputs, targets)
        contender.close()
    assert profiled.profiler is not None and profiled.profiler.kineto_results is not None
    changes = [
        (event.start_ns(), event.nbytes())
        for event in profiled.profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]
    held = peak = 0
    for _, change in sorted(changes, key=lambda change: change[0]):
        held += change
        peak = max(peak, held)
    return peak


def _objects(begin: Callable[[], Contender], inputs: Tensor) -> int:
    targets = torch.zeros(len(inputs), dtype=torch.long)
    contender = begin()
    for _ in range(4):
        contender.step(inputs, targets)
    tracemalloc.start()
    for _ in range(20):
        contender.step(inputs, targets)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    contender.close()
    return peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=90.0, help="of the processor, for each network (default: 90)")
    parser.add_argument("--only", default="", help="networks whose names contain this")
    parser.add_argument("--no-rivals", action="store_true", help="leave the others out")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {COST.name}")
    options = parser.parse_args()
    if not KEPT.items() <= os.environ.items():
        os.execve(sys.executable, [sys.executable, "-m", "bench.watching", *sys.argv[1:]], {**os.environ, **KEPT})
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", FindingWarning)  # of random labels nothing can be learnt
    table: dict[str, dict[str, Raced]] = {}
    facts: dict[str, dict[str, float]] = {}
    memory: list[str] = []
    for name, (make, batch) in NETWORKS.items():
        if options.only not in name:
            continue
        found, facts[name] = raced(make, batch, options.seconds, not options.no_rivals)
        print(name, {key: round(value, 3) for key, value in facts[name].items()}, flush=True)
        for contender, value in found.items():
            table.setdefault(contender, {})[name] = value
            print(f"  {contender}: {value.share:.2%} ({value.low:.2%} to {value.high:.2%}), wall {value.wall:.2%}",
                  flush=True)  # fmt: skip
        plain, tensors, objects, kept = added_memory(make, batch)
        allowed = plain // 100 + 200 * kept
        memory.append(
            f"| {name} | {plain / 1e6:.2f} MB | {tensors / 1e3:.1f} kB | {objects / 1e3:.1f} kB "
            f"| {allowed / 1e3:.1f} kB |"
        )
        print(memory[-1], flush=True)
    if options.write:
        put(COST, COMMAND, written(table, facts, memory))


def written(table: dict[str, dict[str, Raced]], facts: dict[str, dict[str, float]], memory: list[str]) -> list[str]:
    """The tables."""
    names = list(facts)
    lines = [
        f"torch {torch.__version__}, {os.cpu_count()} cores:",
        "",
        f"| overhead over the plain loop | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for contender, row in table.items():
        lines.append(f"| {contender} | {' | '.join(_cell(row[name]) for name in names)} |")
    lines += [
        f"| steps of each | {' | '.join(str(int(facts[name]['steps'])) for name in names)} |",
        f"| a plain step, ms | {' | '.join(format(facts[name]['ms'], '.1f') for name in names)} |",
        f"| the default looked at every so-many-th step | {' | '.join(format(facts[name]['each'], '.0f') for name in names)} |",  # noqa: E501
        f"| what the default itself counted | {' | '.join(format(facts[name]['counted'], '.1%') for name in names)} |",
        f"| loading, once, s | {' | '.join(format(facts[name]['loading'], '.2f') for name in names)} |",
        "",
        "| memory at the peak | plain | added at every step, tensors | Python's objects | allowed: 1 % + 200 bytes each statistic |",  # noqa: E501
        "|---|---|---|---|---|",
        *memory,
    ]
    return lines


def _cell(value: Raced) -> str:
    return f"{value.share:.1%} ({value.low:.1%} to {value.high:.1%}) [{value.wall:.1%}]"


if __name__ == "__main__":
    main()
