"""What is kept of a training run: plain numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True, slots=True)
class LayerTrace:
    """One parametrised layer over the sampled steps (K of them); lists are empty where it was not seen.

    Attributes:
        name: Name in the model.
        kind: Class, such as "Linear".
        depth: Order in which it runs in the forward pass, 0 first; -1 where it was never called.
        gradient_norm: Euclidean norm of the gradient of its parameters, shape `[K]`, loss per weight.
        weight_norm: Euclidean norm of its parameters before the step, shape `[K]`.
        update_norm: Euclidean norm of the change that the step made, shape `[K]`.
        output_rms: Root mean square of its output, shape `[K]`.
        output_zero_share: Share of exact zeros in its output, shape `[K]`.
        stale_share: Norm of the part of the gradient that was there before this step's backward passes, over the
            norm of the whole gradient, shape `[K]`; 0 where gradients are cleared.
    """

    name: str
    kind: str
    depth: int
    gradient_norm: tuple[float, ...] = ()
    weight_norm: tuple[float, ...] = ()
    update_norm: tuple[float, ...] = ()
    output_rms: tuple[float, ...] = ()
    output_zero_share: tuple[float, ...] = ()
    stale_share: tuple[float, ...] = ()


@final
@dataclass(frozen=True, slots=True)
class RunRecord:
    """A training run.

    Attributes:
        seed: The seed it ran with.
        losses: Training loss before each step, shape `[T]`.
        rates: Rate of the first parameter group at each step, shape `[T]`.
        epoch_ends: Number of steps done at the end of each epoch, shape `[E]`.
        validation_losses: Validation loss after each epoch, shape `[E]`; empty without a validation split.
        sampled_steps: Steps at which `layers` were sampled, shape `[K]`.
        layers: One trace a layer.
        stopped: "finished", "non-finite" (the loss was NaN or infinite) or "time" (the time limit was reached).
        seconds: Wall time.
        epochs_planned: Epochs of the set-up.
        cadence_seconds: Wall time spent on watching.
        gradient_norms: Euclidean norm of the whole gradient that each step of the optimizer used, shape `[S]`; empty
            where the run was not watched, or the optimizer takes its gradients itself.
    """

    seed: int
    losses: tuple[float, ...]
    rates: tuple[float, ...]
    epoch_ends: tuple[int, ...]
    validation_losses: tuple[float, ...]
    sampled_steps: tuple[int, ...]
    layers: tuple[LayerTrace, ...]
    stopped: str
    seconds: float
    epochs_planned: int
    cadence_seconds: float = 0.0
    gradient_norms: tuple[float, ...] = ()

    def epoch_losses(self) -> tuple[float, ...]:
        """Mean training loss of each epoch, shape `[E]`, or `[E + 1]` where the last one was cut short."""
        starts = (0, *self.epoch_ends)
        ends = (*self.epoch_ends, len(self.losses))
        parts = [self.losses[start:end] for start, end in zip(starts, ends, strict=True) if end > start]
        return tuple(sum(part) / len(part) for part in parts)
