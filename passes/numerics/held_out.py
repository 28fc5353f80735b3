"""Which images are held out of a fit, to choose by and to measure on: every fifth."""

from __future__ import annotations

import torch
from torch import Tensor

EVERY = 5


def held_out(first: int, count: int) -> Tensor:
    """Which of `count` consecutive images, from index `first` on, are held out: bool [count]."""
    return torch.arange(first, first + count) % EVERY == EVERY - 1


def measured(held: Tensor, images: int) -> Tensor:
    """Those that are measured on, bool like `held`: the held out, or all where so few `images` are given that none is
    held out."""
    return held if images >= EVERY else torch.ones_like(held)
