"""`bottleneck`: the residual block of ResNet-50 as an adapter (Traft and Cheney, UniReps 2025)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..data.values import Price, Value
from . import convert, prices, resample, tokens
from .base import Adapter, AroundLinearMap
from .kind import Kind
from .linear import Linear
from .steps import scale_steps


@dataclass(frozen=True)
class Bottleneck(Kind):
    """1x1, 3x3 and 1x1 convolutions, BatchNorm after each, at a quarter of the back's channels; beside them a 1x1
    convolution and BatchNorm where the channels differ; ReLU. The resize stands before it.

    Before training it equals its shortcut: the residual branch begins with zero output (its last norm scales by zero),
    and the closed-form fit sets the shortcut. With as many channels on both sides there is no shortcut to fit.
    by: interpolation of the resize. tokens: see `tokens`. steps: several adapters in a row, see `steps`. ridge: penalty
    of the fit.
    """

    name: ClassVar[str] = "bottleneck"

    by: str = field(default="bilinear", metadata={"choices": resample.METHODS})
    ridge: float | None = None
    tokens: str = field(default="auto", metadata={"choices": ("auto", "drop", "mean", "zeros")})
    steps: bool = False

    def build(self, front: Value, back: Value) -> Adapter:
        return Block(self, front, back)

    def between(self, front: Value, back: Value) -> tuple[Value, ...]:
        return scale_steps(front, back) if self.steps else (front, back)

    def refuses(self, front: Value, back: Value) -> str:
        if front.grid is None or back.grid is None:
            return "a 3x3 convolution needs pixels on both sides"
        if self.by == "area" and front.grid != back.grid and not resample.divides(front.grid, back.grid):
            return "by=area averages whole blocks, and the sizes do not divide"
        return tokens.refuses(self.tokens, front, back)

    def cost(self, front: Value, back: Value) -> Price:
        inputs, outputs, width = front.channels, back.channels, _width(back)
        positions = back.pixels
        price = prices.weights(inputs, width, positions, bias=False) + prices.norm(width)
        price += prices.weights(9 * width, width, positions, bias=False) + prices.norm(width)
        price += prices.weights(width, outputs, positions, bias=False) + prices.norm(outputs)
        if inputs != outputs:
            price += prices.weights(inputs, outputs, positions, bias=False) + prices.norm(outputs)
        return price


class Block(AroundLinearMap):
    """The module of a `Bottleneck`: [batch, *front.shape] to [batch, *back.shape]."""

    kind: Bottleneck

    preactivation = True

    def __init__(self, kind: Bottleneck, front: Value, back: Value):
        super().__init__(kind, front, back)
        assert back.grid is not None
        self.rule = tokens.resolve(kind.tokens, front, back)
        width = _width(back)
        self.conv1 = nn.Conv2d(front.channels, width, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, back.channels, 1, bias=False)
        self.norm3 = nn.BatchNorm2d(back.channels)
        nn.init.zeros_(self.norm3.weight)
        if front.channels != back.channels:
            given, wanted = (Value((v.channels, *back.grid), "NCHW", grid=back.grid) for v in (front, back))
            self.shortcut = Linear(norm="after", bias=False, ridge=kind.ridge).build(given, wanted)
            self.wrap(self.shortcut)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.inner_input(x)
        y = torch.relu(self.norm1(self.conv1(maps)))
        y = torch.relu(self.norm2(self.conv2(y)))
        y = self.norm3(self.conv3(y))
        y = torch.relu(y + (self.shortcut(maps) if self.features else maps))
        made = convert.from_maps(y, self.back)
        if not self.back.tokens:
            return made
        return tokens.prefix("mean" if self.rule == "carry" else self.rule, made, self.back.tokens, None)

    def inner_input(self, x: Tensor) -> Tensor:
        return resample.resize(convert.to_maps(x, self.front), self.front.grid, self.back.grid, self.kind.by)

    def inner_target(self, y: Tensor) -> Tensor:
        return convert.to_maps(y, self.back)

    def set_to_identity(self) -> None:
        if self.features:
            super().set_to_identity()


def _width(back: Value) -> int:
    return max(1, back.channels // 4)
