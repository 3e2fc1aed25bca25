"""Is `unstuck.watch` silent while a healthy run warms up, and how soon does it speak on a sick one?

`python -m bench.alarms`.
The first steps of the healthy set-ups (bench/bases and bench/healthy) are trained under `watch` in a loop of their own,
every step looked at, so that it is judged as often as ever. Then the same bases with a fault: the rate a hundred times
as high, a NaN in a weight, units that are dead, gradients that are never cleared.
"""

import argparse
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: one thread a process

import torch
from torch import nn
from torch.optim import Optimizer

from bench.bases import BASES
from bench.healthy import HEALTHY
from unstuck import Setup
from unstuck.loop.stages import compute_loss, take_step
from unstuck.recording import Notice
from unstuck.setup.randomness import isolated
from unstuck.watching import FindingWarning, watch

STEPS = 400
"""Of each run: three looks at its curves, and what they must agree on."""

NAN_AT = 50


@dataclass(frozen=True)
class Ran:
    """A run under `watch`: the steps it took, and what was said."""

    steps: int
    findings: tuple[Notice, ...]


def ran(setup: Setup, spoil: Callable[[nn.Module, int], None] | None = None, clears: bool = True) -> Ran:
    """Train the first steps of a set-up under `watch`.

    Args:
        setup: What to train.
        spoil: Done to the model before each step, which it is given the number of.
        clears: Whether gradients are cleared; else the usual step is taken without.
    """
    with tempfile.TemporaryDirectory() as folder, isolated(setup.seed), warnings.catch_warnings():
        warnings.simplefilter("ignore", FindingWarning)
        own, model, optimizer = setup.fresh()
        model.train()
        scheduler = own.scheduler(optimizer) if own.scheduler is not None else None
        generator = torch.Generator().manual_seed(own.seed)
        with watch(model, optimizer, folder=folder, share=0.0) as recording:
            for _ in range(own.epochs):
                for batch in own.train.batches(generator):
                    if recording.step >= STEPS:
                        return Ran(recording.step, tuple(recording.findings))
                    if spoil is not None:
                        spoil(model, recording.step)
                    loss = _step(own, model, optimizer, own.placed(batch), clears)
                    recording.log(loss=loss)
                    if scheduler is not None and own.schedule_every == "step":
                        scheduler.step()
                if scheduler is not None and own.schedule_every == "epoch":
                    scheduler.step()
        return Ran(recording.step, tuple(recording.findings))


def _step(setup: Setup, model: nn.Module, optimizer: Optimizer, batch: object, clears: bool) -> torch.Tensor:
    if clears:
        return take_step(setup, model, optimizer, batch)
    loss = compute_loss(setup, setup.outputs(model, batch), batch)
    loss.backward()
    optimizer.step()
    return loss.detach()


def _with_nan(model: nn.Module, step: int) -> None:
    if step == NAN_AT:
        with torch.no_grad():
            next(model.parameters()).view(-1)[0] = torch.nan


def _dead(model: nn.Module, step: int) -> None:
    """Biases so low that no unit is ever on."""
    if step == 0:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith("bias") and parameter is not [*model.parameters()][-1]:
                    parameter.fill_(-100.0)


def sick(setup: Setup) -> Iterator[tuple[str, Callable[[], Ran]]]:
    """The faults, each with its run."""
    high = replace(setup, optimizer=setup.optimizer.with_rate_times(100.0))
    yield "rate × 100", lambda: ran(high)
    yield "NaN in a weight", lambda: ran(setup, _with_nan)
    yield "dead units", lambda: ran(setup, _dead)
    yield "gradients never cleared", lambda: ran(setup, clears=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="set-ups whose names contain this")
    parser.add_argument("--every", type=int, default=1, help="every so-many-th set-up (default: 1)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [(each.name, each.setup) for each in (*BASES, *HEALTHY) if options.only in each.name][:: options.every]
    false = 0
    for name, make in chosen:
        found = ran(make())
        false += bool(found.findings)
        print(f"{name}: {found.steps} steps, {_said(found)}", flush=True)
    print(f"false alarms: {false} of {len(chosen)} healthy set-ups", flush=True)
    for base in [each for each in BASES if options.only in each.name][:: 4 * options.every]:
        for fault, run in sick(base.setup()):
            print(f"{base.name}, {fault}: {_said(run())}", flush=True)


def _said(found: Ran) -> str:
    return ", ".join(f"{each.code} at step {each.step}" for each in found.findings) or "nothing"


if __name__ == "__main__":
    main()
