"""Step times curvature against what the optimizer bears."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from unstuck.errors import UnstuckError
from unstuck.loop.stages import take_step
from unstuck.measure.course import Course
from unstuck.measure.curvature.lanczos import extreme_eigenpairs
from unstuck.measure.curvature.trace import random_normal
from unstuck.measure.curvature.training import surface_of
from unstuck.measure.preparation import Prepared
from unstuck.measure.protocol import NotMeasurable
from unstuck.setup import Setup
from unstuck.setup.randomness import isolated, one_thread, seeded, trainable

SAMPLES: Final = 256
"""Training samples that the curvature is taken on."""

WARM_STEPS: Final = 10
"""Steps before an optimizer that scales by past gradients is looked at: one alone knows no scale yet."""

SECONDS: Final = 0.5
"""Wall time for the steps that warm the optimizer up, and as much for the curvature."""

MOST_PRODUCTS: Final = 30
"""Hessian products for the largest curvature at most."""


@final
@dataclass(frozen=True, slots=True)
class StepCurvature:
    """Learning rate times curvature, in units of what the optimizer bears on a quadratic.

    Attributes:
        optimizer: Its class.
        rate: Its learning rate, the largest of its groups.
        curvature: Largest eigenvalue of the Hessian, in the optimizer's own scale (P^-½ H P^-½) where it has one.
        residual: An eigenvalue lies within that distance of `curvature`.
        limit: What rate × curvature must stay below: 2 for gradient descent.
        steps: Steps that were taken before it was measured.
    """

    cost: ClassVar[float] = 0.5

    optimizer: str
    rate: float
    curvature: float
    residual: float
    limit: float
    steps: int

    @property
    def ratio(self) -> float:
        """Rate × curvature over the limit: beyond 1 the steepest direction swings ever wider."""
        return self.rate * self.curvature / self.limit if self.limit > 0.0 else math.nan

    @classmethod
    def measure(cls, prepared: Prepared, course: Course) -> StepCurvature:
        """Measure it where the loss rose; elsewhere nobody needs to know.

        Args:
            prepared: The set-up.
            course: What the loss did.

        Returns:
            The product with its limit.

        Raises:
            NotMeasurable: If the loss never rose, it cannot be differentiated twice, or the optimizer's limit is not
                known.
        """
        if course.non_finite_at < 0 and course.end < course.start and course.highest <= course.start:
            raise NotMeasurable("the loss never rose above its start, so no step was too long")
        return step_curvature(prepared.setup)


def step_curvature(setup: Setup) -> StepCurvature:
    """Measure near the start of training: at it for gradient descent, after a few steps for scaled steps.

    Args:
        setup: What is trained; nothing of it is touched.

    Returns:
        The product with its limit.

    Raises:
        NotMeasurable: If the loss cannot be differentiated twice, or the optimizer's limit is not known.
    """
    deadline = time.monotonic() + SECONDS
    try:
        with trainable(), isolated(setup.seed), one_thread():
            own, model, optimizer = setup.fresh()
            model.train()
            limit = stability_limit(optimizer)
            batches = own.train.batches(seeded(setup.seed))
            warm = WARM_STEPS if _second_moment(optimizer) else 0
            steps = 0
            for _, batch in zip(range(warm), batches, strict=False):
                if time.monotonic() > deadline or not math.isfinite(
                    float(take_step(own, model, optimizer, own.placed(batch)))
                ):
                    break
                steps += 1
            rate = plain_rate(setup, optimizer)
            surface = surface_of(own, model, own.train.head(SAMPLES))
            roots = _inverse_roots(optimizer, surface.parameters)
            decay = _coupled_decay(optimizer)
            found = extreme_eigenpairs(
                lambda vector: roots * (surface.product(roots * vector) + decay * roots * vector),
                random_normal(surface.like, surface.size, setup.seed),
                ends=(False, True),
                most=MOST_PRODUCTS,
                deadline=deadline + SECONDS,
            ).largest
    except UnstuckError as error:
        raise NotMeasurable(str(error)) from error
    if not math.isfinite(found.value):
        raise NotMeasurable("the curvature is not finite")
    return StepCurvature(type(optimizer).__name__, rate, found.value, found.residual, limit, steps)


def stability_limit(optimizer: Optimizer) -> float:
    """Largest rate × curvature at which an optimizer does not diverge on a quadratic.

    2 for gradient descent; 2 (1 + β) / (1 − τ) for heavy-ball momentum β with dampening τ, 2 (1 + β) / (1 + 2 β) for
    Nesterov's (B. Polyak 1964; Cohen et al. 2021, appendix B); for Adam, in its own scale, 2 (1 + β₁) / (1 − β₁), 38 at
    β₁ = 0.9 (J. Cohen et al., "Adaptive gradient methods at the edge of stability", 2022, section 3).

    Args:
        optimizer: Its first group counts.

    Returns:
        The limit.

    Raises:
        NotMeasurable: If the limit of such an optimizer is not known.
    """
    group = optimizer.param_groups[0]
    if isinstance(optimizer, torch.optim.SGD):
        beta, dampening = float(group["momentum"]), float(group["dampening"])
        if group["nesterov"]:
            return 2.0 * (1.0 + beta) / (1.0 + 2.0 * beta)
        return 2.0 * (1.0 + beta) / (1.0 - dampening if beta > 0.0 else 1.0)
    if isinstance(optimizer, (torch.optim.Adam, torch.optim.AdamW)):
        beta = float(group["betas"][0])
        return 2.0 * (1.0 + beta) / (1.0 - beta)
    if isinstance(optimizer, torch.optim.RMSprop) and not group["centered"]:
        return 2.0 * (1.0 + float(group["momentum"]))
    if isinstance(optimizer, torch.optim.Adagrad):
        return 2.0
    raise NotMeasurable(f"the stability limit of {type(optimizer).__name__} is not known")


def _coupled_decay(optimizer: Optimizer) -> float:
    """Weight decay that is part of the gradient, and so of the curvature; AdamW's is not."""
    if isinstance(optimizer, torch.optim.AdamW) or optimizer.param_groups[0].get("decoupled_weight_decay", False):
        return 0.0
    return max(float(group.get("weight_decay", 0.0)) for group in optimizer.param_groups)


def plain_rate(setup: Setup, optimizer: Optimizer) -> float:
    """The learning rate that a set-up's optimizer begins with, the largest of its groups."""
    return max(float(group["lr"]) for group in optimizer.param_groups) * setup.optimizer.rate_factor


def scales_steps(optimizer: Optimizer) -> bool:
    """Whether an optimizer divides each direction's step by the size of past gradients."""
    return not isinstance(optimizer, torch.optim.SGD)


def _second_moment(optimizer: Optimizer) -> str:
    """Name of the state that steps are scaled by; "" for gradient descent."""
    if isinstance(optimizer, (torch.optim.Adam, torch.optim.AdamW)):
        return "max_exp_avg_sq" if optimizer.param_groups[0]["amsgrad"] else "exp_avg_sq"
    return {torch.optim.RMSprop: "square_avg", torch.optim.Adagrad: "sum"}.get(type(optimizer), "")


def _inverse_roots(optimizer: Optimizer, parameters: tuple[nn.Parameter, ...]) -> Tensor:
    """P^-½ as a flat vector, shape `[P]`: 1 for gradient descent; 0 for parameters that the optimizer does not move."""
    known = {id(p): scale for p, scale in _scales(optimizer)}
    parts = []
    for parameter in parameters:
        scale = known.get(id(parameter))
        parts.append(torch.zeros_like(parameter) if scale is None else scale.rsqrt() * torch.ones_like(parameter))
    return torch.cat([part.detach().reshape(-1) for part in parts])


def _scales(optimizer: Optimizer) -> Iterator[tuple[Any, Tensor]]:
    """What each parameter's step is divided by.

    Adam's is (1 − β₁ᵗ) (√(v / (1 − β₂ᵗ)) + ε) (Cohen et al. 2022, equation 2).

    Args:
        optimizer: After some steps.

    Yields:
        A parameter with its divisor; parameters that took no step yet are left out where that is not known.
    """
    name = _second_moment(optimizer)
    largest = max(float(group["lr"]) for group in optimizer.param_groups)
    for group in optimizer.param_groups:
        share = largest / float(group["lr"]) if float(group["lr"]) > 0.0 else math.inf
        for parameter in group["params"]:
            state = optimizer.state.get(parameter, {})
            if not name or name not in state:
                if not name:
                    yield parameter, torch.tensor(share, dtype=parameter.dtype, device=parameter.device)
                continue
            moment = state[name].detach().to(parameter)
            if isinstance(optimizer, (torch.optim.Adam, torch.optim.AdamW)):
                steps = float(state["step"])
                moment = moment / (1.0 - float(group["betas"][1]) ** steps)
                corrected = 1.0 - float(group["betas"][0]) ** steps
            else:
                corrected = 1.0
            yield parameter, share * corrected * (moment.sqrt() + float(group["eps"]))
