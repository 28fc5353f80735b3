"""`conv3x3`: ReStNet's adapter (arXiv 2506.09066): a 3x3 convolution at the front's resolution, then a resize."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ..values import Value
from ..weights_file import Entry
from . import convert
from .base import Adapter


class Conv3x3(Adapter):
    """A 3x3 convolution with bias and padding 1 on the front's maps, then a bilinear resize where the grids differ."""

    name: ClassVar[str] = "conv3x3"

    def __init__(self, front: Value, back: Value):
        super().__init__(front, back)
        self.project = nn.Conv2d(front.channels, back.channels, 3, padding=1)

    @classmethod
    def refuses(cls, front: Value, back: Value) -> str:
        if front.grid is None or back.grid is None:
            return "a 3x3 convolution needs pixels on both sides"
        return convert.refuses(front, back)

    @classmethod
    def cost(cls, front: Value, back: Value) -> tuple[int, int]:
        weights = 9 * front.channels * back.channels
        return weights + back.channels, weights * front.pixels

    @classmethod
    def entries(cls, front: Value, back: Value) -> tuple[Entry, ...]:
        shape = (back.channels, front.channels, 3, 3)
        return Entry("project.weight", shape), Entry("project.bias", shape[:1])

    @classmethod
    def memory(cls, front: Value, back: Value) -> int:
        projected = back.channels * front.pixels
        resized = back.channels * back.pixels if front.grid != back.grid else 0
        last = resized or projected
        given = convert.maps_numbers(front)
        return 4 * max(given + projected, projected + resized, last + convert.from_maps_numbers(back))

    def forward(self, x: Tensor) -> Tensor:
        maps = self.project(convert.to_maps(x, self.front))
        return convert.from_maps(convert.resize(maps, self.front, self.back), self.back)

    def design(self, x: Tensor) -> Tensor:
        """im2col: the nine neighbours of each pixel, [images, rows, 9 * channels]. The resize is linear and its weights
        add up to one, so it passes through the convolution and its bias onto the columns."""
        maps = convert.to_maps(x, self.front)
        columns = F.unfold(maps, 3, padding=1).reshape(len(x), -1, *maps.shape[2:])
        pixels = convert.resize(columns, self.front, self.back).flatten(2).transpose(1, 2)
        return convert.with_prefix(pixels, self.back.tokens)
