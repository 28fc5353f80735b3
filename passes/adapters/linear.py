"""`linear`: one matrix for every position, with bias: a 1x1 convolution on maps, a Linear on tokens and vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .projection import Projection


@dataclass(frozen=True)
class Linear(Projection):
    """y = W x + b at every position, at the smaller of the two resolutions, with a bilinear resize where they differ.

    A 1x1 convolution and a bilinear resize commute, so the cheaper order is exact.
    """

    name: ClassVar[str] = "linear"


@dataclass(frozen=True)
class LinearRelu(Linear):
    """`linear` and a ReLU. It is fitted to the input of the back's own ReLU, where one makes the value at the cut."""

    name: ClassVar[str] = "linear-relu"
    relu: ClassVar[bool] = True
