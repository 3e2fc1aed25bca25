"""The inputs come in scales that a network's start is not made for.

## What it checks
Whether inputs are far from mean 0 and scale 1, in one of three ways: as a whole (pixels from 0 to 255, incomes),
feature against feature (an age beside a salary), or by their offset (years around 2000). Tokens have no scale.

## Why it hurts
The gradient of a first-layer weight is proportional to its input. Where features differ by a factor of 10, the
curvature of the loss differs by a factor of 100 between directions, and no rate suits both: the one that is safe for
the large feature leaves the small one unlearnt. Large inputs also drive sigmoid and tanh units into saturation, and
ReLU units all to one side. Many cases of a loss that does not move end here.

## How it is measured
From at most 2000 training samples: the root mean square of each feature (of each channel for images and sequences).
Their geometric mean is the typical size; the largest is held against it; and the offset is the mean over the standard
deviation of the median feature. The trial standardises the inputs by a fixed layer inside the model.

## Remedy
Subtract the mean of the training split and divide by its standard deviation, feature by feature, in every split
alike. Scaling to [0, 1] and whitening (PCA, ZCA) do as well; the statistics must not come from the test data.

## When to leave it
A normalisation layer in front takes any scale, and such a set-up is not reported. Tree-like inputs, counts and pixels
that train as well as they are, as pixels from 0 to 16 do, are cleared by the comparison with a standardised copy.

## References
LeCun, Bottou, Orr & Müller, "Efficient BackProp", 1998, section 4.3 (means near 0, equal covariances; why).
LeCun, Kanter & Solla, "Eigenvalues of covariance matrices", PRL 66, 1991 (offsets make one eigenvalue large).
Zhang et al., "AutoTrainer: an automatic DNN training problem detection and repair system", ICSE 2021.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor, nn

from unstuck.edits.scaling import spread_feature_scales, standardise_inputs
from unstuck.errors import RemedyError
from unstuck.measure.data_summary import Columns, DataSummary
from unstuck.measure.features import InputKind
from unstuck.measure.layout import Layout
from unstuck.measure.preparation import Prepared
from unstuck.patients import perceptron, regression
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated

FAR: Final = Threshold(
    10.0,
    "1",
    "a factor of 10 in scale is one of 100 in curvature, and so in steps (LeCun et al. 1998, section 4.3)",
)
RATE_SHARES: Final = (0.1, 1.0)
"""Of the factor that keeps rate × curvature where it was: rates are seldom as high as the large inputs bore."""

NORMS: Final = ("BatchNorm", "InstanceNorm", "LayerNorm", "GroupNorm", "RMSNorm", "LazyBatchNorm")


def judge(data: DataSummary, layout: Layout) -> Verdict:
    """Suspect inputs whose size, spread of sizes, or offset is out by a factor of ten."""
    numbers = [part.columns for part in data.train.inputs if part.kind is not InputKind.TOKENS]
    if not numbers:
        return Verdict(Outcome.ABSENT, "The inputs are tokens, which have no scale.")
    signs = [sign for columns in numbers for sign in _signs(columns)]
    signs.sort(key=lambda sign: sign[0], reverse=True)
    evidence = tuple(Evidence(quantity, FAR) for _, quantity in signs)
    factor, worst = signs[0]
    norm = _norm_in_front(layout)
    if norm:
        return Verdict(Outcome.ABSENT, f"{norm} in front of the first layer takes inputs of any scale.", evidence)
    if math.isnan(factor):
        return Verdict(Outcome.UNDECIDED, "The inputs hold no finite numbers that vary.", evidence)
    sentence = f"The {worst.name} is {worst.value:.3g}"
    if factor >= math.log(FAR.value):
        return Verdict(Outcome.PRESENT, f"{sentence}, far from what a network's start is made for.", evidence)
    return Verdict(Outcome.ABSENT, f"{sentence}: within a factor of {FAR.value:g}.", evidence)


def _signs(columns: Columns) -> tuple[tuple[float, Quantity], ...]:
    """Typical size, largest against typical size, and offset, each behind the logarithm of the factor it is out by."""
    pairs = list(zip(columns.means, columns.scales, strict=True)) or [(columns.mean, columns.scale)]
    varying = [(mean, scale) for mean, scale in pairs if scale > 1e-7 * abs(mean) and scale > 0.0]
    sizes = [math.hypot(mean, scale) for mean, scale in varying]
    finite = bool(sizes) and all(math.isfinite(size) for size in sizes)
    typical = math.exp(statistics.fmean(map(math.log, sizes))) if finite else math.nan
    offset = statistics.median(abs(mean) / scale for mean, scale in varying) if finite else math.nan
    spread = max(sizes) / typical if finite else math.nan
    return (
        # Inputs may be too small as well as too large.
        (abs(_logarithm(typical)), Quantity("typical size (root mean square) of an input feature", typical)),
        (_logarithm(spread), Quantity("largest size of an input feature / typical size", spread)),
        (_logarithm(offset), Quantity("offset of a typical input feature (mean / standard deviation)", offset)),
    )


def _logarithm(value: float) -> float:
    """Natural logarithm of a number that is not negative; minus infinity for 0."""
    return -math.inf if value == 0.0 else math.log(value)


def _norm_in_front(layout: Layout) -> str:
    """The kind of a normalisation layer that the inputs meet first; "" where there is none."""
    first = layout.layers[0].kind if layout.layers else ""
    return first if first.startswith(NORMS) else ""


def leave_as_measured(setup: Setup) -> Setup:
    """Give features scales of several orders of magnitude, as measurements in mixed units have."""
    if _norm_in_front(Layout.measure(Prepared.measure(setup))):
        raise RemedyError("a normalisation layer in front takes inputs of any scale")
    return spread_feature_scales(setup)


def standardise(setup: Setup, data: DataSummary) -> tuple[Setup, ...]:
    """Standardise the inputs inside the model; for plain gradient descent also with the rate that goes with it.

    The largest rate that gradient descent bears falls with the square of the inputs' size. A rate that was lowered
    until large inputs did not diverge is too low once they are standardised.

    Args:
        setup: What to change.
        data: Tells the size of the inputs.

    Returns:
        The changed set-ups, at the rate as given first.
    """
    scaled = standardise_inputs(setup)
    numbers = [part.columns for part in data.train.inputs if part.kind is not InputKind.TOKENS]
    size = max((math.hypot(columns.mean, columns.scale) for columns in numbers), default=1.0)
    with isolated(setup.seed):
        plain = isinstance(setup.build()[1], torch.optim.SGD)
    if not plain or not FAR.value <= size < math.inf:
        return (scaled,)
    return (
        scaled,
        *(replace(scaled, optimizer=scaled.optimizer.with_rate_times(share * size**2)) for share in RATE_SHARES),
    )


def _mixed_units(values: Tensor) -> Tensor:
    return values * torch.tensor([0.01, 1.0, 300.0]) + torch.tensor([0.0, 0.0, 1000.0])


RULE = Rule(
    code="DAT001",
    judge=judge,
    fault=leave_as_measured,
    remedy=Remedy(
        "Standardise the inputs with mean and deviation of the training split, in every split alike.",
        standardise,
        Applies.SAFE,
    ),
    cases=(
        Case(
            "three features in units that differ by five orders of magnitude",
            lambda: regression(inputs=_mixed_units),
            Outcome.PRESENT,
        ),
        Case("features of mean 0 and scale 1", regression, Outcome.ABSENT),
        Case(
            "near miss: the same mixed units in front of a batch-norm",
            lambda: regression(lambda: nn.Sequential(nn.BatchNorm1d(3), perceptron(3, 24, 1)), inputs=_mixed_units),
            Outcome.ABSENT,
        ),
        Case(
            "near miss: features four times too large, around one",
            lambda: regression(inputs=lambda values: 4.0 * values + 1.0),
            Outcome.ABSENT,
        ),
    ),
)
