"""What is put right around a training step whose source is the user's own and cannot be rewritten."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


@final
@dataclass(frozen=True, slots=True)
class Corrections:
    """How a set-up departs from the step that it was given; nothing where every field is as it is by default.

    Attributes:
        clear_gradients: Gradients are cleared before each training step.
        in_order: Each training step clears the gradients before anything else and steps the optimizer after
            everything else, whatever order its source has.
        keep_graph: What leaves the graph in the forward pass, by `detach`, `.data` or `no_grad`, stays in it, and a
            function of slope zero, such as `sign` or `round`, passes the gradient straight through.
        modes: Modules are in training mode where gradients are recorded and in evaluation mode where they are not,
            and so are calls of functional dropout in evaluation.
        schedule_by_epoch: A scheduler that is stepped inside the training step is let through once an epoch.
        clip_norm: The optimizer gets the gradients as the backward passes gave them, their norm clipped at this
            number, in place of what the step has made of them; None for no change.
    """

    clear_gradients: bool = False
    in_order: bool = False
    keep_graph: bool = False
    modes: bool = False
    schedule_by_epoch: bool = False
    clip_norm: float | None = None

    @property
    def none(self) -> bool:
        """Whether the step is as it was given."""
        return self == Corrections()

    def of_model(self) -> Corrections:
        """Those that concern the forward pass: what is left where model and data get another training recipe."""
        return Corrections(keep_graph=self.keep_graph, modes=self.modes)

    def described(self) -> Mapping[str, str]:
        """Field of the set-up → what is done, for those that differ."""
        changed = [part.name for part in fields(self) if getattr(self, part.name) != part.default]
        words = {**_WORDS, "clip_norm": ("clipping", f"norm of the gradient clipped at {self.clip_norm or 0.0:.3g}")}
        return {f"step.{words[name][0]}": words[name][1] for name in changed}

    def install(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Add what stays with a fresh model and its optimizer; both are private to one run."""
        if self.modes:
            follow_gradients(model)
        if self.clip_norm is not None:
            clip_afresh(model, optimizer, self.clip_norm)


_WORDS = {
    "clear_gradients": ("gradients", "cleared before every step"),
    "in_order": ("order", "clear gradients, forward, backward, clip, optimizer.step"),
    "keep_graph": ("graph", "kept through detach, .data, no_grad and functions of slope zero"),
    "modes": ("modes", "train() wherever gradients are recorded, eval() wherever they are not"),
    "schedule_by_epoch": ("scheduler", "stepped once an epoch"),
}


def follow_gradients(model: nn.Module) -> None:
    """Let each module, whenever it runs, be in training mode if gradients are recorded, else in evaluation mode.

    This outlasts calls of `train()` and `eval()` in the user's step or forward function.

    Args:
        model: Changed in place.
    """

    def follow(module: nn.Module, inputs: Any) -> None:
        module.training = torch.is_grad_enabled()

    for module in model.modules():
        if not isinstance(module, torch.jit.ScriptModule):  # which takes no hooks
            module.register_forward_pre_hook(follow, prepend=True)


def clip_afresh(model: nn.Module, optimizer: Optimizer, norm: float) -> None:
    """Let the optimizer step on the gradients of the backward passes since its last step, clipped at a norm.

    Args:
        model: Its parameters' gradients are noted as they arrive.
        optimizer: Gets them in place of `.grad`, whatever has been done to that in between.
        norm: Euclidean norm over all parameters.
    """
    fresh: dict[int, Tensor] = {}
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def note(parameter: Tensor) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            known = fresh.get(id(parameter))
            fresh[id(parameter)] = gradient.detach().clone() if known is None else known + gradient.detach()

        return hook

    def enter(*_: Any) -> None:
        for parameter in parameters:
            if id(parameter) in fresh:
                parameter.grad = fresh[id(parameter)]
        fresh.clear()
        nn.utils.clip_grad_norm_(parameters, norm)

    for parameter in parameters:
        parameter.register_hook(note(parameter))
    optimizer.register_step_pre_hook(enter)
