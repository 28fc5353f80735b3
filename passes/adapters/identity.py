"""`identity`: no parameters. The conversions of layout, tokens and size alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

from ..data.values import Price, Value
from . import convert, prices, resample, tokens
from .base import Adapter
from .kind import Kind


@dataclass(frozen=True)
class Identity(Kind):
    """The front's value in the back's layout and size, channel for channel. by: interpolation of the resize. tokens:
    one of the rules of `tokens` that need no parameters and keep the number of channels."""

    name: ClassVar[str] = "identity"

    by: str = field(default="bilinear", metadata={"choices": resample.METHODS})
    tokens: str = field(default="auto", metadata={"choices": ("auto", "carry", "drop", "mean", "zeros")})

    def build(self, front: Value, back: Value) -> Adapter:
        return Converted(self, front, back)

    def refuses(self, front: Value, back: Value) -> str:
        if front.channels != back.channels:
            return f"{front.channels} channels are not the {back.channels} that the back expects"
        reason = convert.refuses(front, back) or tokens.refuses(self.tokens, front, back)
        if reason or front.grid is None or back.grid is None or front.grid == back.grid:
            return reason
        blocks = self.by != "area" or resample.divides(front.grid, back.grid)
        return "" if blocks else "by=area averages whole blocks, and the sizes do not divide"

    def cost(self, front: Value, back: Value) -> Price:
        return prices.NOTHING


class Converted(Adapter):
    """The module of `Identity`."""

    kind: Identity

    exact = False  # there is no linear system to read a residual from

    def __init__(self, kind: Identity, front: Value, back: Value):
        super().__init__(kind, front, back)
        self.rule = tokens.resolve(kind.tokens, front, back)

    def forward(self, x: Tensor) -> Tensor:
        front, back = self.front, self.back
        if back.layout == "NC":
            return convert.pool(x, front)
        if front == back:
            return x
        maps = resample.resize(convert.to_maps(x, front), front.grid, back.grid, self.kind.by)
        y = convert.from_maps(maps, back)
        if self.rule == "carry":
            return tokens.join(x[:, : front.tokens], y)
        return tokens.prefix(self.rule, y, back.tokens, None) if back.tokens else y
