"""Layers on which the loss depends and that no gradient reaches."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, final

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from unstuck.loop.clock import WorkClock
from unstuck.loop.correcting import SLOPE_ZERO, way_out
from unstuck.loop.layers import own_parameters, parametrised_layers
from unstuck.loop.stages import take_step
from unstuck.measure.first_steps import FirstSteps, LayerConduct
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated, one_thread, seeded, trainable
from unstuck.setup.source import calling_line

MOST_LAYERS: Final = 12
"""Layers that are shaken one by one; the first and the last of them where there are more."""

LONGEST_SECONDS: Final = 0.5
"""Work of this thread after which no further layer is shaken."""

SHAKE: Final = 0.5
"""Size of the finite difference over that of the weights: far enough to change a choice such as argmax."""

REPEATS: Final = 1e-6
"""Relative difference between two sums of the same numbers in another order, in single precision."""


@final
@dataclass(frozen=True, slots=True)
class GradientPath:
    """What becomes of the loss when weights that get no gradient are shaken.

    Attributes:
        trainable: Numbers in all trainable parameters.
        cut_off: Numbers in those that the loss depends on, that get no gradient and that nothing else moves.
        layers: Names of the layers that own them.
        unused: Names of layers that get no gradient because the loss does not depend on them.
        change: Largest change of the first loss by shaking one such layer, over the loss; 0 where none changes it.
        ways: How the graph is left in the forward pass: "detach", ".data", "no_grad", "sign", "argmax", "item", ….
        lines: Lines of the user's source that do so, as far as they are known.
    """

    cost: ClassVar[float] = 0.0

    trainable: int
    cut_off: int
    layers: tuple[str, ...]
    unused: tuple[str, ...]
    change: float
    ways: tuple[str, ...]
    lines: tuple[str, ...]

    @classmethod
    def measure(cls, prepared: Prepared, first: FirstSteps) -> GradientPath:
        """Shake each layer without a gradient and take the first training loss again.

        Args:
            prepared: The set-up.
            first: Tells which layers get no gradient.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If the first loss is not a finite number.
        """
        setup, trainable_numbers = prepared.setup, sum(layer.trainable for layer in first.layers)
        missed = [layer for layer in first.layers if layer.alive < layer.trainable and layer.moved <= layer.alive]
        if not missed:
            return cls(trainable_numbers, 0, (), (), 0.0, (), ())
        watch = _Ways()
        loss, again = _first_loss(setup, "", watch), _first_loss(setup, "")
        if not math.isfinite(loss):
            raise NotMeasurable("the first loss is not a finite number")
        floor = max(10.0 * abs(again - loss), REPEATS * abs(loss))
        flat = any(way in SLOPE_ZERO for way in watch.ways)
        clock = WorkClock()
        cut: list[LayerConduct] = []
        unused: list[str] = []
        largest = 0.0
        for layer in (missed[: MOST_LAYERS - 1] + missed[-1:]) if len(missed) > MOST_LAYERS else missed:
            if layer.reached == layer.trainable and not flat:
                continue  # in the graph, at a slope of zero: dead units, not a cut
            moved = abs(_first_loss(setup, layer.name) - loss)
            if moved > floor:
                cut.append(layer)
                largest = max(largest, moved / max(abs(loss), 1e-30))
            else:
                unused.append(layer.name)
            if clock() > LONGEST_SECONDS:
                break
        return cls(
            trainable=trainable_numbers,
            cut_off=sum(layer.trainable - layer.alive for layer in cut),
            layers=tuple(layer.name for layer in cut),
            unused=tuple(unused),
            change=largest,
            ways=tuple(dict.fromkeys(watch.ways)),
            lines=tuple(dict.fromkeys(filter(None, watch.lines)))[:4],
        )


def _first_loss(setup: Setup, shaken: str, watch: TorchFunctionMode | None = None) -> float:
    """The loss of the first training call, with the weights of a layer changed at random where one is named."""
    with trainable(), isolated(setup.seed), one_thread():
        own, model, optimizer = setup.fresh()
        if not model.training:
            model.train()
        batch = own.placed(next(iter(own.train.batches(seeded(setup.seed)))))
        if shaken:
            draws = torch.Generator().manual_seed(setup.seed + 1)
            with torch.no_grad():
                for parameter in own_parameters(parametrised_layers(model)[shaken]):
                    noise = torch.randn(parameter.shape, generator=draws).to(parameter)
                    size = float(parameter.double().square().mean().sqrt()) or 0.1
                    parameter.add_(SHAKE * size * noise)
        if watch is None:
            return float(take_step(own, model, optimizer, batch))
        with watch:
            return float(take_step(own, model, optimizer, batch))


_TO_NUMBERS: Final = frozenset({"item", "tolist", "numpy", "__array__", "__float__", "__int__", "argmax", "argmin"})


@final
@dataclass
class _Ways(TorchFunctionMode):
    """Notes how the graph is left before the first backward pass of a step."""

    ways: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    forward: bool = True

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        self.forward &= name != "backward"
        if self.forward:
            way = way_out(func, args)
            given = args[0] if args else None
            if not way and name in _TO_NUMBERS and isinstance(given, Tensor) and given.requires_grad:
                way = name.strip("_")
            if way:
                self.ways.append(way)
                self.lines.append(calling_line())
        return func(*args, **(kwargs or {}))
