"""How far a similarity may be off because only these images were shown: intervals by resampling the images.

Half of the images of every block are drawn, without replacement, again and again (half-sampling; Politis, Romano and
Wolf 1999). An image drawn twice would stand beside itself, which pairs of different images know nothing of, so the
bootstrap with replacement is wrong for these estimators; and the spread of an estimate from half of the images around
that from all of them is the spread of the latter: s^2 (2/n - 1/n) = s^2 / n.

No activation is needed again: centring takes away whatever is added to a row and column of a Gram matrix, so a part of
a centred matrix, centred, is the centred matrix of that part.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..data.errors import InputError
from ..numerics.similarity import Metric, flattened, length, similarity, unflattened


def intervals(
    a: Tensor, b: Tensor, metric: Metric, sizes: Sequence[int], confidence: float, seed: int, resamples: int = 200
) -> tuple[np.ndarray, np.ndarray]:
    """The ends of an interval around every similarity, float64 [cuts of a, cuts of b] each, so wide that it holds the
    similarity over all images of the kind with a probability of `confidence`. a, b, sizes: as `similarity`.

    Raises:
        InputError: a metric or blocks that cannot be resampled.
    """
    if not metric.cosine:
        raise InputError(f"{metric.name} has no confidence interval", "Ask for one of a kind of CKA.")
    if min(sizes) < 8:
        raise InputError(f"blocks of {min(sizes)} images are too small to resample", "Show eight images at least.")
    generator = torch.Generator().manual_seed(seed)
    blocks = [_blocks(vectors, sizes, metric) for vectors in (a, b)]
    halves = [size // 2 for size in sizes]
    drawn = []
    for _ in range(resamples):
        kept = [torch.randperm(size, generator=generator)[:half] for size, half in zip(sizes, halves, strict=True)]
        first, second = (_part(matrices, kept, metric) for matrices in blocks)
        drawn.append(similarity(first, second, metric, halves))
    spread = np.stack(drawn)
    spread -= spread.mean(axis=0)  # a biased metric is biased otherwise at half the images
    low, high = np.quantile(spread, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    centre = similarity(a, b, metric, sizes)
    return centre + low, centre + high


def _blocks(vectors: Tensor, sizes: Sequence[int], metric: Metric) -> list[Tensor]:
    """The centred matrices [cuts, n, n] of each block, all to one scale."""
    parts = vectors.split([length(size) for size in sizes], dim=1)
    return [
        unflattened(part, size) * (size * (size - 3)) ** 0.5 if metric.own_scale else unflattened(part, size)
        for part, size in zip(parts, sizes, strict=True)
    ]


def _part(matrices: Sequence[Tensor], kept: Sequence[Tensor], metric: Metric) -> Tensor:
    """The vectors [cuts, length] of the images kept in each block."""
    parts = []
    for whole, images in zip(matrices, kept, strict=True):
        vectors = flattened(metric.centre(whole[:, images[:, None], images]))
        parts.append(vectors if metric.own_scale else vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-300))
    joined = torch.cat(parts, dim=1)
    return joined / joined.norm(dim=1, keepdim=True).clamp_min(1e-300)
