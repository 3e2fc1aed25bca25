"""Outputs and targets have different shapes, so the loss compares every output with every target.

## What it checks
Whether outputs and targets have shapes that broadcast to more elements than either has, such as `[N, 1]` against
`[N]`, and whether the loss then mixes the samples of a batch: the error of one sample depends on the targets of all
others.

## Why it hurts
`[N, 1]` minus `[N]` is a table of `[N, N]` differences. Its mean is smallest where every output is the mean of all
targets, so the network learns to ignore its inputs, and the loss settles at the variance of the targets. There is
no error: torch warns once, other code not at all.

## How it is measured
The shapes are read from one batch. The target of one sample is then replaced by that of another, and the gradient of
the loss with respect to all outputs is taken before and after: what a loss that fits would change lies on that one
sample's output only. For a textbook loss that is proof enough. The trial trains with targets in the outputs' shape, and
compares the task's own error, as the loss is not the same one afterwards.

## Remedy
Give targets the shape of the outputs before the loss: `loss(outputs, targets.reshape(outputs.shape))`, or
`targets.unsqueeze(1)` in the data set. `outputs.squeeze(1)` does as well.

## When to leave it
A loss that is meant to compare all pairs, as contrastive and ranking losses are, mixes samples on purpose. It is
suspected only where the shapes broadcast as well, and cleared by the trial, unless it is a textbook loss.

## References
NumPy, "Broadcasting", user guide (the rules that torch took over).
Jia et al., "Repairing deep neural networks: fix patterns and challenges", ICSE 2020 (wrong tensor shapes).
LAMDA-Tabular/TALENT, pull request 92, 2024 (`[n, 1]` against `[n]`: regressions silently fail to converge).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor

from unstuck.edits.passes import forward, sample
from unstuck.errors import RemedyError
from unstuck.loop.stages import compute_loss
from unstuck.measure.first_batch import FirstBatch
from unstuck.measure.loss_form import OutputForm
from unstuck.measure.protocol import Unmeasured
from unstuck.measure.task import Task
from unstuck.patients import regression
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Batch, Data, Setup
from unstuck.setup.batch import replace_targets, split_batch
from unstuck.setup.randomness import isolated, one_thread

MIXED: Final = Threshold(
    0.5,
    "share of the change in gradient",
    "majority: a target does more to others' samples than to its own; (N − 1)/N where broadcast, 0 where it fits",
)


def judge(first: FirstBatch, task: Task | Unmeasured) -> Verdict:
    """Suspect where the shapes broadcast to more elements and the loss mixes samples."""
    shapes = f"outputs {_shape(first.output_shape)} against targets {_shape(first.target_shape)}"
    elements = Evidence(
        Quantity("elements that outputs and targets broadcast to / elements of the larger", first.broadcast_elements)
    )
    if not first.broadcast_elements > 1.0:
        return Verdict(Outcome.ABSENT, f"Shapes fit, or do not broadcast to more elements: {shapes}.", (elements,))
    mixing = Evidence(
        Quantity("share of what one sample's target changes in the gradient that lands on others", first.mixing), MIXED
    )
    if first.mixing >= MIXED.value:
        sentence = (
            f"The loss compares every output with every target: {shapes} broadcast, and {first.mixing:.0%} of what one "
            "sample's target changes in the gradient lands on other samples."
        )
        # A textbook loss never means to compare one sample with another's target; one of the user's own may.
        textbook = isinstance(task, Task) and task.output_form is not OutputForm.UNKNOWN
        return Verdict(Outcome.PRESENT, sentence, (mixing, elements), certain=textbook)
    if first.mixing < MIXED.value:
        return Verdict(Outcome.ABSENT, f"The loss keeps samples apart in spite of {shapes}.", (mixing, elements))
    return Verdict(Outcome.UNDECIDED, f"The loss does not react to a changed target: {shapes}.", (mixing, elements))


def _shape(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(["N", *map(str, shape[1:])]) + "]"


def misalign_targets(setup: Setup) -> Setup:
    """Take a dimension from the targets, or add one, so that the loss broadcasts."""
    outputs, targets = _one_batch(setup)
    if outputs.shape != targets.shape or not targets.is_floating_point():
        raise RemedyError("only a loss on numbers of the outputs' own shape can be made to broadcast")
    if targets.dim() == 2 and targets.shape[1] == 1:
        changed = _with_targets(setup, lambda tensor: tensor.squeeze(1))
    elif targets.dim() == 1:
        changed = _with_targets(setup, lambda tensor: tensor.unsqueeze(1))
    else:
        raise RemedyError(f"targets must be one number a sample; got shape {list(targets.shape)}")
    try:
        _one_batch(changed)
    except Exception as error:  # losses refuse shapes in many ways
        raise RemedyError(f"the loss refuses targets of another shape: {error}") from error
    return changed


def align_targets(setup: Setup) -> Setup:
    """Give targets the shape of the outputs before the loss."""
    given = setup.loss
    if given is None:
        raise RemedyError("the loss is inside train_step; reshape the targets there")

    def aligned(outputs: Any, targets: Any) -> Tensor:
        return given(outputs, targets.reshape(outputs.shape))

    name = setup.described.get("loss", "the loss")
    return setup.with_loss(aligned, f"{name} on targets.reshape(outputs.shape)")


def _one_batch(setup: Setup) -> tuple[Tensor, Tensor]:
    """Outputs and targets of a few samples, once the loss has taken them."""
    batch = sample(setup)
    with isolated(setup.seed), one_thread(), torch.no_grad():
        model, optimizer = setup.build()
        outputs = forward(setup, model, optimizer, batch)
        if setup.loss is None or not isinstance(outputs, Tensor):
            raise RemedyError("outputs must be one tensor, and the loss must be given")
        compute_loss(setup, outputs, batch)
    targets = setup.targets(batch)
    if not isinstance(targets, Tensor):
        raise RemedyError("targets must be one tensor")
    return outputs, targets


def _with_targets(setup: Setup, change: Any) -> Setup:
    def changed(batch: Batch) -> Batch:
        return replace_targets(batch, change(split_batch(batch)[2]))

    def mapped(data: Data | None) -> Data | None:
        return None if data is None else data.mapped(changed)

    return replace(
        setup, train=setup.train.mapped(changed), validation=mapped(setup.validation), test=mapped(setup.test)
    )


def _squared(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().mean()


RULE = Rule(
    code="SET001",
    judge=judge,
    fault=misalign_targets,
    remedy=Remedy("Give targets the shape of the outputs before the loss.", align_targets, Applies.SAFE),
    cases=(
        Case(
            "outputs [N, 1] minus targets [N], squared",
            lambda: regression(loss=_squared, targets=lambda values: values.squeeze(1)),
            Outcome.PRESENT,
        ),
        Case("outputs and targets both [N, 1]", lambda: regression(loss=_squared), Outcome.ABSENT),
        Case(
            "near miss: outputs [N, 1] and targets [N], and a loss that squeezes the outputs",
            lambda: regression(
                loss=lambda outputs, targets: _squared(outputs.squeeze(1), targets),
                targets=lambda values: values.squeeze(1),
            ),
            Outcome.ABSENT,
        ),
    ),
)
