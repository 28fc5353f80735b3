"""The factor on logits that brings their probabilities nearest to others."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

# What a factor may be at most, and one through what it may be at least.
LIMIT = 10.0
_ITERATIONS = 25  # of bisection: to a share of 1e-7


def best_scale(logits: Tensor, wanted: Tensor) -> float:
    """The factor on logits, float64 [images, classes], that makes the mean divergence of their probabilities from the
    wanted ones, given by their logarithms, least; within `LIMIT`. That is convex: its derivative rises."""
    target = wanted.exp()
    low, high, middle = 1 / LIMIT, LIMIT, 1.0
    for _ in range(_ITERATIONS):
        slope = float((((middle * logits).softmax(-1) - target) * logits).sum())
        if slope == 0:
            break
        low, high = (low, middle) if slope > 0 else (middle, high)
        middle = (low * high) ** 0.5
    return middle


def divergence(logits: Tensor, wanted: Tensor) -> float:
    """The mean Kullback-Leibler divergence, in nats, of what logits say from log-probabilities."""
    return float(F.kl_div(logits.log_softmax(-1), wanted, log_target=True, reduction="none").sum(-1).mean())
