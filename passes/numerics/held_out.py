"""Which images are held out, to choose by and to measure on: every fifth, or so many of those as are asked for."""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

EVERY = 5
#: Images that a training holds out of many, at most, unless it is told to hold out a share.
MOST = 1000


def held_out(first: int, count: int) -> Tensor:
    """Which of `count` consecutive images, from index `first` on, are held out: bool [count]."""
    return torch.arange(first, first + count) % EVERY == EVERY - 1


def measured(held: Tensor, images: int) -> Tensor:
    """Those that are measured on, bool like `held`: the held out, or all where so few `images` are given that none is
    held out."""
    return held if images >= EVERY else torch.ones_like(held)


def held_out_of(images: int, share: float | None = None) -> Tensor:
    """Which of all `images` a training holds out, evenly spaced: bool [images].

    share: how much of them. Without, every fifth; of more than 5,000 every tenth, fifteenth, ..., so that they are
    1,000 at most, and always some of those that `held_out` names.
    """
    part = Fraction(1, EVERY * max(1, -(-images // (EVERY * MOST))))
    if share is not None:
        part = Fraction(share).limit_denominator(1000)
    position = torch.arange(images)
    return (position + 1) * part.numerator // part.denominator > position * part.numerator // part.denominator
