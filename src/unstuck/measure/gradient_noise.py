"""The gradient noise scale: how many samples a batch needs for its gradient to say more than its noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from unstuck.measure.first_steps import FirstSteps
from unstuck.measure.preparation import Prepared, Trained
from unstuck.measure.protocol import NotMeasurable, Unmeasured
from unstuck.measure.sample_gradients import FEWEST, sample_gradients
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated, one_thread, trainable


@final
@dataclass(frozen=True, slots=True)
class NoiseScale:
    """The noise of the gradient at one point of the run.

    McCandlish, Kaplan, Amodei et al., "An empirical model of large-batch training", 2018: B = tr Σ / |G|², with Σ the
    covariance of one sample's gradient and G its mean. A batch of B samples has as much noise as signal.

    Attributes:
        gradients: Number of gradients that it was told from.
        samples: Samples behind each of them.
        noise: Unbiased estimate of tr Σ.
        signal: Unbiased estimate of |G|²; may come out below 0 where there is next to none.
        scale: Their ratio, in samples; infinite where no signal was seen.
        low: Lower end of its 95 % interval.
        high: Upper end; infinite where the signal cannot be told from none.
    """

    gradients: int
    samples: int
    noise: float
    signal: float
    scale: float
    low: float
    high: float


@final
@dataclass(frozen=True, slots=True)
class GradientNoise:
    """The gradient noise scale against the batch size.

    Attributes:
        batch_size: Samples per batch.
        batches_per_update: Batches behind one step of the optimizer, as the first steps showed.
        updates_per_epoch: Steps of the optimizer in one pass; NaN where the number of batches is not known.
        start: At the weights that the run starts from.
        end: At those that it ends with; None where they are no numbers.
    """

    cost: ClassVar[float] = 0.1

    batch_size: int
    batches_per_update: float
    updates_per_epoch: float
    start: NoiseScale
    end: NoiseScale | None

    @classmethod
    def measure(cls, prepared: Prepared, trained: Trained, first_steps: FirstSteps | Unmeasured) -> GradientNoise:
        """Take gradients on parts of the training split, at both ends of the run.

        Args:
            prepared: The set-up.
            trained: The run as given.
            first_steps: Tell how many batches make a step.

        Returns:
            The measurement.

        Raises:
            NotMeasurable: If there is no loss outside `train_step`, or too few gradients can be had.
        """
        setup = prepared.setup
        each = first_steps.calls / first_steps.steps if isinstance(first_steps, FirstSteps) else 1.0
        count = setup.train.batches_per_epoch
        state = trained.run.model.state_dict()
        finite = all(bool(torch.isfinite(part).all()) for part in state.values() if part.is_floating_point())
        return cls(
            batch_size=setup.train.batch_size,
            batches_per_update=each,
            updates_per_epoch=math.nan if count is None else count / each,
            start=noise_at(setup),
            end=noise_at(setup, state) if finite else None,
        )

    @property
    def samples_per_update(self) -> float:
        """Samples behind one step of the optimizer."""
        return self.batch_size * self.batches_per_update


def noise_at(setup: Setup, state: dict[str, Tensor] | None = None) -> NoiseScale:
    """The noise scale at given weights, in training mode.

    Args:
        setup: What is trained.
        state: Weights and buffers; those of a fresh model where not given.

    Returns:
        The noise scale.

    Raises:
        NotMeasurable: If there is no loss outside `train_step`, or too few gradients can be had.
    """
    if setup.loss is None:
        raise NotMeasurable("the loss is inside train_step; give `loss` as well")
    with trainable(), isolated(setup.seed), one_thread():
        own, model, _ = setup.fresh()
        if state is not None:
            model.load_state_dict(state)
        model.train()
        return noise_scale(*sample_gradients(own, model))


def noise_scale(gradients: Tensor, samples: int) -> NoiseScale:
    """The noise scale from gradients on disjoint parts of equal size.

    With K gradients of mean ḡ and summed variance S, `samples · S` is tr Σ and |ḡ|² − S / K is |G|², both without
    bias: the two-batch estimate of McCandlish et al. (2018, appendix A.1) with K small batches and one large one. The
    interval is Fieller's ("Some problems in interval estimation", 1954) with the jackknife's covariance, so that it is
    unbounded where the signal cannot be told from none.

    Args:
        gradients: Shape `[K, P]`.
        samples: Samples behind each.

    Returns:
        The noise scale.

    Raises:
        NotMeasurable: If there are fewer than `FEWEST`, or they hold NaN, or are all zero.
    """
    count = len(gradients)
    if count < FEWEST:
        raise NotMeasurable(f"only {count} gradients could be taken; {FEWEST} are needed to tell their noise")
    whole = gradients.double()
    whole = whole / whole.abs().amax().clamp_min(1e-300)  # the squares of small gradients must not vanish
    squares, total = whole.square().sum(1), whole.sum(0)
    if not bool(torch.isfinite(squares).all()) or not float(squares.sum()) > 0.0:
        raise NotMeasurable("the gradients are zero or no finite numbers")
    noise, signal = _unbiased(squares.sum(), total.square().sum(), count, samples)
    without = total.square().sum() - 2.0 * (whole @ total) + squares
    pairs = torch.stack(_unbiased(squares.sum() - squares, without, count - 1, samples))
    deviations = pairs - pairs.mean(1, keepdim=True)
    covariance = (count - 1) / count * deviations @ deviations.T
    low, high = _fieller(float(noise), float(signal), covariance.tolist(), count)
    scale = float(noise / signal) if signal > 0.0 else math.inf
    return NoiseScale(count, samples, float(noise), float(signal), scale, min(low, scale), max(high, scale))


def _unbiased(squares: Tensor, of_sum: Tensor, count: int, samples: int) -> tuple[Tensor, Tensor]:
    """Noise tr Σ and signal |G|² from the sum of squared norms and the squared norm of the sum."""
    spread = (squares - of_sum / count) / (count - 1)
    return samples * spread, of_sum / count**2 - spread / count


def _fieller(above: float, below: float, covariance: list[list[float]], count: int) -> tuple[float, float]:
    """The positive ratios `above / below` that the estimates do not contradict."""
    from scipy.special import stdtrit

    t = float(stdtrit(count - 1, 0.975)) ** 2
    a = below**2 - t * covariance[1][1]
    b = above * below - t * covariance[0][1]
    c = above**2 - t * covariance[0][0]
    if b * b < a * c:
        return 0.0, math.inf
    root = math.sqrt(b * b - a * c)
    if a > 0.0:
        return max(0.0, (b - root) / a), max(0.0, (b + root) / a)
    return max(0.0, max((b - root) / a, (b + root) / a)) if a < 0.0 else 0.0, math.inf
