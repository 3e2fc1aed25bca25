"""Shares of the classes in data without labels, from what a classifier says of them."""

from __future__ import annotations

from typing import Final

import numpy as np

from unstuck.measure.features import Table
from unstuck.measure.learners import Whole

ROUNDS: Final = 500
"""Rounds of expectation and maximisation at most."""

SETTLED: Final = 1e-7
"""Change of a share below which they end."""

LEAST: Final = 1e-12


def by_confusion(held_out: Table, truth: Whole, test: Table) -> Table:
    """Class shares by inverting the confusion matrix.

    Lipton, Wang & Smola, "Detecting and correcting for label shift with black box predictors" (ICML 2018): the mean of
    the predicted probabilities is the mixture of what the classifier says of each class. Solved by least squares with
    shares that are not negative, which takes a matrix that is hard to invert as well.

    Args:
        held_out: Predicted probabilities of held-out samples, `[N, C]`.
        truth: Their classes, `[N]`.
        test: Predicted probabilities of the test samples, `[M, C]`.

    Returns:
        Shares that sum to 1, `[C]`; 0 for a class without held-out samples.
    """
    from scipy.optimize import nnls

    classes = held_out.shape[1]
    said = np.zeros((classes, classes))
    for number in np.unique(truth):
        said[:, number] = held_out[truth == number].mean(0)
    # One more equation with a large weight: they sum to 1.
    heavy = 1e3
    matrix = np.concatenate([said, heavy * np.isin(np.arange(classes), truth).astype(np.float64)[None]])
    shares = nnls(matrix, np.append(test.mean(0), heavy))[0]
    return np.asarray(shares / max(float(shares.sum()), LEAST))


def by_expectation(test: Table, prior: Table) -> Table:
    """Class shares by expectation and maximisation.

    Saerens, Latinne & Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities", Neural
    Computation 14 (2002): weight the probabilities by the ratio of new to old shares, and take their mean as the new
    shares, until they settle at the maximum of the likelihood.

    Args:
        test: Predicted, calibrated probabilities of the test samples, `[M, C]`.
        prior: Class shares that they were learnt from, `[C]`.

    Returns:
        Shares that sum to 1, `[C]`.
    """
    shares = prior.copy()
    for _ in range(ROUNDS):
        joint = test * (shares / np.maximum(prior, LEAST))
        joint = joint / np.maximum(joint.sum(1, keepdims=True), LEAST)
        new = joint.mean(0)
        settled = float(np.abs(new - shares).max()) < SETTLED
        shares = new
        if settled:
            break
    return np.asarray(shares)


def calibration(logits: Table, truth: Whole) -> tuple[float, Table]:
    """A temperature and an offset of each class under which probabilities are those of held-out samples.

    Alexandari, Kundaje & Shrikumar, "Maximum likelihood with bias-corrected calibration is hard-to-beat at label shift
    adaptation" (ICML 2020): without it, an overconfident network misleads expectation and maximisation. A standard
    normal prior on offsets and log-temperature holds back what few samples of a class would overdo.

    Args:
        logits: Of held-out samples, `[N, C]`.
        truth: Their classes, `[N]`.

    Returns:
        Factor on the logits, and offsets `[C]`.
    """
    from scipy.optimize import minimize

    count, classes = logits.shape
    hot = np.zeros_like(logits)
    hot[np.arange(count), truth] = 1.0

    def cost(values: Table) -> tuple[float, Table]:
        factor, offsets = np.exp(values[0]), values[1:]
        chances = softmax(factor * logits + offsets)
        wrong = (chances - hot) / count
        loss = -float(np.log(np.maximum((chances * hot).sum(1), LEAST)).mean()) + 0.5 * float((values**2).sum()) / count
        slope = np.append(float((wrong * logits).sum()) * factor, wrong.sum(0)) + values / count
        return loss, slope

    found = minimize(cost, np.zeros(classes + 1), jac=True, method="L-BFGS-B", bounds=[(-5, 5)] * (classes + 1)).x
    return float(np.exp(found[0])), np.asarray(found[1:])


def softmax(logits: Table) -> Table:
    """Probabilities `[N, C]`."""
    lifted = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(lifted / lifted.sum(1, keepdims=True))
