"""Normal equations of an operator's change, streamed in float64."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Rows of one product: few enough that float32 sums them to its own precision.
PRODUCT_ROWS = 4096


@dataclass
class Sums:
    """Of rows x [groups, rows, features] and errors e [groups, rows, channels]: all that least squares needs of them.

    With an intercept the last feature is a one.
    """

    xx: Tensor
    xe: Tensor
    ee: Tensor
    rows: int
    intercept: bool

    @classmethod
    def zeros(cls, groups: int, features: int, channels: int, intercept: bool, device: torch.device) -> Sums:
        size = features + intercept

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        return cls(zeros(groups, size, size), zeros(groups, size, channels), zeros(groups, channels), 0, intercept)

    def add(self, x: Tensor, e: Tensor) -> None:
        """Products of a few thousand rows are taken in float32 and summed in float64: what a row's noise moves is far
        above what such a product rounds, and it takes a third of the time."""
        features = x.shape[2]
        for part, error in zip(x.split(PRODUCT_ROWS, 1), e.split(PRODUCT_ROWS, 1), strict=True):
            self.xx[:, :features, :features] += part.transpose(1, 2) @ part
            self.xe[:, :features] += part.transpose(1, 2) @ error
            self.ee += error.square().sum(1)
            if self.intercept:
                ones = part.sum(1)
                self.xx[:, features, :features] += ones
                self.xx[:, :features, features] += ones
                self.xx[:, features, features] += part.shape[1]
                self.xe[:, features] += error.sum(1)
        self.rows += x.shape[1]

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.xx + other.xx, self.xe + other.xe, self.ee + other.ee, self.rows + other.rows, self.intercept)

    def change(self, ridge: float) -> Tensor:
        """The change [groups, features (+ 1), channels] that minimises |e - x change|^2 + penalty |change|^2, where the
        penalty is `ridge` times the mean of x squared. The intercept is free."""
        features = self.xx.shape[1] - self.intercept
        scale = self.xx.diagonal(dim1=1, dim2=2)[:, :features].mean(1)
        system = self.xx.clone()
        diagonal = system.diagonal(dim1=1, dim2=2)
        diagonal[:, :features] += (ridge * scale).clamp_min(torch.finfo(torch.float64).tiny)[:, None]
        # A hair for the intercept too: with a constant feature it would be the same unknown twice.
        diagonal += 1e-9 * diagonal.amax(1, keepdim=True).clamp_min(1e-30)
        factor, failed = torch.linalg.cholesky_ex(system)
        if bool(failed.any()):
            return torch.linalg.pinv(system, hermitian=True) @ self.xe
        return torch.cholesky_solve(self.xe, factor)

    def left(self, change: Tensor) -> Tensor:
        """The squared error that stays after a change, [groups, channels]."""
        return self.ee - 2 * (change * self.xe).sum(1) + (change * (self.xx @ change)).sum(1)


def best_ridge(fitting: Sums, held_out: Sums, ridges: Sequence[float]) -> tuple[float, float]:
    """The ridge whose change leaves least of the held-out error, and the share that it leaves.

    What is left falls and then rises as the penalty shrinks: the search goes from the largest down and ends at the
    first that is no better.
    """
    whole = float(held_out.ee.sum())
    if whole <= 0:
        return max(ridges), 1.0
    best, chosen = float("inf"), max(ridges)
    for ridge in sorted(ridges, reverse=True):
        left = float(held_out.left(fitting.change(ridge)).sum()) / whole
        if left >= best:
            break
        best, chosen = left, ridge
    return chosen, best
