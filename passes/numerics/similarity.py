"""Similarity measures between the representations of the same images at two cuts, each from one Gram matrix for each
cut and block of images.

Each cut becomes one vector; for all but Procrustes a similarity is the cosine of two, and all pairs of cuts are one
matrix product. Independent images i, features x: K is the Gram matrix of one cut, L of the other, in one block.

    cka            mean over blocks of <HKH, HLH> / (|HKH| |HLH|), H = I - 11'/n: biased, as ReStNet takes it
                   (Kornblith et al. 2019, eq. 4; mean of five batches of 256). Depends on the size of the blocks:
                   independent features of 64 images score 0.8.
    cka-unbiased   sum_b HSIC1(K_b, L_b) / sqrt(sum_b HSIC1(K_b, K_b) sum_b HSIC1(L_b, L_b)), with the unbiased
                   estimator HSIC1 of Song et al. 2012 (eq. 4), over blocks as Nguyen et al. 2021 (eq. 2-3). HSIC1 is
                   <U(K), U(L)> / (n (n - 3)), where U centres the matrix without its diagonal (Szekely & Rizzo 2014).
    cka-pooled     the same of the features' mean over all positions: says whether two cuts know the same of an image,
                   not where in the image. It is another metric, no estimate of `cka`.
    rbf-cka        the same with the kernel exp(-d^2 / (2 m)), d the distance of two images and m the median of d^2
                   (Kornblith et al. 2019, section 4).
    procrustes     mean over blocks of |sqrt(HKH) sqrt(HLH)|_*, both of unit trace: one less half the squared distance
                   after the best rotation (Ding et al. 2021, section 2.1; Williams et al. 2021). Biased like cka.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.errors import unknown

# A centred Gram matrix smaller than this share of the plain one's trace is rounding, not signal.
_ROUNDING = 1e-13
# Columns of two Gram vectors that are multiplied in float64 at once.
_COLUMNS = 1 << 16


@dataclass(frozen=True)
class Metric:
    """A similarity measure. centre: centres float64 Gram matrices [cuts, n, n]. own_scale: whether blocks are weighted
    by the norms of their matrices, or all equally.

    images, block: default number of images, and size of the blocks. kernel: maps linear Gram matrices to those that are
    compared, None for themselves. pooled: whether features are averaged over positions first. cosine: whether a
    similarity is the dot product of two vectors; if not it is Procrustes'.
    """

    name: str
    centre: Callable[[Tensor], Tensor]
    own_scale: bool
    images: int = 512
    block: int = 64
    kernel: Callable[[Tensor, Tensor], Tensor] | None = None
    pooled: bool = False
    cosine: bool = True


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


def centred_root(matrices: Tensor) -> Tensor:
    """The symmetric square root of HKH of each matrix [..., n, n]."""
    values, vectors = torch.linalg.eigh(centre(matrices))
    return (vectors * values.clamp_min(0).sqrt().unsqueeze(-2)) @ vectors.mT


def gaussian(matrices: Tensor, energies: Tensor) -> Tensor:
    """Gaussian kernels [cuts, n, n] of linear ones; zero where all images are at one place but for rounding."""
    squares = matrices.diagonal(dim1=-2, dim2=-1)
    distances = (squares.unsqueeze(-1) + squares.unsqueeze(-2) - 2 * matrices).clamp_min(0)
    rows, columns = torch.triu_indices(matrices.shape[-1], matrices.shape[-1], 1)
    median = distances[..., rows, columns].median(dim=-1).values
    spread = median > _ROUNDING * energies
    kernel = torch.exp(-distances / (2 * torch.where(spread, median, 1.0))[..., None, None])
    return torch.where(spread[..., None, None], kernel, 0.0)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("cka-unbiased", centre_unbiased, own_scale=True),
        Metric("cka", centre, own_scale=False, images=1280, block=256),
        Metric("cka-pooled", centre_unbiased, own_scale=True, pooled=True),
        Metric("rbf-cka", centre_unbiased, own_scale=True, kernel=gaussian),
        Metric("procrustes", centred_root, own_scale=False, cosine=False),
    )
}


def get(name: str) -> Metric:
    """The metric of that name.

    Raises:
        InputError: there is none.
    """
    if name not in METRICS:
        raise unknown(name, "measure of similarity", METRICS)
    return METRICS[name]


def block_sizes(images: int, block: int) -> list[int]:
    """Sizes, as even as they come, of as many blocks of at least `block` images as there are; one when there are fewer.

    No block is a small remainder: those would be biased most (and unbiased HSIC is undefined under four images).
    """
    count = max(1, images // block)
    return [images // count + (i < images % count) for i in range(count)]


def length(size: int) -> int:
    """Length of the vector of a block of `size` images."""
    return size * (size + 1) // 2


def unit_vectors(matrices: Tensor, energies: Tensor, metric: Metric) -> tuple[Tensor, Tensor]:
    """Centred Gram matrices as vectors of length one whose dot product is that of the matrices.

    matrices: float64 [cuts, n, n]. energies: float64 [cuts], traces before any centring.
    Returns float32 [cuts, n (n + 1) / 2] and the norms, float64 [cuts]; zeros where nothing but rounding is left.
    """
    n = matrices.shape[-1]
    if metric.kernel:
        matrices, energies = metric.kernel(matrices, energies), torch.full_like(energies, float(n))
    vectors = flattened(metric.centre(matrices))
    norms = vectors.norm(dim=1)
    floor = _ROUNDING * energies / (n if metric.own_scale else 1)
    norms = torch.where(norms > (floor if metric.cosine else floor.sqrt()), norms, 0.0)
    return (vectors / norms.clamp_min(torch.finfo(torch.float64).tiny).unsqueeze(1)).float(), norms


def flattened(matrices: Tensor) -> Tensor:
    """Symmetric matrices [..., n, n] as vectors [..., n (n + 1) / 2] with the same dot products."""
    n = matrices.shape[-1]
    rows, columns = torch.triu_indices(n, n)
    return matrices[..., rows, columns] * torch.where(rows == columns, 1.0, 2**0.5).double()


def unflattened(vectors: Tensor, n: int) -> Tensor:
    """The inverse of `flattened`, in float64."""
    rows, columns = torch.triu_indices(n, n)
    upper = vectors.double() / torch.where(rows == columns, 1.0, 2**0.5).double()
    matrices = torch.zeros(*vectors.shape[:-1], n, n, dtype=torch.float64)
    matrices[..., rows, columns] = upper
    matrices[..., columns, rows] = upper
    return matrices


def join_blocks(units: Sequence[Tensor], norms: Sequence[Tensor], metric: Metric) -> Tensor:
    """One vector of length one for each cut, from those of its blocks: float32 [cuts, sum of the blocks' lengths].

    Zeros where the metric is undefined: all images look the same at that cut, in one block (cka) or in every block.
    """
    weights = torch.stack(list(norms))  # [blocks, cuts]
    if not metric.own_scale:
        weights = (weights > 0).all(dim=0).double().expand_as(weights)
    weights = weights / weights.norm(dim=0).clamp_min(torch.finfo(torch.float64).tiny)
    return torch.cat([unit * w.float().unsqueeze(1) for unit, w in zip(units, weights, strict=True)], dim=1)


def similarity(a: Tensor, b: Tensor, metric: Metric, sizes: Sequence[int]) -> np.ndarray:
    """The metric of every cut of a with every cut of b: float64 [cuts of a, cuts of b], NaN where it is undefined.

    a, b: vectors [cuts, length] of `join_blocks`, over the same images in blocks of `sizes`.
    """
    matrix = _cosines(a, b) if metric.cosine else _rotated(a, b, sizes)
    matrix[undefined(a)] = torch.nan
    matrix[:, undefined(b)] = torch.nan
    return matrix.numpy()


def _cosines(a: Tensor, b: Tensor) -> Tensor:
    matrix = torch.zeros(len(a), len(b), dtype=torch.float64)
    for x, y in zip(a.split(_COLUMNS, dim=1), b.split(_COLUMNS, dim=1), strict=True):
        matrix += x.double() @ y.double().T
    return matrix


def _rotated(a: Tensor, b: Tensor, sizes: Sequence[int]) -> Tensor:
    """Sums over blocks of the nuclear norm of the product of two roots."""
    matrix = torch.zeros(len(a), len(b), dtype=torch.float64)
    lengths = [length(size) for size in sizes]
    for size, x, y in zip(sizes, a.split(lengths, dim=1), b.split(lengths, dim=1), strict=True):
        others = unflattened(y, size)
        for row, root in enumerate(unflattened(x, size)):
            matrix[row] += torch.linalg.svdvals(root @ others).sum(dim=-1)
    return matrix


def undefined(vectors: Tensor) -> Tensor:
    """Which cuts have a zero vector, so that their similarity is undefined: bool [cuts]."""
    return (vectors == 0).all(dim=1)
