"""Whether class numbers are among those that the outputs have a place for, and what the loss makes of the others."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import torch
from torch import Tensor, nn

from unstuck.loop import predict
from unstuck.loop.evaluate import SAMPLES
from unstuck.measure.loss_form import OVER_LAST, OutputForm, recognise
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Data, Setup, StackedData
from unstuck.setup.data import gather
from unstuck.setup.randomness import isolated, one_thread

SHOWN: Final = 13
"""Samples that the loss is asked about: an odd number, so that the batch is not mistaken for the classes."""

MOST_CLASSES: Final = 256
"""Different class numbers up to which the loss is asked about each."""


@final
@dataclass(frozen=True, slots=True)
class ClassNumber:
    """One class number of one split.

    Attributes:
        split: "training", "validation" or "test".
        number: The class number.
        count: How often it occurs there.
        share: The same as a share of the split's targets.
        luck: For one that does not occur in the training split: the probability that a random split puts every one of
            its samples here; else 1.
    """

    split: str
    number: int
    count: int
    share: float
    luck: float = 1.0


@final
@dataclass(frozen=True, slots=True)
class TargetRange:
    """Class numbers against the outputs.

    Attributes:
        classes: Number of outputs that stand for classes; 0 where the loss takes no class numbers.
        per_position: Whether there is a target for every position.
        lowest: The smallest class number that the loss does not leave out.
        highest: The largest.
        refused: Class numbers that the loss raises on.
        left_out: Class numbers with an output of their own that the loss takes no notice of.
        unseen: Class numbers that occur, but in no training sample.
    """

    cost: ClassVar[float] = 0.0

    classes: int
    per_position: bool
    lowest: int
    highest: int
    refused: tuple[ClassNumber, ...]
    left_out: tuple[ClassNumber, ...]
    unseen: tuple[ClassNumber, ...]

    @classmethod
    def measure(cls, setup: Setup) -> TargetRange:
        """Ask the loss about every class number that occurs.

        Args:
            setup: As given; its loss is asked on the CPU, where a wrong class number raises and does no damage.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If there is no loss, or there are too many classes.
        """
        if setup.loss is None:
            raise NotMeasurable("the loss is inside train_step; give `loss` as well")
        splits = {name: _targets(setup, data) for name, data in _splits(setup) if data is not None}
        with isolated(setup.seed), one_thread():
            own, model, _ = setup.fresh()
            outputs = predict(own, model, [own.placed(gather(own.train.head(SHOWN)))])[0]
        train = splits["training"]
        nothing = cls(0, False, 0, 0, (), (), ())
        if not isinstance(outputs, Tensor) or train.is_floating_point() or train.dtype == torch.bool:
            return nothing
        ask = _on_cpu(setup.loss)
        outputs = outputs.detach().cpu().float()[:SHOWN]
        classes = _classes(ask, outputs, train[: len(outputs)])
        if not classes:
            return nothing
        numbers = torch.cat([targets.unique() for targets in splits.values()]).unique().tolist()
        if len(numbers) > MOST_CLASSES:
            raise NotMeasurable(f"{len(numbers)} different class numbers are too many to ask about each")
        like = train[: len(outputs)]
        with torch.no_grad(), isolated(0):
            answers = {int(number): _answer(ask, outputs, torch.full_like(like, number)) for number in numbers}
        taken = [number for number, answer in answers.items() if answer != LEFT_OUT]
        return cls(
            classes=classes,
            per_position=train.dim() > 1 and train[0].numel() > 1,
            lowest=min(taken, default=0),
            highest=max(taken, default=0),
            refused=tuple(_found(splits, [n for n, answer in answers.items() if answer == REFUSED])),
            left_out=tuple(_found(splits, [n for n, a in answers.items() if a == LEFT_OUT and 0 <= n < classes])),
            unseen=tuple(_found(splits, [n for n in taken if not bool((train == n).any())])),
        )


TAKEN: Final = "taken"
REFUSED: Final = "refused"
LEFT_OUT: Final = "left out"


def _splits(setup: Setup) -> Iterator[tuple[str, Data | None]]:
    yield from (("training", setup.train), ("validation", setup.validation), ("test", setup.test))


def _targets(setup: Setup, data: Data) -> Tensor:
    batch = data.samples if isinstance(data, StackedData) else gather(data.head(SAMPLES))
    targets = setup.targets(batch)
    if not isinstance(targets, Tensor) or not targets.dim() or not targets.numel():
        raise NotMeasurable("targets must be one tensor")
    return targets.detach().cpu()


def _on_cpu(loss: Callable[..., Any]) -> Callable[..., Any]:
    own = copy.deepcopy(loss)
    return own.cpu() if isinstance(own, nn.Module) else own


def _classes(loss: Callable[..., Any], outputs: Tensor, like: Tensor) -> int:
    """How many outputs stand for classes; 0 where the loss is none that takes class numbers."""
    if outputs.dim() != like.dim() + 1 or outputs.dim() < 2:
        return 0
    width = min(outputs.shape[1], outputs.shape[-1])
    sound = torch.arange(like.numel()).reshape(like.shape) % max(1, width)
    form = recognise(loss, outputs, sound.to(like.dtype))
    if form.name == OVER_LAST:
        return int(outputs.shape[-1])
    if form.form in (OutputForm.CLASS_LOGITS, OutputForm.CLASS_LOG_PROBABILITIES):
        return int(outputs.shape[1])
    return 0


def _answer(loss: Callable[..., Any], outputs: Tensor, targets: Tensor) -> str:
    """What the loss makes of targets that are all of one class."""
    values = []
    for seed in (0, 1):
        drawn = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(seed)).log_softmax(1)
        try:
            values.append(float(loss(drawn, targets)))
        except Exception:  # losses refuse class numbers in many ways
            return REFUSED
    return TAKEN if values[0] != values[1] and values[0] == values[0] else LEFT_OUT


def _found(splits: dict[str, Tensor], numbers: list[int]) -> Iterator[ClassNumber]:
    train = splits["training"]
    for number in numbers:
        for name, targets in splits.items():
            count = int((targets == number).sum())
            if count:
                share = targets.numel() / (targets.numel() + train.numel())
                luck = 1.0 if bool((train == number).any()) else share**count
                yield ClassNumber(name, number, count, count / targets.numel(), luck)
