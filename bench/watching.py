"""What watching costs, side by side with `wandb.watch` and naive hooks: `python -m bench.watching`.

Every contender trains a copy of the same network on the same batches. They take turns step by step, in an order drawn
anew each round, on one thread; what a contender costs is told from the differences to the plain loop within a round,
so that other work on the machine falls on all alike. Processor time is taken, not wall time.
`wandb` is needed for the comparison only: pip install wandb (in an environment of its own); without it its row is left
out. The page is written to docs/watching.md.
"""

import argparse
import contextlib
import gc
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: one thread a process
os.environ.setdefault("WANDB_MODE", "offline")
os.environ.setdefault("WANDB_SILENT", "true")

import torch
from torch import Tensor, nn

from unstuck.watching import Recording, watch

LIMITS = {"default": (0.01, 0.03), "full": (0.08, 0.15)}
"""Median and worst network allowed: for every step the MLP, whose steps are the shortest, is the worst."""

CADENCE = 50
"""Steps from one look to the next of the contenders that do not choose it themselves."""

WARM_UP = 10
PAGE = Path(__file__).parent.parent / "docs" / "watching.md"


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

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        torch.manual_seed(0)
        self.model = make()
        self.optimizer = torch.optim.Adam(self.model.parameters(), 1e-3)
        self.criterion = nn.CrossEntropyLoss()
        self.steps = 0

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

    def __init__(self, make: Callable[[], nn.Module], folder: Path, share: float) -> None:
        super().__init__(make)
        self.recording: Recording = watch(self.model, self.optimizer, folder=folder, share=share)
        self.recording.start()

    def close(self) -> None:
        self.recording.finish()


class Naive(Contender):
    """Hooks that read mean, deviation and share of zeros of each output and gradient as they come."""

    def __init__(self, make: Callable[[], nn.Module], every: int) -> None:
        super().__init__(make)
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


def contenders(make: Callable[[], nn.Module], folder: Path) -> dict[str, Contender]:
    found: dict[str, Contender] = {
        "plain": Contender(make),
        "plain again": Contender(make),
        "unstuck.watch, default": Watched(make, folder, 0.01),
        "unstuck.watch, every step": Watched(make, folder, 0.0),
        f"naive hooks, every {CADENCE} steps": Naive(make, CADENCE),
        "naive hooks, every step": Naive(make, 1),
    }
    with contextlib.suppress(ImportError):
        found[f"wandb.watch offline, every {CADENCE} steps"] = Wandb(make, folder, CADENCE)
        found["wandb.watch offline, every step"] = Wandb(make, folder, 1)
    return found


def raced(make: Callable[[], nn.Module], batch: Callable[[], Tensor], seconds: float) -> Iterator[tuple[str, float]]:
    """Overhead of each contender over the plain loop, as a share."""
    draws = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        runners = contenders(make, Path(folder))
        spent: dict[str, list[float]] = {name: [] for name in runners}
        order = list(runners)
        torch.manual_seed(1)
        gc.disable()
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            inputs, targets = batch(), torch.randint(10, (128,))
            targets = targets[: len(inputs)]
            draws.shuffle(order)
            for name in order:
                begun = time.process_time()
                runners[name].step(inputs, targets)
                spent[name].append(time.process_time() - begun)
        gc.enable()
        for runner in runners.values():
            runner.close()
    plain = spent["plain"][WARM_UP:]
    usual = statistics.median(plain)
    for name, own in spent.items():
        # Means, for what is rare counts; but a difference beyond several steps is the machine, not the contender.
        extra = [min(max(a - b, -3 * usual), 3 * usual) for a, b in zip(own[WARM_UP:], plain, strict=True)]
        yield name, statistics.fmean(extra) / usual
    yield "steps", len(plain)
    yield "ms", 1e3 * usual


def added_memory(make: Callable[[], nn.Module], batch: Callable[[], Tensor]) -> tuple[int, int, int]:
    """Bytes that tensors hold at the peak of a step, plain and watched at every step; statistics that are kept."""
    peaks = []
    statistics_kept = 0
    for watched in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            contender = Watched(make, Path(folder), 0.0) if watched else Contender(make)
            inputs = batch()
            targets = torch.zeros(len(inputs), dtype=torch.long)
            for _ in range(3):
                contender.step(inputs, targets)
            with torch.profiler.profile(
                activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
            ) as profile:  # fmt: skip
                contender.step(inputs, targets)
            changes = [
                (event.start_ns(), event.nbytes())
                for event in profile.profiler.kineto_results.events()
                if event.name() == "[memory]"
            ]
            held = peak = 0
            for _, change in sorted(changes):
                held += change
                peak = max(peak, held)
            fixed = sum(each.nbytes for each in contender.model.parameters()) * 4  # weights, gradients, two moments
            peaks.append(fixed + peak)
            if isinstance(contender, Watched):
                statistics_kept = 7 * len(contender.recording._sampler.layers.names)
            contender.close()
    return peaks[0], peaks[1], statistics_kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each network (default: 60)")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table: dict[str, dict[str, float]] = {}
    memory: list[str] = []
    for name, (make, batch) in NETWORKS.items():
        for contender, value in raced(make, batch, options.seconds):
            table.setdefault(contender, {})[name] = value
        plain, watched, kept = added_memory(make, batch)
        allowed = plain // 100 + 200 * kept
        memory.append(f"| {name} | {plain / 1e6:.2f} MB | {(watched - plain) / 1e3:.1f} kB | {allowed / 1e3:.1f} kB |")
        print(name, {each: round(row[name], 4) for each, row in table.items()}, memory[-1], flush=True)
    page = written(table, memory)
    print(page)
    if options.write:
        PAGE.write_text(page, encoding="utf-8")


def written(table: dict[str, dict[str, float]], memory: list[str]) -> str:
    """The page."""
    names, plain_ms = list(NETWORKS), table["ms"]
    lines = [
        "# What watching costs",
        "",
        "Written by `python -m bench.watching --write`: do not edit. Processor time on one thread, torch "
        f"{torch.__version__}; the contenders take turns step by step, so that other work on the machine falls on all "
        "alike. `plain again` is the plain loop a second time: what chance makes.",
        "",
        f"| overhead over the plain loop | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for contender, row in table.items():
        if contender not in {"plain", "steps", "ms"}:
            lines.append(f"| {contender} | {' | '.join(f'{row[name]:.1%}' for name in names)} |")
    lines += [
        f"| steps of each | {' | '.join(str(int(table['steps'][name])) for name in names)} |",
        f"| a plain step, ms | {' | '.join(format(plain_ms[name], '.1f') for name in names)} |",
        "",
        "Allowed: by default 1 % median and 3 % worst; at every step 8 % for CNN and transformer, 15 % for the MLP.",
        "",
        "| memory at the peak of a step | plain | added at every step | allowed: 1 % + 200 bytes each statistic |",
        "|---|---|---|---|",
        *memory,
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
