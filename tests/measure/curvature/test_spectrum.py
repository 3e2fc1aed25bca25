"""Eigenvalues, trace and density of matrices whose spectrum is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from unstuck.measure.curvature import estimate_trace, extreme_eigenpairs, spectral_density

SIZE = 120


def matrix(values: Tensor, seed: int = 0) -> Tensor:
    """A symmetric matrix with these eigenvalues and random eigenvectors."""
    draws = torch.Generator().manual_seed(seed)
    vectors = torch.linalg.qr(torch.randn(len(values), len(values), generator=draws, dtype=torch.float64))[0]
    return vectors @ torch.diag(values.double()) @ vectors.T


def start(size: int, seed: int = 1) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


SPECTRA = {
    "one outlier at the top": torch.cat([torch.linspace(0.0, 1.0, SIZE - 1), torch.tensor([20.0])]),
    "both signs": torch.linspace(-3.0, 7.0, SIZE),
    "a small negative one below many": torch.cat([torch.tensor([-0.05]), torch.linspace(0.01, 10.0, SIZE - 1)]),
    "clustered ends": torch.cat([torch.full((60,), -1.0), torch.full((60,), 2.0)]) + torch.linspace(0, 1e-3, SIZE),
    "all negative": -torch.logspace(-3, 2, SIZE),
    "mostly nothing": torch.cat([torch.zeros(SIZE - 3), torch.tensor([-1e-3, 0.5, 40.0])]),
}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("seed", range(3))
def test_both_ends_with_honest_bounds(name: str, seed: int) -> None:
    values = SPECTRA[name].double().sort().values
    operator = matrix(values, seed)
    found = extreme_eigenpairs(lambda v: operator @ v, start(SIZE, seed))
    scale = float(values.abs().max())
    assert found.converged == (True, True)
    for pair, true in ((found.smallest, float(values[0])), (found.largest, float(values[-1]))):
        assert float((values - pair.value).abs().min()) <= pair.residual
        assert pair.value == pytest.approx(true, rel=2e-2, abs=2e-3 * scale)
        assert float((operator @ pair.vector - pair.value * pair.vector).norm()) <= pair.residual * 1.001
        assert float(pair.vector.norm()) == pytest.approx(1.0)
    assert found.smallest.value >= float(values[0]) - 1e-9 * scale
    assert found.largest.value <= float(values[-1]) + 1e-9 * scale


def test_restarts_find_what_a_small_basis_cannot() -> None:
    values = torch.linspace(0.0, 1.0, 2000).double() ** 0.1  # crowded at the top, so that many products are needed
    found = extreme_eigenpairs(lambda v: values * v, start(2000), ends=(False, True), tolerance=1e-4, most=400)
    assert found.products > 60 and found.converged[1]
    assert found.largest.value == pytest.approx(1.0, rel=1e-4)
    assert float((values * found.largest.vector - found.largest.value * found.largest.vector).norm()) <= 1.1e-4


def test_a_small_space_is_spanned_and_exact() -> None:
    operator = matrix(torch.tensor([-2.0, 0.0, 5.0]))
    found = extreme_eigenpairs(lambda v: operator @ v, start(3))
    assert found.complete and found.products <= 3
    assert found.smallest.value == pytest.approx(-2.0) and found.largest.value == pytest.approx(5.0)


def test_no_curvature_at_all_is_zero_at_both_ends() -> None:
    found = extreme_eigenpairs(torch.zeros_like, start(9))
    assert found.smallest.value == found.largest.value == 0.0 and found.converged == (True, True)


def test_a_sign_is_found_sooner_than_a_value() -> None:
    values = torch.cat([torch.linspace(-1.0, -0.9, 50), torch.linspace(0.0, 10.0, 450)]).double()
    whole = extreme_eigenpairs(lambda v: values * v, start(500), ends=(True, False))
    sign = extreme_eigenpairs(lambda v: values * v, start(500), ends=(True, False), sign_suffices=True)
    assert sign.products < whole.products and sign.smallest.value < -sign.smallest.residual


def test_products_are_bounded() -> None:
    values = torch.linspace(0.0, 1.0, 500).double()
    found = extreme_eigenpairs(lambda v: values * v, start(500), tolerance=1e-8, most=7)
    assert found.products == 7 and found.converged == (False, False)
    assert float((values - found.largest.value).abs().min()) <= found.largest.residual


def test_trace_is_near_and_its_interval_holds_it() -> None:
    values = torch.cat([torch.linspace(-0.1, 0.3, SIZE - 4), torch.tensor([10.0, 20.0, -5.0, 30.0])]).double()
    operator, held = matrix(values), 0
    for seed in range(40):
        found = estimate_trace(lambda v: operator @ v, start(SIZE), SIZE, seed=seed)
        held += float(values.sum()) in found.interval
        assert found.products <= 30 and found.value == pytest.approx(float(values.sum()), abs=6.0)
    assert held >= 35  # 38 of 40 are expected; fewer than 35 in 1 of 100 tables


def test_trace_of_low_rank_is_exact() -> None:
    values = torch.cat([torch.zeros(SIZE - 4), torch.tensor([1.0, 2.0, -5.0, 30.0])])
    operator = matrix(values)
    found = estimate_trace(lambda v: operator @ v, start(SIZE), SIZE)
    assert found.value == pytest.approx(28.0, abs=1e-8)


def test_trace_in_a_tiny_space_is_exact() -> None:
    operator = matrix(torch.tensor([-2.0, 0.5, 5.0]))
    found = estimate_trace(lambda v: operator @ v, start(3), 3)
    assert found.value == pytest.approx(3.5) and found.interval.low == found.interval.high


def test_density_has_the_moments_and_the_share_below_zero() -> None:
    values = torch.cat([torch.linspace(-2.0, -1.0, 30), torch.linspace(1.0, 4.0, 90)]).double()
    operator = matrix(values)
    found = spectral_density(lambda v: operator @ v, start(SIZE), SIZE, probes=30, steps=20)
    assert all(math.fsum(weights) == pytest.approx(1.0) for weights in found.weights)
    share = found.share_below(0.0)
    assert share.value == pytest.approx(0.25, abs=0.03) and share.low is not None and share.low <= 0.25 <= share.high
    assert found.minimum_ratio() == pytest.approx(0.75, abs=0.03)
    assert found.quantile(0.5) == pytest.approx(float(values.median()), abs=0.3)
    grid = [-4.0 + 0.01 * step for step in range(1001)]
    density = found.at(grid, 0.1)
    assert math.fsum(density) * 0.01 == pytest.approx(1.0, abs=1e-3)
    mean = math.fsum(d * x for d, x in zip(density, grid, strict=True)) * 0.01
    assert mean == pytest.approx(float(values.mean()), abs=0.1)
    assert density[400] < 0.02 < density[650]  # nothing at 0, much at 2.5


def test_zero_eigenvalues_count_as_not_negative() -> None:
    values = torch.cat([torch.zeros(100), torch.linspace(1.0, 2.0, 20)])
    operator = matrix(values)
    found = spectral_density(lambda v: operator @ v, start(SIZE), SIZE)
    assert found.minimum_ratio(1e-9) == pytest.approx(1.0)
