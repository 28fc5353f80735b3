"""Smaller sizes of a model's images."""

from __future__ import annotations

from collections.abc import Iterator
from math import log2

from ..data import metrics
from ..data.values import Cuts

Size = tuple[int, int, int]

#: Between two multiples of the stride, the finer steps that are tried too.
STEPS = 4
#: The share of its own height that a somewhat smaller image has, at least and at most: smaller still, networks lose
#: much; larger, hardly anything is saved.
SMALLER = (0.8, 0.9)
#: Share of the multiply-adds at fewer pixels, of those in proportion to the pixels, that attention leaves at the least.
ATTENTION = 0.9


def stride_of(cuts: Cuts, size: Size) -> int:
    """How many pixels of the image lie between two positions of the coarsest map, one at least: 32 of most networks for
    photos.

    size: (channels, height, width) that the cuts belong to. Maps of odd sizes are taken to come from powers of two.
    """
    heights = [cut.value.grid[0] for cut in cuts.cuts if cut.value.grid is not None and min(cut.value.grid) > 1]
    if not heights:
        return size[1]
    ratio = size[1] / min(heights)
    return int(ratio) if ratio.is_integer() else 2 ** max(0, round(log2(ratio)))


def multiples_below(size: Size, stride: int) -> Iterator[Size]:
    """The multiples of the stride that are smaller than the size, the largest first; of images that are not square,
    the width keeps its share of the height."""
    channels, height, width = size
    for tall in range((height - 1) // stride * stride, 0, -stride):
        yield channels, tall, max(stride, round(width * tall / height / stride) * stride)


def somewhat_smaller(size: Size, stride: int) -> Size | None:
    """The largest multiple of the stride that is somewhat smaller than the size (see `SMALLER`), if there is one."""
    least, most = (share * size[1] for share in SMALLER)
    return next((smaller for smaller in multiples_below(size, stride) if least <= smaller[1] <= most), None)


def at_least(metric: str, own: float, share: float) -> float:
    """What a network takes of a metric, at the least, on images of a share of its own pixels; `own`: on its own.

    Weights are the same on all images. Multiply-adds of convolutions go with the pixels, those of attention with their
    square, which is a small part (`ATTENTION`). Nothing is said of other metrics.
    """
    known = metrics.get(metric)
    if known.of_tensor is not None or known.combine == "file":
        return own
    return ATTENTION * share * own if known.by_formula else 0.0


def saved(metric: str) -> bool:
    """Whether a network takes less of a metric on smaller images."""
    return at_least(metric, 1.0, 0.5) < 1


def between(larger: Size, smaller: Size, stride: int) -> Iterator[Size]:
    """Sizes between two, finer than multiples of the stride, the largest first."""
    step = max(1, stride // STEPS)
    for size in multiples_below(larger, step):
        if size[1] <= smaller[1]:
            return
        yield size
