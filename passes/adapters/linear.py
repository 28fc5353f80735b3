"""`linear`: one matrix for every position, with bias. A 1x1 convolution on maps, a Linear on tokens and vectors."""

from __future__ import annotations

from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..values import Value
from ..weights_file import Entry
from . import convert
from .base import Adapter


class Linear(Adapter):
    """y = W x + b at every position, at the smaller of the two resolutions, with a bilinear resize where they differ.

    A 1x1 convolution and a bilinear resize commute, so the cheaper order is exact. Prefix tokens go through the same
    matrix when both sides have equally many; else the front's are dropped and the back's are the mean of the pixels.
    """

    name: ClassVar[str] = "linear"

    def __init__(self, front: Value, back: Value):
        super().__init__(front, back)
        maps = _on_maps(front, back)
        self.project = nn.Conv2d(front.channels, back.channels, 1) if maps else nn.Linear(front.channels, back.channels)

    @classmethod
    def refuses(cls, front: Value, back: Value) -> str:
        return convert.refuses(front, back)

    @classmethod
    def cost(cls, front: Value, back: Value) -> tuple[int, int]:
        weights = front.channels * back.channels
        if back.layout == "NC":
            positions = 1
        else:
            carried = back.tokens if _carries_prefix(front, back) else 0
            positions = min(front.pixels, back.pixels) + carried
        return weights + back.channels, weights * positions

    @classmethod
    def entries(cls, front: Value, back: Value) -> tuple[Entry, ...]:
        shape = (back.channels, front.channels, *((1, 1) if _on_maps(front, back) else ()))
        return Entry("project.weight", shape), Entry("project.bias", shape[:1])

    @classmethod
    def memory(cls, front: Value, back: Value) -> int:
        if back.layout == "NC":
            return 4 * (back.channels + (0 if front.layout == "NC" else front.channels))
        whole = prod(back.shape)
        if front.grid == back.grid and not _on_maps(front, back):
            prefixed = back.tokens and front.tokens != back.tokens
            return 4 * (whole + back.channels * (1 + back.pixels) if prefixed else whole)
        shrinks = back.pixels < front.pixels
        given = convert.maps_numbers(front)
        small = front.channels * back.pixels if shrinks else 0
        large = 0 if shrinks or front.grid == back.grid else back.channels * back.pixels
        positions = back.pixels if shrinks else front.pixels
        if _carries_prefix(front, back):
            tokens, projected = (side.channels * (front.tokens + positions) for side in (front, back))
            ends = 0 if shrinks else projected + large + whole
            return 4 * max(given + small, (small or given) + tokens, tokens + projected, ends)
        projected = back.channels * positions
        on_maps = _on_maps(front, back)
        # Where channels do not lie side by side torch adds the bias afterwards, in a tensor of its own.
        summed = 0 if on_maps or front.channels == 1 or positions == 1 else projected
        last = (large or projected) + convert.from_maps_numbers(back, channels_last=not on_maps)
        return 4 * max(given + small, (small or given) + projected + summed, projected + large, last)

    def forward(self, x: Tensor) -> Tensor:
        front, back = self.front, self.back
        if back.layout == "NC":
            return self.project(convert.pool(x, front))
        if isinstance(self.project, nn.Conv2d):
            return convert.from_maps(self._project_maps(convert.to_maps(x, front)), back)
        if front.grid == back.grid:
            return self._project_positions(x)
        prefix = x[:, : front.tokens] if _carries_prefix(front, back) else None
        maps = convert.resize(convert.to_maps(x, front), front, back) if self._shrinks() else convert.to_maps(x, front)
        if prefix is None:
            y = self.project(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            return convert.from_maps(y if self._shrinks() else convert.resize(y, front, back), back)
        y = self.project(torch.cat([prefix, maps.flatten(2).transpose(1, 2)], dim=1))
        if self._shrinks():
            return y
        return torch.cat([y[:, : back.tokens], self._resize_tokens(y[:, back.tokens :])], dim=1)

    def _project_maps(self, x_NCHW: Tensor) -> Tensor:
        if self._shrinks():
            return self.project(convert.resize(x_NCHW, self.front, self.back))
        return convert.resize(self.project(x_NCHW), self.front, self.back)

    def _project_positions(self, x: Tensor) -> Tensor:
        """Both have channels last and the same grid: only the tokens and the shape of the positions may differ."""
        front, back = self.front, self.back
        if front.layout == back.layout and front.tokens == back.tokens:
            return self.project(x)
        pixels = x[:, front.tokens :] if front.tokens else x
        if back.layout == "NHWC":
            assert back.grid is not None
            return self.project(pixels).reshape(-1, *back.grid, back.channels)
        return convert.with_prefix(self.project(convert.to_tokens(pixels, front)), back.tokens)

    def _resize_tokens(self, pixels_NLC: Tensor) -> Tensor:
        assert self.front.grid is not None
        maps = pixels_NLC.transpose(1, 2).reshape(-1, self.back.channels, *self.front.grid)
        return convert.resize(maps, self.front, self.back).flatten(2).transpose(1, 2)

    def _shrinks(self) -> bool:
        return self.back.pixels < self.front.pixels

    def design(self, x: Tensor) -> Tensor:
        front, back = self.front, self.back
        if back.layout == "NC":
            return convert.pool(x, front).unsqueeze(1)
        if front.grid == back.grid and front.tokens == back.tokens:
            return convert.to_tokens(x, front)
        pixels = convert.resize(convert.to_maps(x, front), front, back).flatten(2).transpose(1, 2)
        if _carries_prefix(front, back):
            return torch.cat([x[:, : front.tokens], pixels], dim=1)
        return convert.with_prefix(pixels, back.tokens)


def _on_maps(front: Value, back: Value) -> bool:
    return "NCHW" in (front.layout, back.layout) and back.layout != "NC"


def _carries_prefix(front: Value, back: Value) -> bool:
    return front.layout == back.layout == "NLC" and front.tokens == back.tokens > 0
