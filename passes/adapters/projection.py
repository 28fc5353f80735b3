"""Adapters that are one linear map of pixels or patches, with optional norms, resize, ReLU and position bias."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from ..data.values import Price, Value
from . import convert, prices, resample, tokens
from .base import Adapter
from .footprint import Footprint, of_projection
from .kind import Kind
from .patches import PLACES
from .steps import scale_steps

NORMS = ("none", "before", "after", "both")
POSITIONS = ("none", "learned")


@dataclass(frozen=True)
class Projection(Kind):
    """A linear map at every position: a matrix for a kernel of 1, a convolution with zero padding for a larger one.

    resize: where the size changes: "before" the map, "after" it, at the smaller and so cheaper resolution ("small"), or
    in the convolution's stride ("strided", for whole factors). by: the interpolation, for the first three. norm:
    BatchNorm "before", "after" or "both". bias: of the map. rank: of the matrix, factored into two; None for full rank.
    ridge: the penalty of the fit, None for the best on held-out images. tokens: see `tokens`. position: "learned" adds
    a parameter at every pixel, for a back whose values at the cut contain a position embedding. steps: several adapters
    in a row where the size changes much, see `steps`.
    """

    kernel: ClassVar[int] = 1
    relu: ClassVar[bool] = False

    resize: str = field(default="small", metadata={"choices": PLACES})
    by: str = field(default="bilinear", metadata={"choices": resample.METHODS})
    norm: str = field(default="none", metadata={"choices": NORMS})
    bias: bool = True
    rank: int | None = field(default=None, metadata={"least": 1})
    ridge: float | None = None
    tokens: str = field(default="auto", metadata={"choices": tokens.RULES})
    position: str = field(default="none", metadata={"choices": POSITIONS})
    steps: bool = False

    def build(self, front: Value, back: Value) -> Adapter:
        from .projected import Projected

        return Projected(self, front, back)

    def refuses(self, front: Value, back: Value) -> str:
        if self.kernel > 1 and (front.grid is None or back.grid is None):
            return f"a {self.kernel}x{self.kernel} convolution needs pixels on both sides"
        return (
            convert.refuses(front, back)
            or tokens.refuses(self.tokens, front, back)
            or self._refuses_resize(front, back)
            or self._refuses_options(front, back)
        )

    def _refuses_resize(self, front: Value, back: Value) -> str:
        if front.grid == back.grid or front.grid is None or back.grid is None:
            return ""
        steps = resample.divides(front.grid, back.grid)
        if self.resize == "strided" and not steps:
            return f"a stride takes whole steps down, which {_size(front)} to {_size(back)} are not"
        if self.resize != "strided" and self.by == "area" and not steps:
            return f"by=area averages whole blocks, and {_size(front)} has no such blocks for {_size(back)}"
        return ""

    def _refuses_options(self, front: Value, back: Value) -> str:
        rule = self.rule(front, back)
        most = min(tokens.channels(rule, front) * self.kernel**2, back.channels)
        if self.rank is not None and self.rank >= most:
            return f"rank={self.rank} saves nothing between {front.channels} and {back.channels} channels"
        if rule == "carry" and not self._carries(front, back):
            return "tokens=carry needs a matrix: a convolution reads neighbours, and tokens have none"
        if rule == "carry" and (self.norm != "none" or self.position != "none"):
            return "norm and position are of pixels: they need tokens=mean or another rule that makes the back's tokens"
        if self.position != "none" and (back.grid is None or self.norm in ("before", "both")):
            return "position=learned needs pixels in the back, and no norm before"
        if self.norm != "none" and front.layout == "NLC" and front.grid is None and back.layout != "NC":
            return "a BatchNorm needs pixels, and these tokens lie on no grid"
        return ""

    def cost(self, front: Value, back: Value) -> Price:
        rule = self.rule(front, back)
        inputs, outputs = tokens.channels(rule, front), back.channels
        positions = self._positions(front, back, rule)
        read = inputs * self.kernel**2
        if self.rank is None:
            price = prices.weights(read, outputs, positions, bias=self.bias)
        else:
            price = prices.weights(read, self.rank, positions, bias=False)
            price += prices.weights(self.rank, outputs, positions, bias=self.bias)
        if self.norm in ("before", "both"):
            price += prices.norm(inputs)
        if self.norm in ("after", "both"):
            price += prices.norm(outputs)
        if rule == "learned":
            price += prices.parameters(back.tokens * outputs)
        if self.position == "learned":
            price += prices.parameters(back.pixels * outputs)
        return price

    def footprint(self, front: Value, back: Value) -> Footprint | None:
        return of_projection(self, front, back)

    def _positions(self, front: Value, back: Value, rule: str) -> int:
        if back.layout == "NC":
            return 1
        carried = back.tokens if rule == "carry" else 0
        return (front.pixels if self.place(front, back) == "after" else back.pixels) + carried

    def simplest(self, front: Value, back: Value) -> Kind:
        if back.layout == "NC" or front.grid == back.grid:
            defaults = type(self)()
            return replace(self, resize=defaults.resize, by=defaults.by, steps=False)
        return replace(self, steps=self.steps and len(self.between(front, back)) > 2)

    def between(self, front: Value, back: Value) -> tuple[Value, ...]:
        return scale_steps(front, back) if self.steps else (front, back)

    def rule(self, front: Value, back: Value) -> str:
        """The rule for prefix tokens between two values (see `tokens`)."""
        rule = tokens.resolve(self.tokens, front, back)
        return "mean" if rule == "carry" and self.tokens == "auto" and not self._carries(front, back) else rule

    def _carries(self, front: Value, back: Value) -> bool:
        """Whether prefix tokens can pass through the same matrix; a convolution reads neighbours, and tokens have
        none."""
        return self.kernel == 1 and self.place(front, back) != "strided"

    def place(self, front: Value, back: Value) -> str:
        """Where the resize stands between two values; "before" where there is none."""
        if front.grid is None or back.grid is None or front.grid == back.grid:
            return "before"
        if self.resize == "small":
            return "before" if back.pixels < front.pixels else "after"
        return self.resize


def _size(value: Value) -> str:
    assert value.grid is not None
    return f"{value.grid[0]}x{value.grid[1]}"
