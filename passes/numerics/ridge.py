"""Ridge regression from streamed sums of products, in float64. It serves the adapters' fit and healing.

Shapes: rows x [..., rows, features] and y [..., rows, channels]. The leading axis, if there is one, is of groups: each
has rows and weights of its own, as the channels of a depthwise convolution have.

The two users scale the penalty differently, each as its measurements suggest. An adapter maps values to values: its
weights are penalised relative to how features vary around their mean (`solve`). Healing corrects weights that are
nearly right: the change is penalised relative to the mean square of a feature (`correction`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

# Rows of one product in float32: few enough that it sums them to its own precision.
_PRODUCT_ROWS = 4096
# Rows of a symmetric product that are computed at once: of each only what lies from the diagonal on.
_SYMMETRIC_ROWS = 256
# Numbers of a square matrix that are worked on at once.
_BLOCK = 1 << 20
_TINY = torch.finfo(torch.float64).tiny


@dataclass
class Moments:
    """Sums over rows: all that least squares needs of the data.

    x [..., features], y [..., channels]: the rows themselves. xx [..., features, features], xy [..., features,
    channels]: products. yy [..., channels]: squares; products of one channel with another play no part.

    upper: xx, of which only what lies from the diagonal on is summed; mirrored: whether the rest is its mirror image
    already. It is when `xx` is read.
    """

    count: int
    x: Tensor
    y: Tensor
    upper: Tensor
    xy: Tensor
    yy: Tensor
    mirrored: bool = True

    @classmethod
    def zeros(
        cls,
        features: int,
        channels: int,
        groups: int | None = None,
        device: torch.device | None = None,
        products: torch.dtype = torch.float64,
    ) -> Moments:
        """Moments of no rows yet, in float64; with a leading axis of `groups` if given. products: what xx and xy are
        summed in; `double` must then be called before anything is solved."""
        lead = () if groups is None else (groups,)

        def zeros(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
            return torch.zeros((*lead, *shape), dtype=dtype, device=device)

        upper, xy = zeros(features, features, dtype=products), zeros(features, channels, dtype=products)
        return cls(0, zeros(features), zeros(channels), upper, xy, zeros(channels))

    @property
    def xx(self) -> Tensor:
        """The products of features, [..., features, features]: symmetric."""
        if not self.mirrored:
            _mirror(self.upper)
            self.mirrored = True
        return self.upper

    def double(self) -> Moments:
        """The same with all sums in float64."""
        return replace(self, upper=self.upper.double(), xy=self.xy.double())

    def add(self, x: Tensor, y: Tensor) -> None:
        """Rows without groups, multiplied in float64."""
        x, y = x.double(), y.double()
        self.count += len(x)
        self.x += x.sum(0)
        self.y += y.sum(0)
        self._add_products(x, y)
        self.yy += y.square().sum(0)

    def add_roughly(self, x: Tensor, y: Tensor) -> None:
        """Rows of which a few thousand at a time are multiplied in float32, which takes a third of the time. The
        sampling noise of rows is far larger than the rounding of such a product."""
        for part, wanted in zip(x.split(_PRODUCT_ROWS, -2), y.split(_PRODUCT_ROWS, -2), strict=True):
            self._add_products(part, wanted)
            self.yy += wanted.square().sum(-2)
            self.x += part.sum(-2)
            self.y += wanted.sum(-2)
            self.count += part.shape[-2]

    def _add_products(self, x: Tensor, y: Tensor) -> None:
        """Multiplied as precisely as the rows are. Where they are summed as precisely too, and there are no groups,
        product and sum are one step: what a few rows of many features are multiplied to takes longer to add."""
        together = x.dim() == 2 and x.dtype == self.upper.dtype
        features = x.shape[-1]
        for start in range(0, features, _SYMMETRIC_ROWS):
            stop = min(start + _SYMMETRIC_ROWS, features)
            left, right, total = x[..., start:stop].mT, x[..., start:], self.upper[..., start:stop, start:]
            if together:
                total.addmm_(left, right)
            else:
                total += left @ right
        self.mirrored = False
        if together:
            self.xy.addmm_(x.mT, y)
        else:  # of the two equal products the second takes a quarter of the time for one channel a group
            self.xy += x.mT @ y if y.shape[-1] > 1 else (y.mT @ x).mT

    def __iadd__(self, other: Moments) -> Moments:
        self.count += other.count
        for mine, more in zip(self._tensors(), other._tensors(), strict=True):
            mine += more
        return self

    def _tensors(self) -> tuple[Tensor, ...]:
        return self.x, self.y, self.xx, self.xy, self.yy

    def target(self, channels: slice | list[int]) -> Moments:
        """The moments of some channels of y: of a slice on the same memory."""
        return Moments(
            self.count, self.x, self.y[..., channels], self.xx, self.xy[..., channels], self.yy[..., channels]
        )

    def variation(self) -> Tensor:
        """The sum of squared distances of each channel of y from its mean, [..., channels]."""
        return (self.yy - self.y.square() / max(self.count, 1)).clamp_min(0)

    def spread(self, weight: Tensor, *, centred: bool = True) -> Tensor:
        """The covariance of weight @ x, [channels, channels], for a weight [channels, features], without groups; around
        zero unless it is centred."""
        mean = weight @ self.x / self.count
        return weight @ self.xx @ weight.T / self.count - centred * _outer(mean, mean)


def _mirror(matrix: Tensor) -> None:
    """Sets what lies below the diagonal to what lies above, in place. matrix: [..., features, features]."""
    features = matrix.shape[-1]
    for start in range(0, features, _SYMMETRIC_ROWS):
        stop = min(start + _SYMMETRIC_ROWS, features)
        corner = matrix[..., start:stop, start:stop]
        corner.copy_(corner.triu() + corner.triu(1).mT)
        matrix[..., stop:, start:stop] = matrix[..., start:stop, stop:].mT


def moments_bytes(features: int, channels: int, groups: int = 1) -> int:
    """Bytes of the moments of one set of rows."""
    return 8 * groups * (features + 2) * (features + channels)


def solving_bytes(features: int, channels: int, groups: int = 1, *, pseudoinverse: bool = False) -> int:
    """Bytes that `solve`, `correction` and `errors` take at most in addition to the moments. pseudoinverse: for a
    penalty of zero."""
    squares = (6 if pseudoinverse else 1) * (features + 1) ** 2
    return 8 * groups * (squares + 5 * (features + 1) * channels) + 3 * 8 * min(_BLOCK, (features + 1) ** 2)


@dataclass(frozen=True)
class Solution:
    """y ~ weight @ x + bias. weight: [..., channels, features]; bias: [..., channels]; ridge: as given."""

    weight: Tensor
    bias: Tensor
    ridge: float


def solve(moments: Moments, ridge: float, *, intercept: bool = True) -> Solution:
    """The minimiser of |y - W x - b|^2 + ridge * mean(diag(cov xx)) * count * |W|^2; the bias is not penalised.

    For moments without groups. Without an intercept b is zero. A ridge of zero is the Moore-Penrose pseudoinverse: of
    all minimisers the smallest.
    """
    mean_x, mean_y = moments.x / moments.count, moments.y / moments.count
    if not intercept:
        mean_x, mean_y = torch.zeros_like(mean_x), torch.zeros_like(mean_y)
    xy = _centred(moments.xy.clone(), moments.x, mean_x, moments.y, mean_y, moments.count)

    def xx() -> Tensor:
        return _centred(_by_columns(moments.xx), moments.x, mean_x, moments.x, mean_x, moments.count)

    weight = _pseudoinverse(xx(), xy) if ridge == 0 else _penalised(xx, xy, ridge)
    return Solution(weight, mean_y - weight @ mean_x, ridge)


def correction(moments: Moments, ridge: float, *, intercept: bool = True) -> Solution:
    """The minimiser of |y - W x - b|^2 + ridge * mean(diag(xx)) * |W|^2, in each group; the bias is not penalised.
    Without an intercept b is zero."""
    features = moments.x.shape[-1]
    xy = torch.cat([moments.xy, moments.y.unsqueeze(-2)], -2) if intercept else moments.xy

    def system() -> Tensor:
        matrix = moments.xx.new_empty(*moments.xx.shape[:-2], features + intercept, features + intercept).mT
        matrix[..., :features, :features] = moments.xx
        if intercept:
            matrix[..., features, :features] = matrix[..., :features, features] = moments.x
            matrix[..., features, features] = moments.count
        diagonal = matrix.diagonal(dim1=-2, dim2=-1)
        scale = moments.xx.diagonal(dim1=-2, dim2=-1).mean(-1)
        diagonal[..., :features] += (ridge * scale).clamp_min(_TINY).unsqueeze(-1)
        # A tiny penalty for the intercept too: with a constant feature the matrix would be singular.
        diagonal += 1e-9 * diagonal.amax(-1, keepdim=True).clamp_min(1e-30)
        return matrix

    found = _divided(system(), xy)
    if found is None:
        found = torch.linalg.pinv(system(), hermitian=True) @ xy
    bias = found[..., features, :] if intercept else torch.zeros_like(moments.y)
    return Solution(found[..., :features, :].mT, bias, ridge)


def _pseudoinverse(xx: Tensor, xy: Tensor) -> Tensor:
    # xx has the squares of the singular values of x, so float64 resolves singular values to half its digits only.
    return (torch.linalg.pinv(xx, hermitian=True, rtol=1e-10) @ xy).T


def _penalised(centred: Callable[[], Tensor], xy: Tensor, ridge: float) -> Tensor:
    """centred: makes the matrix of products, anew each time, since it is factorised where it lies."""

    def system(more: float) -> Tensor:
        xx = centred()
        scale = float(xx.diagonal().mean())
        xx.diagonal().add_(max(ridge * scale, _TINY))
        if more:
            xx.diagonal().add_(more * scale + _TINY)
        return xx

    for more in (0.0, 1e-10):  # if rank-deficient even with this ridge, add the smallest one that rounding allows
        found = _divided(system(more), xy)
        if found is not None:
            return found.T
    return _pseudoinverse(system(1e-10), xy)


def _divided(matrix: Tensor, xy: Tensor) -> Tensor | None:
    """matrix^-1 xy for a symmetric matrix that lies in memory column by column, as LAPACK wants it: so it needs no copy
    and overwrites the matrix. None if that is not positive definite."""
    failed = torch.empty(0, dtype=torch.int32, device=matrix.device)
    torch.linalg.cholesky_ex(matrix, out=(matrix, failed))
    if bool(failed.any()):
        return None
    half = torch.linalg.solve_triangular(matrix, xy, upper=False)
    return torch.linalg.solve_triangular(matrix.mT, half, upper=True)


def _by_columns(matrix: Tensor) -> Tensor:
    return matrix.mT.clone(memory_format=torch.contiguous_format).mT


def _centred(ab: Tensor, a: Tensor, mean_a: Tensor, b: Tensor, mean_b: Tensor, count: int) -> Tensor:
    """From the sum of products of rows a and b [features, channels] that of (a - mean_a) and (b - mean_b): in place."""
    for columns in torch.arange(len(b)).split(max(1, _BLOCK // max(len(a), 1))):
        here = slice(int(columns[0]), int(columns[-1]) + 1)
        part = ab[:, here]
        part -= _outer(a, mean_b[here])
        part -= _outer(mean_a, b[here])
        part += count * _outer(mean_a, mean_b[here])
    return ab


def _outer(a: Tensor, b: Tensor) -> Tensor:
    return a.unsqueeze(-1) * b.unsqueeze(-2)


def residual(solution: Solution, moments: Moments) -> float:
    """The share of y's variance, around its own mean, that the solution leaves unexplained on these rows."""
    return _share(errors(solution, moments), moments.variation())


def errors(solution: Solution, moments: Moments) -> Tensor:
    """The sum of squared errors of a solution, of each channel of y: [..., channels]."""
    weight, bias = solution.weight, solution.bias
    explained = (weight.mT * (moments.xy - _outer(moments.x, bias))).sum(-2)
    yy = moments.yy - 2 * moments.y * bias + moments.count * bias.square()
    return (yy - 2 * explained + ((weight @ moments.xx) * weight).sum(-1)).clamp_min(0)


@dataclass(frozen=True)
class Rule:
    """How the best penalty is looked for. solve: from moments and a penalty to a solution. baseline: the sum of
    squares, by channel, that errors are divided by. patience: how many penalties in a row may be no better before the
    search ends."""

    solve: Callable[..., Solution]
    baseline: Callable[[Moments], Tensor]
    patience: int


MAP = Rule(solve, Moments.variation, patience=2)
CORRECTION = Rule(correction, lambda moments: moments.yy, patience=1)


def choose_ridges(
    fit: Moments,
    held_out: Moments,
    ridges: Sequence[float],
    targets: Sequence[slice] = (slice(None),),
    *,
    intercept: bool = True,
    rule: Rule = MAP,
) -> list[tuple[float, float]]:
    """For each of several targets, which are slices of y's channels, the ridge whose solution on `fit` leaves least of
    `held_out` unexplained, and how much it leaves. One factorisation serves all.

    What is left falls and then rises as the penalty shrinks, so the search goes from the largest down and ends when
    `rule.patience` in a row were no better than the best before them.
    """
    if not held_out.count:  # too few images to hold any out
        held_out = fit
    left, chosen, worse = [float("inf")] * len(targets), [max(ridges)] * len(targets), [0] * len(targets)
    whole = rule.baseline(held_out)
    for ridge in sorted(ridges, reverse=True):
        wrong = errors(rule.solve(fit, ridge, intercept=intercept), held_out)
        for i, target in enumerate(targets):
            now = _share(wrong[..., target], whole[..., target])
            if worse[i] < rule.patience and now < left[i]:
                left[i], chosen[i], worse[i] = now, ridge, 0
            else:
                worse[i] += 1
        if min(worse) >= rule.patience:
            break
    return list(zip(chosen, left, strict=True))


def _share(wrong: Tensor, whole: Tensor) -> float:
    total = float(whole.sum())
    return float(wrong.sum()) / total if total > 0 else 0.0
