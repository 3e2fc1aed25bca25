"""Input features that never change in training, and whether they do elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, final

import torch
from torch import Tensor

from unstuck.loop.evaluate import SAMPLES
from unstuck.measure.features import InputKind, input_kind, inputs_of
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Data, Setup
from unstuck.setup.randomness import one_thread

NAMED: Final = 8
"""Features that are named at most."""


@final
@dataclass(frozen=True, slots=True)
class IdleFeatures:
    """Input features that are constant in the training split.

    Attributes:
        count: Number of floating-point input features, flattened.
        constant: How many of them are constant in the training split.
        waking: How many of those change in the validation or test split.
        energy: Their mean square distance there from the training constant, over the mean variance of a training
            feature that varies; 0 without any.
        awake_share: Share of the validation and test samples in which any of them differs from the constant.
        first: The first of the waking features by number.
    """

    cost: ClassVar[float] = 0.0

    count: int
    constant: int
    waking: int
    energy: float
    awake_share: float
    first: tuple[int, ...]

    @classmethod
    def measure(cls, setup: Setup) -> IdleFeatures:
        """Compare the training split with the splits given besides.

        Args:
            setup: As given.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If the splits differ in size.
        """
        with one_thread():
            train = _features(setup.train)
            constant = (train == train[:1]).all(0)
            others = [_features(data) for data in (setup.validation, setup.test) if data is not None]
            if any(rows.shape[1] != train.shape[1] for rows in others):
                raise NotMeasurable("samples of the splits differ in size")
            if not others or not bool(constant.any()):
                return cls(train.shape[1], int(constant.sum()), 0, 0.0, 0.0, ())
            apart = torch.cat(others)[:, constant] - train[0, constant]
            waking = (apart != 0.0).any(0)
            varying = train[:, ~constant].var(0).mean() if bool((~constant).any()) else torch.tensor(0.0)
            moved = apart[:, waking].square().sum(1).mean() if bool(waking.any()) else torch.tensor(0.0)
            energy = float(moved / varying) if float(varying) > 0.0 else float(moved > 0.0)
            awake = float((apart != 0.0).any(1).double().mean())
            numbers = constant.nonzero().flatten()[waking][:NAMED]
            return cls(
                train.shape[1], len(constant.nonzero()), int(waking.sum()), energy, awake, tuple(numbers.tolist())
            )


def _features(data: Data) -> Tensor:
    parts = [part for part in inputs_of(data.head(SAMPLES)) if input_kind(part) is not InputKind.TOKENS]
    if not parts:
        raise NotMeasurable("the inputs are tokens, which are no features")
    return torch.cat([part.reshape(len(part), -1).float() for part in parts], 1)
