"""Streamed ridge regression equals the dense solution."""

import pytest
import torch
from memory import following

from stitchc.passes.numerics.ridge import (
    Moments,
    choose_ridges,
    correction,
    errors,
    moments_bytes,
    residual,
    solve,
    solving_bytes,
)


def moments_of(x, y, batch=7):
    sums = Moments.zeros(x.shape[1], y.shape[1])
    for part in range(0, len(x), batch):
        sums.add(x[part : part + batch], y[part : part + batch])
    return sums


def data(n=200, features=6, channels=3, noise=0.0):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, features, generator=g, dtype=torch.float64) + 5
    w = torch.randn(channels, features, generator=g, dtype=torch.float64)
    y = x @ w.T - 2 + noise * torch.randn(n, channels, generator=g, dtype=torch.float64)
    return x, y, w


def test_without_noise_the_weights_come_back():
    x, y, w = data()
    found = solve(moments_of(x, y), 1e-12)
    torch.testing.assert_close(found.weight, w, atol=1e-8, rtol=0)
    torch.testing.assert_close(found.bias, torch.full((3,), -2.0, dtype=torch.float64), atol=1e-7, rtol=0)
    assert residual(found, moments_of(x, y)) < 1e-12


def test_streaming_equals_the_dense_normal_equations():
    x, y, _ = data(noise=0.5)
    found = solve(moments_of(x, y), 0.1)
    xc, yc = x - x.mean(0), y - y.mean(0)
    penalty = 0.1 * (xc.T @ xc).diagonal().mean()
    want = torch.linalg.solve(xc.T @ xc + penalty * torch.eye(6, dtype=torch.float64), xc.T @ yc).T
    torch.testing.assert_close(found.weight, want)


def test_the_residual_is_the_unexplained_share_of_the_variance():
    x, y, _ = data(noise=2.0)
    found = solve(moments_of(x, y), 1e-3)
    error = (y - x @ found.weight.T - found.bias).square().sum()
    want = float(error / (y - y.mean(0)).square().sum())
    assert abs(residual(found, moments_of(x, y)) - want) < 1e-9


def test_held_out_rows_choose_a_larger_ridge_when_the_data_is_scarce():
    x, y, _ = data(n=60, features=40, noise=20.0)
    ridges = (1e-6, 1e-3, 1e-1, 1.0)
    ((scarce, _),) = choose_ridges(moments_of(x[:42], y[:42]), moments_of(x[42:], y[42:]), ridges)
    x, y, _ = data(n=4000, features=40, noise=0.01)
    ((ample, _),) = choose_ridges(moments_of(x[:3000], y[:3000]), moments_of(x[3000:], y[3000:]), ridges)
    assert scarce > ample


def test_rank_deficient_features_are_solved_all_the_same():
    x, y, _ = data()
    doubled = torch.cat([x, x], dim=1)
    assert residual(solve(moments_of(doubled, y), 0.0), moments_of(doubled, y)) < 1e-6


def test_a_correction_in_groups_is_the_minimiser_in_each():
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(3, 400, n, generator=generator) for n in (5, 2))
    sums = Moments.zeros(5, 2, groups=3)
    for part in (slice(0, 150), slice(150, 400)):
        sums.add_roughly(x[:, part], y[:, part])
    found = correction(sums, 0.1)
    for group in range(3):
        design = torch.cat([x[group], torch.ones(400, 1)], 1).double()
        penalty = 0.1 * x[group].double().square().sum(0).mean() * torch.eye(6).double()
        penalty[5, 5] = 0
        want = torch.linalg.solve(design.T @ design + penalty, design.T @ y[group].double())
        torch.testing.assert_close(found.weight[group], want[:5].T, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(found.bias[group], want[5], rtol=1e-5, atol=1e-6)
        left = (
            (y[group].double() - design @ torch.cat([found.weight[group].T, found.bias[group][None]])).square().sum(0)
        )
        torch.testing.assert_close(errors(found, sums)[group], left, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("of", "groups"), [(solve, None), (correction, 1), (correction, 7)])
def test_solving_takes_no_more_memory_than_it_says(of, groups):
    features, channels = 60, 40
    sums = Moments.zeros(features, channels, groups)
    lead = () if groups is None else (groups,)
    x, y = (torch.randn(*lead, 200, n) for n in (features, channels))
    (sums.add if groups is None else sums.add_roughly)(x, y)
    stored = sum(t.nbytes for t in (sums.x, sums.y, sums.xx, sums.xy, sums.yy))
    assert stored <= moments_bytes(features, channels, groups or 1)
    with following() as memory:
        errors(of(sums, 1e-3), sums)
    assert memory.peak_bytes <= solving_bytes(features, channels, groups or 1)


@pytest.mark.parametrize(("groups", "roughly"), [(None, False), (None, True), (2, True)])
def test_the_product_of_many_features_is_whole_though_only_half_is_computed(groups, roughly):
    lead = () if groups is None else (groups,)
    x, y = (torch.randn(*lead, 50, n, generator=torch.Generator().manual_seed(0)) for n in (700, 3))
    sums = Moments.zeros(700, 3, groups)
    for part in (slice(0, 20), slice(20, 50)):
        (sums.add_roughly if roughly else sums.add)(x[..., part, :], y[..., part, :])
    torch.testing.assert_close(sums.xx, x.double().mT @ x.double(), rtol=1e-5, atol=1e-5)
    assert torch.equal(sums.xx, sums.xx.mT)
