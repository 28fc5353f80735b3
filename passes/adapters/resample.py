"""Changes of size without parameters, as an operation on maps and as the linear map that it is."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

Grid = tuple[int, int]

#: How a pixel of the target grid is computed: from the nearest four, from the mean of its block, from the nearest one.
METHODS = ("bilinear", "area", "nearest")


def resize(x_NCHW: Tensor, source: Grid | None, target: Grid | None, by: str = "bilinear") -> Tensor:
    """Maps of `source` size at `target` size; the maps themselves when the sizes agree."""
    if source == target:
        return x_NCHW
    assert source is not None and target is not None
    if by == "area":
        return F.avg_pool2d(x_NCHW, stride(source, target))
    return F.interpolate(x_NCHW, size=target, mode=by)


def stride(source: Grid, target: Grid) -> Grid:
    """Pixels of the source for each pixel of the target, by axis, rounded down."""
    return source[0] // target[0], source[1] // target[1]


def divides(source: Grid, target: Grid) -> bool:
    """Whether every pixel of the target stands for a whole block of the source."""
    return all(s % t == 0 for s, t in zip(source, target, strict=True))


@lru_cache(maxsize=256)
@torch.inference_mode(False)  # they are kept for whoever asks next, who may be training
def taps(source: int, target: int, by: str) -> tuple[Tensor, Tensor]:
    """Of each target pixel along one axis: the source pixels that it is made of and their weights, [target, taps].

    Every method here is separable, so the weights of a pixel are the products of those along the two axes.
    """
    basis = torch.eye(source)[None, :, :, None]  # one channel a source pixel
    matrix = resize(basis, (source, 1), (target, 1), by)[0, :, :, 0].T
    most = int((matrix != 0).sum(1).max())
    weights, pixels = matrix.topk(most, dim=1)
    return pixels, weights
