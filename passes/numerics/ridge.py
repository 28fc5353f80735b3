"""Ridge regression from streamed moments, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Moments:
    """Sums over rows x [features] and y [channels]: all that least squares needs of the data.

    yy: squares, [channels]; products of one channel with another play no part.
    """

    count: int
    x: Tensor
    y: Tensor
    xx: Tensor
    xy: Tensor
    yy: Tensor

    @classmethod
    def zeros(cls, features: int, channels: int, device: torch.device | None = None) -> Moments:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        return cls(
            0, zeros(features), zeros(channels), zeros(features, features), zeros(features, channels), zeros(channels)
        )

    def add(self, x: Tensor, y: Tensor) -> None:
        """Rows x [n, features] and y [n, channels]."""
        x, y = x.double(), y.double()
        self.count += len(x)
        self.x += x.sum(0)
        self.y += y.sum(0)
        self.xx.addmm_(x.T, x)
        self.xy.addmm_(x.T, y)
        self.yy += y.square().sum(0)

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.count + other.count,
            self.x + other.x,
            self.y + other.y,
            self.xx + other.xx,
            self.xy + other.xy,
            self.yy + other.yy,
        )

    def target(self, channels: slice) -> Moments:
        """The moments of some channels of y."""
        return Moments(self.count, self.x, self.y[channels], self.xx, self.xy[:, channels], self.yy[channels])

    def variation(self) -> Tensor:
        """The sum of squared distances of each channel of y from its mean."""
        return (self.yy - self.y.square() / max(self.count, 1)).clamp_min(0)

    def spread(self, weight: Tensor, *, centred: bool = True) -> Tensor:
        """The covariance of weight @ x, [channels, channels], for a weight [channels, features]; around zero unless it
        is centred."""
        mean = weight @ self.x / self.count
        return weight @ self.xx @ weight.T / self.count - centred * torch.outer(mean, mean)

    def around(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The second moments of (rows - x, rows - y): xx, xy, and the sum of squares of each channel of y."""
        n = self.count
        xx = self.xx - torch.outer(self.x, x) - torch.outer(x, self.x) + n * torch.outer(x, x)
        xy = self.xy - torch.outer(self.x, y) - torch.outer(x, self.y) + n * torch.outer(x, y)
        yy = self.yy - 2 * self.y * y + n * y.square()
        return xx, xy, yy


@dataclass(frozen=True)
class Solution:
    """y ~ weight @ x + bias. weight: [channels, features]; bias: [channels]; ridge: as given to `solve`."""

    weight: Tensor
    bias: Tensor
    ridge: float


def solve(moments: Moments, ridge: float, *, intercept: bool = True) -> Solution:
    """The minimiser of |y - W x - b|^2 + ridge * mean(diag(cov xx)) * count * |W|^2; the bias is not penalised.

    Without an intercept b is zero. A ridge of zero is the Moore-Penrose pseudoinverse: of all minimisers the smallest.
    """
    mean_x, mean_y = moments.x / moments.count, moments.y / moments.count
    if not intercept:
        mean_x, mean_y = torch.zeros_like(mean_x), torch.zeros_like(mean_y)
    xx, xy, _ = moments.around(mean_x, mean_y)
    weight = _pseudoinverse(xx, xy) if ridge == 0 else _penalised(xx, xy, ridge)
    return Solution(weight, mean_y - weight @ mean_x, ridge)


def _pseudoinverse(xx: Tensor, xy: Tensor) -> Tensor:
    # xx holds squares, so half of the digits of float64 are left for its smallest directions.
    return (torch.linalg.pinv(xx, hermitian=True, rtol=1e-10) @ xy).T


def _penalised(xx: Tensor, xy: Tensor, ridge: float) -> Tensor:
    scale = float(xx.diagonal().mean())
    xx.diagonal().add_(max(ridge * scale, torch.finfo(torch.float64).tiny))
    factor, failed = torch.linalg.cholesky_ex(xx)
    if failed:  # rank-deficient beyond what this ridge repairs: the smallest that rounding lets through
        xx.diagonal().add_(1e-10 * scale + torch.finfo(torch.float64).tiny)
        factor, failed = torch.linalg.cholesky_ex(xx)
    return _pseudoinverse(xx, xy) if failed else torch.cholesky_solve(xy, factor).T


def residual(solution: Solution, moments: Moments) -> float:
    """The share of y's variance, around its own mean, that the solution leaves unexplained on these rows."""
    return _share(*_errors(solution, moments))


def choose_ridge(fit: Moments, held_out: Moments, ridges: Sequence[float]) -> tuple[float, float]:
    """The ridge whose solution on `fit` leaves least of `held_out` unexplained, and how much it leaves."""
    return choose_ridges(fit, held_out, ridges, [slice(None)])[0]


def choose_ridges(
    fit: Moments, held_out: Moments, ridges: Sequence[float], targets: Sequence[slice], *, intercept: bool = True
) -> list[tuple[float, float]]:
    """As `choose_ridge` for each of several targets, which are slices of y's channels: one factorisation serves all.

    What is left falls and then rises as the penalty shrinks, so the search goes from the largest down and ends when two
    in a row were no better than the best before them.
    """
    if not held_out.count:  # too few images to hold any out
        held_out = fit
    left, chosen, worse = [float("inf")] * len(targets), [max(ridges)] * len(targets), [0] * len(targets)
    for ridge in sorted(ridges, reverse=True):
        errors, spread = _errors(solve(fit, ridge, intercept=intercept), held_out)
        for i, target in enumerate(targets):
            now = _share(errors[target], spread[target])
            if worse[i] < 2 and now < left[i]:
                left[i], chosen[i], worse[i] = now, ridge, 0
            else:
                worse[i] += 1
        if min(worse) >= 2:
            break
    return list(zip(chosen, left, strict=True))


def _errors(solution: Solution, moments: Moments) -> tuple[Tensor, Tensor]:
    """Of each channel of y: the sum of squared errors of the solution, and of squared distances from its mean."""
    zero_x = torch.zeros_like(moments.x)
    xx, xy, yy = moments.around(zero_x, solution.bias)
    weight = solution.weight
    errors = yy - 2 * (weight.T * xy).sum(0) + ((weight @ xx) * weight).sum(1)
    return errors.clamp_min(0), moments.variation()


def _share(errors: Tensor, spread: Tensor) -> float:
    total = float(spread.sum())
    return float(errors.sum()) / total if total > 0 else 0.0
