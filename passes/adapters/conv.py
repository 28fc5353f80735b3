"""`conv3x3`, ReStNet's adapter (arXiv 2506.09066), and its variants: other kernels, a ReLU."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .patches import PLACES
from .projection import Projection


@dataclass(frozen=True)
class Conv3x3(Projection):
    """A 3x3 convolution with bias and padding 1 at the front's resolution, then a bilinear resize where the grids
    differ."""

    name: ClassVar[str] = "conv3x3"
    kernel: ClassVar[int] = 3

    resize: str = field(default="after", metadata={"choices": PLACES})


@dataclass(frozen=True)
class Conv3x3Relu(Projection):
    """Traft and Cheney's (UniReps 2025): a resize first, then a 3x3 convolution and a ReLU. It is fitted to the input
    of the back's own ReLU, where one makes the value at the cut."""

    name: ClassVar[str] = "conv3x3-relu"
    kernel: ClassVar[int] = 3
    relu: ClassVar[bool] = True

    resize: str = field(default="before", metadata={"choices": PLACES})


@dataclass(frozen=True)
class Conv5x5(Projection):
    """A resize, then a 5x5 convolution with padding 2."""

    name: ClassVar[str] = "conv5x5"
    kernel: ClassVar[int] = 5

    resize: str = field(default="before", metadata={"choices": PLACES})


@dataclass(frozen=True)
class Conv5x5Relu(Conv5x5):
    """`conv5x5` and a ReLU, fitted like `conv3x3-relu`."""

    name: ClassVar[str] = "conv5x5-relu"
    relu: ClassVar[bool] = True
