"""The live page for the screenshots: trainings of `examples/digits_mlp.py`, recorded and served as a user does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch
from torch import nn

import unstuck
from examples import digits_mlp
from unstuck.cli.runs import judged

RUNS = (("rate 0.005", 0.005, 12), ("rate 0.05", 0.05, 12), ("rate 3", 3.0, 7))
BATCH = 32
PAUSE = 0.7
"""Seconds between the epochs of the run that is left open: a record is written once a second, while steps are taken."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Record the runs, the last one left open, and serve them.

    Args:
        folder: Empty; the records go there.

    Yields:
        The address of the page.
    """
    images, labels = digits_mlp.split(None, 0.0)[0]
    with ExitStack() as still_open:
        for place, (name, rate, epochs) in enumerate(RUNS, 1):
            for record in folder.glob("*.unstuck"):
                judged(str(record)).save(folder / "report.json")
            torch.manual_seed(0)
            model = digits_mlp.perceptron()
            optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
            settings = {"rate": rate, "momentum": 0.9, "batch": BATCH}
            with ExitStack() as closed:
                kept = still_open if place == len(RUNS) else closed
                recording = kept.enter_context(
                    unstuck.watch(model, optimizer, folder=folder, name=name, share=0, settings=settings)
                )
                for _ in range(epochs):
                    time.sleep(PAUSE if place == len(RUNS) else 0.0)
                    for part in recording.over(torch.randperm(len(images)).split(BATCH)):
                        optimizer.zero_grad()
                        loss = nn.functional.cross_entropy(model(images[part]), labels[part])
                        loss.backward()
                        optimizer.step()
                        recording.log(loss=loss)
        command = [sys.executable, "-m", "unstuck", "serve", str(folder), "--port", "0"]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            try:
                yield next(line.strip() for line in process.stdout if "http" in line)
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(20)
