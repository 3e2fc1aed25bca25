"""The model is too small for what the data hold.

## What it checks
Whether the training loss stays high although the optimisation is not to blame: the same network, trained as well as it
can be, does not get much lower, while the same network made larger does.

## Why it hurts
A network can only compute the functions that its weights allow for. If none of them fits the data, no optimizer, rate
or number of epochs finds one: the loss comes to rest at a floor that belongs to the architecture, on training and
held-out data alike. Two units in a hidden layer, for one, leave everything behind them two numbers to work with.

## How it is measured
The user's own network is trained from sound starts by Adam at several rates on standardised inputs; so is a copy with
hidden layers eight times as wide; and reference learners (linear, gradient boosting, a small network) are fitted. The
suspicion is raised if the larger copy goes lower than the run as given by a tenth of the span, and lower than the
first by a fifth. It is tested by widening the network, with everything else as
given, by 2, 4, 8 and 16, and is confirmed if training and held-out loss both fall.

## Remedy
Widen every hidden layer by the smallest factor that does nearly as well as the largest; a model without hidden layers
is given one, with a skip connection, in front of each linear one. Where a single layer is the narrow place, widening
that one is enough.

## When to leave it
A small model that is as good as the best learner is large enough, however few its units. If memory, time or
interpretability call for a small model, the floor is its price. Loss that other learners cannot beat on held-out data
either is in the data, not in the model.

## References
I. Goodfellow, Y. Bengio, A. Courville, "Deep learning", 2016, sections 5.2 and 11.4.1 (capacity and underfitting).
C. Zhang et al., "Understanding deep learning requires rethinking generalization", 2017.
H. Lee, "Machine learning: general guidance", lecture, 2021 (model bias told from optimisation by a larger model).
"""

from __future__ import annotations

from typing import Final

from torch import nn

from unstuck import patients
from unstuck.edits.deepening import with_blocks
from unstuck.edits.passes import shapes
from unstuck.edits.widening import narrowed, widened
from unstuck.errors import RemedyError
from unstuck.measure.comparison import LARGE, LARGER_MODEL, MOST_OF_IT, SAME_MODEL, Comparator, Comparison
from unstuck.measure.comparison import shortfall as missing
from unstuck.measure.task import Task
from unstuck.quantity import Quantity, Threshold
from unstuck.report import Applies, Evidence, Outcome, Verdict
from unstuck.rule import Case, Remedy, Rule
from unstuck.setup import Setup

STILL_SHORT: Final = Threshold(
    0.2,
    "share of the span from the best constant to the larger model",
    "twice what counts as a large shortfall, since the copy and the larger model are two trainings",
)

FACTORS: Final = (2, 4, 8, 16)
UNITS: Final = (16, 64)
"""Units of the hidden layers that are put in where there are none to widen."""

FAULT: Final = 2


def judge(comparison: Comparison) -> Verdict:
    """Suspect the size where the same model cannot and a larger one can go lower."""
    if comparison.settled:
        return Verdict(Outcome.ABSENT, f"There is little left to learn: {comparison.settled}.")
    best, same, larger = comparison.best(), comparison.best(SAME_MODEL), comparison.best(LARGER_MODEL)
    if best is None:
        return Verdict(Outcome.UNDECIDED, "Nothing could be compared.")
    shortfall = _shortfall("shortfall against the best comparison", best, LARGE)
    if not comparison.training_is_large:
        sentence = f"Nothing goes lower by as much as matters: {best.shortfall:.0%} of the span at most."
        return Verdict(Outcome.ABSENT, sentence, (shortfall,))
    if same is None:
        return Verdict(Outcome.UNDECIDED, "The same model could not be trained robustly.", (shortfall,))
    copy = _shortfall("shortfall against the same model, robustly trained", same, LARGE)
    if not comparison.beats_constant(SAME_MODEL):
        sentence = (
            "The same model does no better than a constant, however it is trained: its size is not what hinders it."
        )
        return Verdict(Outcome.ABSENT, sentence, (copy, shortfall))
    if larger is None:
        if comparison.closed_by(SAME_MODEL) >= MOST_OF_IT.value:
            sentence = "The same model, robustly trained, closes most of the shortfall: it is large enough."
            return Verdict(Outcome.ABSENT, sentence, (copy, shortfall))
        sentence = "Other learners go lower than this model can, but no larger version of it could be trained."
        return Verdict(Outcome.UNDECIDED, sentence, (shortfall, copy))
    short = still_short(comparison)
    left = Evidence(
        Quantity("shortfall of the same model, robustly trained, against the model enlarged", short), STILL_SHORT
    )
    gain = _shortfall("shortfall against the model enlarged", larger, LARGE)
    if short >= STILL_SHORT.value and larger.shortfall >= LARGE.value and larger.low > 0.0:
        sentence = f"Trained as well as it can be, the model stays {short:.0%} of the span above the model enlarged."
        return Verdict(Outcome.PRESENT, sentence, (left, gain))
    sentence = "A larger version of the model does not go clearly lower than this one can."
    return Verdict(Outcome.ABSENT, sentence, (left, gain))


def still_short(comparison: Comparison) -> float:
    """What the same model, robustly trained, falls short of the larger one: the smaller of the two splits.

    Args:
        comparison: Holds both.

    Returns:
        Share of the span, on the scale (loss or error) on which it is larger; 0 where they cannot be compared.
    """
    found = [0.0]
    for same in comparison.comparators:
        for larger in comparison.comparators:
            if (same.kind, larger.kind) == (SAME_MODEL, LARGER_MODEL) and same.scale == larger.scale:
                by_loss = same.scale == "loss"
                training = comparison.constant_training if by_loss else 1.0
                held_out = comparison.constant_held_out if by_loss else 1.0
                on_training = missing(same.training, larger.training, training)
                found.append(min(on_training, missing(same.held_out, larger.held_out, held_out)))
    return max(found)


def _shortfall(name: str, comparator: Comparator, limit: Threshold) -> Evidence:
    return Evidence(Quantity(name, comparator.shortfall, "1", comparator.low, comparator.high), limit)


def shrink_layers(setup: Setup) -> Setup:
    """Leave every hidden layer two units.

    Args:
        setup: What is trained.

    Returns:
        The changed set-up.

    Raises:
        RemedyError: If there are no more outputs than that, for which two units may well be enough, or if the
            network is an autoencoder.
    """
    if Task.measure(setup).reconstructs:
        raise RemedyError("the network gives back its inputs, and a narrow middle is what such a network is for")
    outputs = max((shape[1] if len(shape) > 1 else 1 for shape in shapes(setup)), default=0)
    if outputs <= FAULT:
        raise RemedyError(f"with {outputs} outputs, {FAULT} units may well be enough")
    return narrowed(setup, FAULT)


def widen_layers(setup: Setup) -> tuple[Setup, ...]:
    """Widen every hidden layer by each of `FACTORS`, as far as memory and structure allow; else put hidden layers in.

    Args:
        setup: What is trained.

    Returns:
        One set-up a factor, the smallest first.

    Raises:
        RemedyError: If the structure could not be enlarged.
    """
    found: list[Setup] = []
    reason = ""
    for factor in FACTORS:
        try:
            found.append(widened(setup, factor))
        except RemedyError as error:
            reason = str(error)
    for units in () if found else UNITS:
        try:
            found.append(with_blocks(setup, units))
        except RemedyError as error:
            reason = f"{reason}; {error}"
    if not found:
        raise RemedyError(reason)
    return tuple(found)


RULE = Rule(
    code="CAP001",
    judge=judge,
    fault=shrink_layers,
    remedy=Remedy("Widen the hidden layers, or put some in where there are none.", widen_layers, Applies.OPT_IN),
    cases=(
        Case(
            "two hidden units for classes that lie one inside the other",
            lambda: patients.shells(lambda: patients.perceptron(4, 2, 3)),
            Outcome.PRESENT,
        ),
        Case(
            "a linear model for classes that no plane separates",
            lambda: patients.shells(lambda: nn.Linear(4, 3)),
            Outcome.PRESENT,
        ),
        Case("thirty-two units a layer for the same classes", patients.shells, Outcome.ABSENT),
        Case(
            "a linear model, the smallest there is, for a linear dependence",
            lambda: patients.regression(lambda: patients.perceptron(3, 1), linear=True),
            Outcome.ABSENT,
        ),
        Case(
            "a network that is large enough and hardly trained",
            lambda: patients.shells(optimizer=patients.adam(3e-5)),
            Outcome.ABSENT,
        ),
    ),
    explained_by=(
        *(f"SET{number:03d}" for number in range(1, 21)),
        "DAT006",
        "OPT006",
        "OPT011",
        "CAP002",
        "CAP003",
        "MIS005",
    ),
)
