"""A small network of our own, fitting the kind of input, trained robustly: it uses nothing of the user's.

Its inputs are standardised, its rate suits Adam, and it is stopped early on a part of the training split
that it does not learn from. The number of steps is set by counting multiplications, not by the clock, so
that the result does not depend on how busy the machine is; the clock only guards against the worst.
"""

from __future__ import annotations

import copy
import math
from typing import Final, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from unstuck.loop.clock import WorkClock
from unstuck.measure.problem import Problem, Split
from unstuck.measure.protocol import NotMeasurable
from unstuck.measure.small_trunks import lines_up, trunk_for
from unstuck.measure.task import Kind

RATE: Final = 3e-3
"""Of Adam, on standardised inputs."""

BATCH: Final = 64
"""Samples per batch."""

PATIENCE: Final = 8
"""Epochs without a lower loss on the internal validation part before it stops."""

STEPS: Final = 800
"""Steps at most."""

MULTIPLICATIONS: Final = 2.5e9
"""Steps, and forward multiplications over all steps, at most: about a second on one slow core."""

MANY: Final = 32
"""Numbers to be told a sample, such as the pixels of an image, beyond which inputs are not pooled."""

SECONDS: Final = 4.0
"""Time of this thread's own work after which it stops in any case."""


def train_small_net(problem: Problem) -> tuple[str, nn.Module]:
    """Train the network on the training split.

    Args:
        problem: What is to be learned.

    Returns:
        The network's name, and the network in evaluation mode.

    Raises:
        NotMeasurable: If there is nothing to learn from.
    """
    clock = WorkClock()
    wanted = problem.wanted(problem.train)
    answers = problem.task.classes if problem.task.kind is Kind.CLASSES else wanted.shape[1]
    net = _Net(problem, answers)
    order = torch.randperm(len(wanted))
    kept = max(1, round(0.15 * len(wanted)))
    check, learn = order[:kept], order[kept:]
    middle, scale = _location(problem.task.kind, wanted[learn])
    wanted = (wanted - middle) / scale if problem.task.kind is Kind.VALUES else wanted
    if problem.task.kind is Kind.CLASSES and not bool((wanted[learn] >= 0).any()):
        raise NotMeasurable("no training sample has a class that the outputs can name")
    inputs = net.prepared(problem.train.inputs)
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=1e-2)
    epochs = max(3, int(min(STEPS * BATCH, MULTIPLICATIONS / net.cost([p[:1] for p in inputs])) / len(learn)))
    best, weights, since = math.inf, copy.deepcopy(net.state_dict()), 0
    for _ in range(epochs):
        net.train()
        for chosen in learn[torch.randperm(len(learn))].split(BATCH):
            if len(chosen) < 2:
                continue  # batch normalisation needs two
            optimizer.zero_grad()
            loss = _loss(problem.task.kind, net([part[chosen] for part in inputs]), wanted[chosen])
            loss.backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            value = float(_loss(problem.task.kind, net([part[check] for part in inputs]), wanted[check]))
        since += 1
        if value < best:
            best, weights, since = value, copy.deepcopy(net.state_dict()), 0
        if since >= PATIENCE or clock() > SECONDS:
            break
    net.load_state_dict(weights)
    net.eval()
    net.middle, net.scale = middle, scale
    return net.title, net


def answers_of(net: nn.Module, problem: Problem, split: Split) -> Tensor:
    """The network's answers to a split, as `Problem.score` takes them."""
    assert isinstance(net, _Net)
    inputs = net.prepared(split.inputs)
    with torch.no_grad():
        chunks = [net([part[i : i + 500] for part in inputs]) for i in range(0, len(split), 500)]
    answers = torch.cat(chunks).double()
    if problem.task.kind is Kind.CLASSES:
        return answers.log_softmax(1)
    return answers * net.scale + net.middle if problem.task.kind is Kind.VALUES else answers


def _location(kind: Kind, wanted: Tensor) -> tuple[Tensor, Tensor]:
    if kind is not Kind.VALUES:
        return torch.zeros(()), torch.ones(())
    scale = wanted.std(0, correction=0)
    return wanted.mean(0), torch.where(scale > 0, scale, torch.ones_like(scale))


def _loss(kind: Kind, outputs: Tensor, wanted: Tensor) -> Tensor:
    if kind is Kind.CLASSES:
        total = functional.cross_entropy(outputs, wanted, ignore_index=-1, reduction="sum")
        return total / (wanted >= 0).sum().clamp_min(1)
    if kind is Kind.VALUES:
        return functional.mse_loss(outputs, wanted.to(outputs.dtype))
    return functional.binary_cross_entropy_with_logits(outputs, wanted.to(outputs.dtype))


@final
class _Net(nn.Module):
    """One trunk an input, their features side by side, one affine head."""

    def __init__(self, problem: Problem, answers: int) -> None:
        super().__init__()
        positions = problem.positions
        inputs = problem.train.inputs
        if positions:
            inputs = [part for part in inputs if lines_up(part, positions)]
            if not inputs:
                raise NotMeasurable("no input has the positions that the targets have")
        self.positions = positions
        flat = problem.task.kind is Kind.VALUES and answers > MANY
        self.trunks = [trunk_for(part, positions, flat) for part in inputs]
        self.registered = nn.ModuleList(self.trunks)
        self.title = ", ".join(dict.fromkeys(trunk.title for trunk in self.trunks))
        width = sum(trunk.width for trunk in self.trunks)
        self.head = nn.Conv1d(width, answers, 1) if positions else nn.Linear(width, answers)
        self.middle, self.scale = torch.zeros(()), torch.ones(())

    def prepared(self, inputs: list[Tensor]) -> list[Tensor]:
        """Inputs of the right size and dtype, standardised."""
        chosen = [part for part in inputs if not self.positions or lines_up(part, self.positions)]
        return [trunk.prepared(part) for trunk, part in zip(self.trunks, chosen, strict=True)]

    def cost(self, inputs: list[Tensor]) -> float:
        """Multiplications of one sample, forward."""
        counted = [0.0]

        def count(module: nn.Module, _: object, output: Tensor) -> None:
            for weight in module.parameters(False):
                if weight.dim() > 1 and not isinstance(module, nn.Embedding):
                    counted[0] += weight.numel() * output.numel() / weight.shape[0]

        handles = [module.register_forward_hook(count) for module in self.modules()]
        self.eval()
        with torch.no_grad():
            self(inputs)
        for handle in handles:
            handle.remove()
        return counted[0] + 1e3

    def forward(self, inputs: list[Tensor]) -> Tensor:
        """Answers, `[N, K]`, or `[N, K, …]` where there is one for each position."""
        features = torch.cat([trunk(part) for trunk, part in zip(self.trunks, inputs, strict=True)], 1)
        if not self.positions:
            return torch.as_tensor(self.head(features))
        made = self.head(features.flatten(2))
        return torch.as_tensor(made.reshape(*made.shape[:2], *self.positions))
