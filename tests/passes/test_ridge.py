"""Streamed ridge regression equals the dense solution."""

import torch

from stitchc.passes.numerics.ridge import Moments, choose_ridge, residual, solve


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
    scarce, _ = choose_ridge(moments_of(x[:42], y[:42]), moments_of(x[42:], y[42:]), ridges)
    x, y, _ = data(n=4000, features=40, noise=0.01)
    ample, _ = choose_ridge(moments_of(x[:3000], y[:3000]), moments_of(x[3000:], y[3000:]), ridges)
    assert scarce > ample


def test_rank_deficient_features_are_solved_all_the_same():
    x, y, _ = data()
    doubled = torch.cat([x, x], dim=1)
    assert residual(solve(moments_of(doubled, y), 0.0), moments_of(doubled, y)) < 1e-6
