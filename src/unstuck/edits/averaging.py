"""Averages: of the weights along the run, and of the answers of several networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from unstuck.edits.passes import checked, with_checked_edit
from unstuck.edits.schedule import steps_of, with_epochs_times
from unstuck.edits.standardisation import add_buffer
from unstuck.edits.tracing import trace
from unstuck.errors import RemedyError
from unstuck.setup import Edit, Setup
from unstuck.setup.model import ModelRecipe

_HELD: Final = "weights_held_back"
"""Attribute of a model that keeps its own weights while their average runs."""

MEAN: Final = "mean of the outputs"
CHANCES: Final = "mean of the probabilities"
VOTE: Final = "vote"


def with_averaged_weights(setup: Setup, share: float) -> Setup:
    """Answer with the mean of the weights over the last part of the run.

    B. Polyak, A. Juditsky, "Acceleration of stochastic approximation by averaging", 1992; P. Izmailov et al.,
    "Averaging weights leads to wider optima and better generalization", 2018. Training itself goes as before; the
    mean stands in for the weights in evaluation without gradients. Running statistics of norms are the last ones.

    Args:
        setup: What is trained.
        share: Part of the steps, at the end, over which the mean is taken, in (0, 1].

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the model itself is not what `forward` calls, or nothing is trainable.
    """
    if trace(setup).root_calls != 1:
        raise RemedyError("the user's `forward` does not call the model itself, once a batch")
    begins = max(1, math.ceil((1.0 - share) * steps_of(setup)))

    def apply(model: nn.Module) -> nn.Module:
        names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
        if not names:
            raise RemedyError("no parameter is trainable")
        parts = tuple(
            (name, add_buffer(model, f"mean_{number}", model.get_parameter(name).detach().clone()))
            for number, name in enumerate(names)
        )
        steps = add_buffer(model, "mean_steps", torch.zeros(()))
        model.register_forward_pre_hook(_Average(begins, steps, parts))
        model.register_forward_hook(_OwnAgain(), always_call=True)
        return model

    edit = Edit("weights that answer", "the last ones", f"their mean over the last {share:.0%} of the steps", apply)
    return with_checked_edit(setup, edit, "the weights could not be averaged")


@final
@dataclass(frozen=True)
class _Average:
    begins: int
    steps: str
    parts: tuple[tuple[str, str], ...]

    def __call__(self, model: nn.Module, inputs: Any) -> None:
        steps = model.get_buffer(self.steps)
        if model.training:
            if torch.is_grad_enabled():
                self._add(model, steps)
        elif not torch.is_grad_enabled() and float(steps) > self.begins:
            # A graph through weights that are put back before its backward pass would be wrong: hence no gradients.
            held = model.__dict__[_HELD] = []
            for name, mean in self.parts:
                parameter = model.get_parameter(name)
                held.append((parameter, parameter.data))
                parameter.data = model.get_buffer(mean)

    def _add(self, model: nn.Module, steps: Tensor) -> None:
        steps += 1.0
        number = float(steps) - self.begins
        if number > 0.0:
            with torch.no_grad():
                for name, mean in self.parts:
                    value = model.get_buffer(mean)
                    value += (model.get_parameter(name) - value) / number


@final
@dataclass(frozen=True)
class _OwnAgain:
    def __call__(self, model: nn.Module, inputs: Any, output: Any) -> None:
        for parameter, own in model.__dict__.pop(_HELD, ()):
            parameter.data = own


def as_committee(setup: Setup, members: int, how: str) -> Setup:
    """Train several networks from weights of their own, a batch each in turn, and join their answers.

    L. Hansen, P. Salamon, "Neural network ensembles", 1990; B. Lakshminarayanan et al., "Simple and scalable
    predictive uncertainty estimation using deep ensembles", 2017. It runs for as many times the epochs as there are
    members, so that each takes as many steps as the one did, and it costs as many times as much to train and to ask.

    Args:
        setup: What is trained.
        members: Number of networks.
        how: `MEAN` for numbers, `CHANCES` for logits of classes, `VOTE` for logits of classes whose largest alone
            counts.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If the weights are not drawn by a factory, or the training step is the user's own.
    """
    factory = setup.model.factory
    if factory is None:
        raise RemedyError("the model is a live one, of which no second can be drawn")
    if setup.train_step is not None:
        raise RemedyError("the training step is the user's own")

    def named(model: nn.Module) -> nn.Module:
        return model

    edit = Edit("model", "one network", f"{members} networks, {members} × the cost; {how}", named)
    recipe = ModelRecipe(partial(_committee, factory, setup.model.edits, members, how), edits=(edit,))
    # Known edits are counted off when a difference is shown: those of the members stand in for themselves.
    silent = tuple(replace(known, apply=named) for known in setup.model.edits)
    changed = replace(setup, model=replace(recipe, edits=(*silent, edit)))
    return checked(setup, with_epochs_times(changed, members), "no committee of networks could be made")


def _committee(factory: Any, edits: Sequence[Edit], members: int, how: str) -> Committee:
    made = []
    for _ in range(members):
        model = factory()
        for edit in edits:
            model = edit.apply(model)
        made.append(model)
    return Committee(made, how)


@final
class Committee(nn.Module):
    """Networks that train in turn and answer together.

    Args:
        members: The networks.
        how: As in `as_committee`.
    """

    def __init__(self, members: Sequence[nn.Module], how: str) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.how, self.turn = how, 0

    def forward(self, *inputs: Any, **named: Any) -> Any:
        """The answer of the member whose turn it is while training, else that of all."""
        if self.training:
            member = self.members[self.turn % len(self.members)]
            self.turn += torch.is_grad_enabled()
            return member(*inputs, **named)
        return joined([member(*inputs, **named) for member in self.members], self.how)


def joined(outputs: Sequence[Tensor], how: str) -> Tensor:
    """Join the answers of several networks.

    Args:
        outputs: One tensor a network, `[N, …]`; logits of classes `[N, C, …]` for `CHANCES` and `VOTE`.
        how: As in `as_committee`.

    Returns:
        The mean; the logarithm of the mean probability; or the logarithm of each class's share of the votes, with
        half a vote more for every class, so that none is impossible. Same shape as each of `outputs`.

    Raises:
        ValueError: If `how` is none of the three.
    """
    stacked = torch.stack(list(outputs))
    if how == MEAN:
        return stacked.mean(0)
    if how == CHANCES:
        return torch.logsumexp(stacked.log_softmax(2), 0) - math.log(len(outputs))
    if how == VOTE:
        classes = stacked.shape[2]
        votes = nn.functional.one_hot(stacked.argmax(2), classes).movedim(-1, 2).sum(0) + 0.5
        return (votes / votes.sum(1, keepdim=True)).to(stacked.dtype).log()
    raise ValueError(f"how must be {MEAN!r}, {CHANCES!r} or {VOTE!r}; got {how!r}")
