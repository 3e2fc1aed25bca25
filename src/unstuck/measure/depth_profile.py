"""Activations, gradients and units over depth: before training, and in the trained model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from unstuck.edits.activations import hidden_calls
from unstuck.edits.structure import Layer, structure_of
from unstuck.edits.tracing import trace
from unstuck.edits.weights import draw_for_activations, sound_deviation
from unstuck.errors import UnstuckError
from unstuck.measure.layer_reading import MOSTLY, ActivationSeen, LayerSeen, Reading, read
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated, one_thread

SAMPLES: Final = 512
"""Training samples that are run: enough for a unit that is alive on one sample in a hundred to show it."""

PART: Final = 128
"""Samples that are run at once where training batches are smaller."""

SECONDS: Final = 0.03
"""Work of this thread after which no further batch is run."""


@final
@dataclass(frozen=True, slots=True)
class LayerState:
    """One affine layer before training.

    Attributes:
        name: In the model.
        followed_by: Family of the activation behind it, "" where there is none.
        normalised: Whether a norm lies between them.
        trainable: Whether its weights are.
        fan_in: Inputs of a unit.
        fan_out: Units that an input reaches.
        scale: Standard deviation of its weights over that of He's draw before rectifiers, else of Xavier's.
        signal: Root mean square over units of the standard deviation of the output over the samples.
        sound_signal: The same of the model whose affine layers are drawn that way, biases 0.
        gradient: Root mean square of the gradient with respect to the outputs; NaN where there is none.
        sound_gradient: The same of that model.
        off_centre: Root mean square over features of the mean of what feeds it, over that of the standard deviation.
        one_sign: Share of what feeds it that has the sign of the majority, zeros included.
        coherence: Mean over units of |share of positive − share of negative| entries of the weight gradient of the
            unit: 1 where all weights of a unit are pushed the same way; NaN where there is no gradient.
    """

    name: str
    followed_by: str
    normalised: bool
    trainable: bool
    fan_in: int
    fan_out: int
    scale: float
    signal: float
    sound_signal: float
    gradient: float
    sound_gradient: float
    off_centre: float
    one_sign: float
    coherence: float


@final
@dataclass(frozen=True, slots=True)
class ActivationState:
    """One call of a hidden activation.

    Attributes:
        name: Of its module, or of the function.
        function: Such as "relu".
        layer: The affine layer before it, "" where there is none.
        units: Number of its units: channels or features.
        dead: Share of them that are zero on every sample and at every place; 0 for functions that are never zero.
        dead_on_batch: The same on one training batch only.
        saturated: Share of them whose derivative is below a twentieth of its largest on most samples; 0 for functions
            that do not saturate.
        sound_dead: `dead` in the model whose affine layers are drawn by He or Xavier, before training; NaN where it
            was not looked at.
        sound_saturated: Likewise `saturated`.
    """

    name: str
    function: str
    layer: str
    units: int
    dead: float
    dead_on_batch: float
    saturated: float
    sound_dead: float
    sound_saturated: float


@final
@dataclass(frozen=True, slots=True)
class DepthProfile:
    """Layers and activations before training, beside those of the same model drawn soundly.

    Attributes:
        layers: Affine layers in the order in which they run.
        activations: Calls of hidden activations, likewise; gates and the last activation are left out.
        samples: Training samples that were run.
    """

    cost: ClassVar[float] = 0.0

    layers: tuple[LayerState, ...]
    activations: tuple[ActivationState, ...]
    samples: int

    @classmethod
    def measure(cls, prepared: Prepared) -> DepthProfile:
        """Run the model, and its soundly drawn twin, over some training data; gradients on the first batch.

        Args:
            prepared: The set-up.

        Returns:
            The profile.

        Raises:
            NotMeasurable: If the model cannot be run outside the user's own training step.
        """
        setup = prepared.setup
        with isolated(setup.seed), one_thread():
            record = trace(setup)
            structure = {layer.name: layer for layer in structure_of(record).layers}
            hidden = hidden_calls(record)
            given = _read_fresh(setup, hidden, None)
            sound = _read_fresh(setup, hidden, {name: layer.followed_by for name, layer in structure.items()})
        layers = tuple(
            _layer_state(seen, sound.layers.get(name, seen), structure.get(name)) for name, seen in given.layers.items()
        )
        activations = tuple(
            _activation_state(seen, sound.activations.get(number)) for number, seen in given.activations.items()
        )
        return cls(layers, activations, given.samples)

    @property
    def hidden(self) -> tuple[LayerState, ...]:
        """The layers but the last, whose scale the loss sets."""
        return self.layers[:-1]


@final
@dataclass(frozen=True, slots=True)
class TrainedDepth:
    """The activations of the trained model.

    Attributes:
        activations: Calls of hidden activations in the order in which they run.
        samples: Training samples that were run.
    """

    cost: ClassVar[float] = 1.0

    activations: tuple[ActivationState, ...]
    samples: int

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained) -> TrainedDepth:
        """Run the trained model over some training data.

        Args:
            prepared: The set-up.
            trained: The run as given.

        Returns:
            The activations.

        Raises:
            NotMeasurable: If the model cannot be run outside the user's own training step.
        """
        setup, model = prepared.setup, trained.run.model
        modes = {module: module.training for module in model.modules()}
        with isolated(setup.seed), one_thread():
            hidden = hidden_calls(trace(setup))
            try:
                reading = _read(setup, model.eval(), hidden, backward=False)
            finally:
                for module, training in modes.items():
                    module.training = training
        return cls(tuple(_activation_state(seen, None) for seen in reading.activations.values()), reading.samples)


def _read_fresh(setup: Setup, hidden: frozenset[int], followers: dict[str, str | None] | None) -> Reading:
    """Read a fresh model, as given or drawn soundly, from the same seed."""
    with isolated(setup.seed):
        own, model, _ = setup.fresh()
        if followers is not None:
            draw_for_activations(model, followers)
        model.train()
        for module in model.modules():
            if getattr(module, "inplace", False) is True:
                setattr(module, "inplace", False)  # noqa: B010  # else the hook's gradient would be that behind it
        return _read(own, model, hidden, backward=setup.loss is not None)


def _read(setup: Setup, model: torch.nn.Module, hidden: frozenset[int], *, backward: bool) -> Reading:
    first, *others = setup.train.head(SAMPLES)  # the first as long as a training batch, the others in larger parts
    together = max(1, PART // max(1, setup.train.batch_size))
    batches = [first, *(gather(others[start : start + together]) for start in range(0, len(others), together))]
    try:
        return read(setup, model, batches, hidden=hidden, backward=backward, seconds=SECONDS)
    except UnstuckError as error:
        raise NotMeasurable(str(error)) from error
    except Exception as error:
        raise NotMeasurable("the model could not be run outside the user's own training step") from error


def _layer_state(seen: LayerSeen, sound: LayerSeen, layer: Layer | None) -> LayerState:
    weight = seen.module.weight
    assert isinstance(weight, Tensor)  # affine layers have one
    follower = None if layer is None else layer.followed_by
    gradient = weight.grad
    inputs = seen.inputs
    return LayerState(
        name=seen.name,
        followed_by=follower or "",
        normalised=layer is not None and layer.normalised,
        trainable=weight.requires_grad,
        fan_in=weight[0].numel(),
        fan_out=weight.shape[0] * (weight[0][0].numel() if weight.dim() > 2 else 1),
        scale=float(weight.detach().float().square().mean().sqrt()) / sound_deviation(weight, follower),
        signal=_deviation(seen),
        sound_signal=_deviation(sound),
        gradient=math.nan if seen.gradient is None else seen.gradient,
        sound_gradient=math.nan if sound.gradient is None else sound.gradient,
        off_centre=_ratio(inputs.means.square().mean().sqrt(), inputs.variances.mean().sqrt()) if inputs.count else 0.0,
        one_sign=1.0 - min(inputs.positive, inputs.negative) / max(1, inputs.positive + inputs.negative),
        coherence=math.nan if gradient is None else _coherence(gradient),
    )


def _deviation(seen: LayerSeen) -> float:
    return float(seen.outputs.variances.mean().sqrt())


def _ratio(top: Tensor, bottom: Tensor) -> float:
    return float(top / bottom) if float(bottom) > 0.0 else math.inf


def _coherence(gradient: Tensor) -> float:
    """Mean over units of the size of the mean sign of a unit's entries; units without a gradient left out."""
    rows = gradient.detach().reshape(len(gradient), -1).sign()
    alive = rows.abs().sum(1) > 0
    return (
        float((rows.sum(1).abs() / rows.abs().sum(1).clamp_min(1.0))[alive].mean()) if bool(alive.any()) else math.nan
    )


def _activation_state(seen: ActivationSeen, sound: ActivationSeen | None) -> ActivationState:
    units = next((len(each) for each in (seen.zero, seen.flat) if each is not None), 0)
    return ActivationState(
        name=seen.name,
        function=seen.function,
        layer=seen.layer,
        units=units,
        dead=_share(seen.zero),
        dead_on_batch=_share(seen.zero_on_batch),
        saturated=_flat_share(seen),
        sound_dead=math.nan if sound is None else _share(sound.zero),
        sound_saturated=math.nan if sound is None else _flat_share(sound),
    )


def _share(mask: Tensor | None) -> float:
    return 0.0 if mask is None else float(mask.float().mean())


def _flat_share(seen: ActivationSeen) -> float:
    return 0.0 if seen.flat is None else float((seen.flat > MOSTLY * seen.count).float().mean())
