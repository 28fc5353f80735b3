"""The factor on logits that brings their probabilities nearest to others."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

# What a factor may be at most, and one through what it may be at least.
LIMIT = 10.0
_NEAR = 1e-7  # of the factor: a step so small ends the search
_ROUNDING = 1e-14  # of what the slope is the difference of
_ITERATIONS = 50


def best_scale(logits: Tensor, wanted: Tensor) -> float:
    """The factor on logits, float64 [images, classes], that makes the mean divergence of their probabilities from the
    wanted ones, given by their logarithms, least; within `LIMIT`.

    That is convex, so its slope rises: Newton's method, within an interval that the signs of the slope narrow. A step
    out of the interval is replaced by one to its middle. Where the slope is nothing but rounding, the search ends.
    """
    target = wanted.exp()
    asked, rounding = float((target * logits).sum()), _ROUNDING * float((target * logits.abs()).sum())
    low, high, factor = 1 / LIMIT, LIMIT, 1.0
    for _ in range(_ITERATIONS):
        weighted = (factor * logits).softmax(-1).mul_(logits)
        mean = weighted.sum(-1)
        slope, curvature = float(mean.sum()) - asked, float((weighted * logits).sum() - mean.square().sum())
        if abs(slope) <= rounding:
            break
        low, high = (low, factor) if slope > 0 else (factor, high)
        step = factor - slope / curvature if curvature > 0 else high
        after = step if low < step < high else (low * high) ** 0.5
        near = abs(after - factor) <= _NEAR * factor
        factor = after
        if near:
            break
    return factor


def divergence(logits: Tensor, wanted: Tensor) -> float:
    """The mean Kullback-Leibler divergence, in nats, of what logits say from log-probabilities."""
    return float(F.kl_div(logits.log_softmax(-1), wanted, log_target=True, reduction="none").sum(-1).mean())
