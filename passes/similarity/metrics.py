"""Centred kernel alignment (CKA) as a cosine: each cut becomes one vector, and all pairs of cuts one matrix product.

The images go in blocks. Linear CKA compares, for each block, the centred Gram matrices K and L of two cuts:

    cka            mean over blocks of <HKH, HLH> / (|HKH| |HLH|), H = I - 11'/n: biased, as ReStNet takes it
                   (Kornblith et al. 2019, eq. 4; mean of five batches of 256). Depends on the size of the blocks:
                   independent features of 64 images score 0.8.
    cka-unbiased   sum_b HSIC1(K_b, L_b) / sqrt(sum_b HSIC1(K_b, K_b) sum_b HSIC1(L_b, L_b)), with the unbiased
                   estimator HSIC1 of Song et al. 2012 (eq. 4), over blocks as Nguyen et al. 2021 (eq. 2-3). HSIC1 is
                   <U(K), U(L)> / (n (n - 3)), where U centres the matrix without its diagonal (Szekely & Rizzo 2014).

Both are dot products: of the blocks' matrices as unit vectors, each weighted alike (cka) or by its own norm (unbiased).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, did_you_mean

# A centred Gram matrix smaller than this share of the plain one's trace is rounding, not signal.
_ROUNDING = 1e-13
# Columns of two Gram vectors that are multiplied in float64 at once.
_COLUMNS = 1 << 16


@dataclass(frozen=True)
class Metric:
    """centre: of float64 Gram matrices [cuts, n, n]. own_scale: whether a block weighs what it holds, or all alike.

    images, block: how many are compared, and in blocks of what size, where nobody says.
    """

    name: str
    centre: Callable[[Tensor], Tensor]
    own_scale: bool
    images: int
    block: int


def centre(matrices: Tensor) -> Tensor:
    """HKH of each matrix [..., n, n]."""
    mean = matrices.mean(dim=-1)
    half = mean - mean.mean(dim=-1, keepdim=True) / 2
    return matrices - half.unsqueeze(-1) - half.unsqueeze(-2)


def centre_unbiased(matrices: Tensor) -> Tensor:
    """U(K) / sqrt(n (n - 3)) of each matrix [..., n, n], n > 3: rows sum to zero, without the diagonal."""
    n = matrices.shape[-1]
    hollow = matrices.clone()
    hollow.diagonal(dim1=-2, dim2=-1).zero_()
    mean = hollow.sum(dim=-1) / (n - 2)
    half = mean - mean.sum(dim=-1, keepdim=True) / (2 * (n - 1))
    centred = hollow - half.unsqueeze(-1) - half.unsqueeze(-2)
    centred.diagonal(dim1=-2, dim2=-1).zero_()
    return centred / (n * (n - 3)) ** 0.5


METRICS = {
    metric.name: metric
    for metric in (
        Metric("cka-unbiased", centre_unbiased, own_scale=True, images=512, block=64),
        Metric("cka", centre, own_scale=False, images=1280, block=256),
    )
}


def get(name: str) -> Metric:
    """The metric of that name.

    Raises:
        InputError: there is none.
    """
    if name not in METRICS:
        raise InputError(
            f"'{name}' is no measure of similarity",
            f"{did_you_mean(name, list(METRICS))} There are {', '.join(METRICS)}.".strip(),
        )
    return METRICS[name]


def block_sizes(images: int, block: int) -> list[int]:
    """Sizes, as even as they come, of as many blocks of at least `block` images as there are; one when there are fewer.

    No block is a small remainder: those would be biased most (and unbiased HSIC is undefined under four images).
    """
    count = max(1, images // block)
    return [images // count + (i < images % count) for i in range(count)]


def unit_vectors(matrices: Tensor, energies: Tensor, metric: Metric) -> tuple[Tensor, Tensor]:
    """Centred Gram matrices as vectors of length one whose dot product is that of the matrices.

    matrices: float64 [cuts, n, n]. energies: float64 [cuts], traces before any centring.
    Returns float32 [cuts, n (n + 1) / 2] and the norms, float64 [cuts]; zeros where nothing but rounding is left.
    """
    n = matrices.shape[-1]
    rows, columns = torch.triu_indices(n, n)
    vectors = metric.centre(matrices)[:, rows, columns]
    vectors *= torch.where(rows == columns, 1.0, 2**0.5).double()  # the lower triangle counts too
    norms = vectors.norm(dim=1)
    floor = _ROUNDING * energies / (n if metric.own_scale else 1)
    norms = torch.where(norms > floor, norms, 0.0)
    return (vectors / norms.clamp_min(torch.finfo(torch.float64).tiny).unsqueeze(1)).float(), norms


def join_blocks(units: Sequence[Tensor], norms: Sequence[Tensor], metric: Metric) -> Tensor:
    """One vector of length one for each cut, from those of its blocks: float32 [cuts, sum of the blocks' lengths].

    Zeros where the metric is undefined: all images look the same at that cut, in one block (cka) or in every block.
    """
    weights = torch.stack(list(norms))  # [blocks, cuts]
    if not metric.own_scale:
        weights = (weights > 0).all(dim=0).double().expand_as(weights)
    weights = weights / weights.norm(dim=0).clamp_min(torch.finfo(torch.float64).tiny)
    return torch.cat([unit * w.float().unsqueeze(1) for unit, w in zip(units, weights, strict=True)], dim=1)


def similarity(a: Tensor, b: Tensor) -> np.ndarray:
    """The metric of every cut of a with every cut of b: float64 [cuts of a, cuts of b], NaN where it is undefined.

    a, b: vectors [cuts, length] of `join_blocks`, over the same images.
    """
    matrix = torch.zeros(len(a), len(b), dtype=torch.float64)
    for x, y in zip(a.split(_COLUMNS, dim=1), b.split(_COLUMNS, dim=1), strict=True):
        matrix += x.double() @ y.double().T
    matrix[undefined(a)] = torch.nan
    matrix[:, undefined(b)] = torch.nan
    return matrix.numpy()


def undefined(vectors: Tensor) -> Tensor:
    """Which cuts have no direction: bool [cuts]."""
    return (vectors == 0).all(dim=1)
