"""Adapters that are one linear map of pixels or patches, with what may stand around it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from ..values import Price, Value
from . import convert, prices, resample, tokens
from .base import Adapter, Kind, picked
from .chain import scale_steps
from .footprint import Footprint, of_projection
from .observed import Means, Spread
from .patches import PLACES, Patches

if TYPE_CHECKING:
    from ..ridge import Moments, Solution

NORMS = ("none", "before", "after", "both")
POSITIONS = ("none", "learned")


@dataclass(frozen=True)
class Projection(Kind):
    """A linear map at every position: a matrix for a kernel of 1, a convolution with zero padding for a larger one.

    resize: where the change of size stands: "before" it, "after" it, at the side that is "small"er (cheaper), or
    "strided": integrated into the convolution (which needs whole steps down). by: how, for the first three.
    norm: BatchNorm "before", "after" or "both". bias: of the map. rank: through so many channels, None for a full one.
    ridge: the penalty of the fit, None for the best on held-out images. tokens: see `tokens`. position: "learned" adds
    a parameter at every pixel, for a back whose values have its position embedding in them. chain: see `chain`.
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
    chain: bool = False

    def build(self, front: Value, back: Value) -> Adapter:
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
            return replace(self, resize=defaults.resize, by=defaults.by, chain=False)
        return replace(self, chain=self.chain and len(self.links(front, back)) > 2)

    def links(self, front: Value, back: Value) -> tuple[Value, ...]:
        return scale_steps(front, back) if self.chain else (front, back)

    def rule(self, front: Value, back: Value) -> str:
        """What becomes of prefix tokens (see `tokens`)."""
        rule = tokens.resolve(self.tokens, front, back)
        return "mean" if rule == "carry" and self.tokens == "auto" and not self._carries(front, back) else rule

    def _carries(self, front: Value, back: Value) -> bool:
        """Whether it is a matrix for every position, of prefix tokens too; a convolution reads neighbours."""
        return self.kernel == 1 and self.place(front, back) != "strided"

    def place(self, front: Value, back: Value) -> str:
        """Where the resize stands between two values; "before" where there is none."""
        if front.grid is None or back.grid is None or front.grid == back.grid:
            return "before"
        if self.resize == "small":
            return "before" if back.pixels < front.pixels else "after"
        return self.resize


class Projected(Adapter):
    """The module of a `Projection`: convert, norm, resize, project, resize, norm, position, ReLU, convert."""

    kind: Projection

    def __init__(self, kind: Projection, front: Value, back: Value):
        super().__init__(kind, front, back)
        self.rule, self.place = kind.rule(front, back), kind.place(front, back)
        inputs, outputs = tokens.channels(self.rule, front), back.channels
        self.vector = back.layout == "NC"
        plain = kind.norm == "none" and kind.position == "none" and kind.kernel == 1
        same = front.grid == back.grid
        self.rows = (
            not self.vector and plain and (self.rule == "carry" or (same and "NCHW" not in (front.layout, back.layout)))
        )

        self.features = inputs * kind.kernel**2
        self.intercept, self.ridge, self.preactivation = (
            kind.bias or kind.norm in ("after", "both"),
            kind.ridge,
            kind.relu,
        )
        self.exact = not kind.relu and kind.rank is None and self.rule not in ("zeros", "learned")
        before, after = kind.norm in ("before", "both"), kind.norm in ("after", "both")
        self.observes = before or self.rule == "learned" or kind.position == "learned"

        norm = nn.BatchNorm1d if self.vector else nn.BatchNorm2d
        if before:
            self.norm_before = norm(inputs)
        if kind.rank is not None:
            self.reduce = self._map(inputs, kind.rank, bias=False)
            inputs = kind.rank
        self.project = self._map(inputs, outputs, bias=kind.bias, pointwise=kind.rank is not None)
        if after:
            self.norm_after = norm(outputs)
        if self.rule == "learned":
            self.token = nn.Parameter(torch.zeros(1, back.tokens, outputs))
        if kind.position == "learned":
            assert back.grid is not None
            self.position = nn.Parameter(torch.zeros(1, outputs, *back.grid))
        self._spread = Spread() if before else None
        self._means = Means() if self.observes else None

    def _map(self, inputs: int, outputs: int, *, bias: bool, pointwise: bool = False) -> nn.Linear | nn.Conv2d:
        if self.vector or self.rows:
            return nn.Linear(inputs, outputs, bias=bias)
        if pointwise:
            return nn.Conv2d(inputs, outputs, 1, bias=bias)
        steps = (1, 1)
        if self.place == "strided":
            assert self.front.grid and self.back.grid
            steps = resample.stride(self.front.grid, self.back.grid)
        kernel = self.kind.kernel
        return nn.Conv2d(inputs, outputs, kernel, steps, padding=kernel // 2, bias=bias)

    # -- what it computes ------------------------------------------------------------------------------------

    def forward(self, x: Tensor) -> Tensor:
        if self.vector:
            return self._activate(self._normalise(self._linear(self._before(convert.pool(x, self.front)))))
        if self.rows:
            return self._forward_rows(x)
        maps = self._maps(x)
        if self.place == "before":
            maps = self._resize(maps)
        y = self._linear(maps)
        if self.place == "after":
            y = self._resize(y)
        y = self._normalise(y)
        if self.kind.position == "learned":
            y = y + self.position
        return self._with_tokens(convert.from_maps(self._activate(y), self.back))

    def _forward_rows(self, x: Tensor) -> Tensor:
        front, back = self.front, self.back
        if self.rule == "carry" and front.grid != back.grid:
            return self._activate(self._carry_over(x))
        if self.rule == "carry" or (front.layout == back.layout and not front.tokens):
            y = self._activate(self._linear(x))
            return y if not (back.tokens and self.rule != "carry") else self._with_tokens(y)
        pixels = convert.pixels(x, front)
        if self.rule == "concat":
            pixels = tokens.concat(pixels, x, front)
        y = self._activate(self._linear(pixels))
        return self._with_tokens(convert.from_pixels(y, back))

    def _carry_over(self, x: Tensor) -> Tensor:
        """Tokens of one grid as tokens of another, the prefix tokens along with them."""
        front, back = self.front, self.back
        if self.place == "before":
            return self._linear(torch.cat([x[:, : front.tokens], self._resize_pixels(x, front)], dim=1))
        y = self._linear(x)
        return torch.cat([y[:, : back.tokens], self._resize_pixels(y, replace(back, grid=front.grid))], dim=1)

    def _resize_pixels(self, x_NLC: Tensor, value: Value) -> Tensor:
        return self._resize(convert.to_maps(x_NLC, value)).flatten(2).transpose(1, 2)

    def _maps(self, x: Tensor) -> Tensor:
        """What the convolution reads, at the front's resolution."""
        if self.rule == "concat":
            assert self.front.grid is not None
            pixels = tokens.concat(convert.pixels(x, self.front), x, self.front)
            maps = pixels.transpose(1, 2).reshape(-1, pixels.shape[2], *self.front.grid).contiguous()
        else:
            maps = convert.to_maps(x, self.front)
        return self._before(maps)

    def _before(self, x: Tensor) -> Tensor:
        return self.norm_before(x) if self.kind.norm in ("before", "both") else x

    def _linear(self, x: Tensor) -> Tensor:
        return self.project(self.reduce(x) if self.kind.rank is not None else x)

    def _resize(self, maps: Tensor) -> Tensor:
        return resample.resize(maps, self.front.grid, self.back.grid, self.kind.by)

    def _normalise(self, y: Tensor) -> Tensor:
        return self.norm_after(y) if self.kind.norm in ("after", "both") else y

    def _activate(self, y: Tensor) -> Tensor:
        return torch.relu(y) if self.kind.relu else y

    def _with_tokens(self, y: Tensor) -> Tensor:
        if self.rule not in ("mean", "zeros", "learned"):
            return y
        return tokens.prefix(self.rule, y, self.back.tokens, self.token if self.rule == "learned" else None)

    # -- how it is fitted ------------------------------------------------------------------------------------

    @property
    def reading(self) -> Hashable:
        if self.vector:
            return "pool", self.front, self.intercept, self.kind.norm in ("before", "both")
        kept = self.back.tokens if self.rule in ("carry", "mean") else 0
        around = self.kind.norm in ("before", "both"), self.kind.position
        grids = self._patches() if self.front.grid and self.back.grid else None
        return self.front, grids, self.rule if kept or self.rule == "concat" else "", kept, self.intercept, *around

    @property
    def aim(self) -> Hashable:
        return self.back, self.rule in ("zeros", "learned"), self.kind.position

    def observe(self, x: Tensor, y: Tensor) -> None:
        if self._spread:
            maps = convert.pool(x, self.front) if self.vector else self._unnormed(x)
            self.norm_before.running_mean, self.norm_before.running_var = self._spread.add(maps)
        assert self._means is not None
        if self.kind.position == "learned":
            self._means.add(rows=self._pixel_rows(x), targets=self._pixel_targets(y))
        if self.rule == "learned":
            self._means.add(tokens=y[:, : self.back.tokens])

    def _unnormed(self, x: Tensor) -> Tensor:
        norm, self.norm_before = self.norm_before, nn.Identity()
        maps = self._maps(x)
        self.norm_before = norm
        return maps

    def design(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        if self.vector:
            return picked(self._before(convert.pool(x, self.front)).unsqueeze(1), keep)
        if self.kind.position == "learned":
            assert self._means is not None
            return picked(self._pixel_rows(x) - self._means["rows"], keep)
        if self.rule not in ("carry", "mean"):
            return self._pixel_rows(x, keep)
        pixels = self._pixel_rows(x)
        if self.rule == "carry":
            prefix = x[:, : self.front.tokens]
        else:
            prefix = pixels.mean(1, keepdim=True).expand(-1, self.back.tokens, -1)
        return picked(torch.cat([prefix, pixels], dim=1), keep)

    def _pixel_rows(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        if self.front.grid is None or self.back.grid is None:
            return picked(convert.pixels(x, self.front), keep)
        return self._patches()(self._maps(x), keep)

    def _patches(self) -> Patches:
        assert self.front.grid and self.back.grid
        place = self.place if self.front.grid != self.back.grid else "before"
        by = self.kind.by if self.front.grid != self.back.grid and place != "strided" else "bilinear"
        return Patches(self.front.grid, self.back.grid, self.kind.kernel, place, by)

    def target(self, y: Tensor) -> Tensor:
        if self.kind.position == "learned":
            assert self._means is not None
            return self._pixel_targets(y) - self._means["targets"]
        return self._pixel_targets(y) if self.rule in ("zeros", "learned") else convert.rows(y, self.back)

    def _pixel_targets(self, y: Tensor) -> Tensor:
        return convert.pixels(y, self.back)

    def load(self, solution: Solution, moments: Moments) -> None:
        weight, bias = solution.weight, solution.bias
        mean, spread = moments.x / moments.count, moments.spread(weight)
        with torch.no_grad():
            if self.kind.position == "learned":
                assert self._means is not None
                fixed = self._means["targets"] - self._means["rows"].double() @ weight.T + bias
                self.position.copy_(fixed.T.reshape(self.position.shape))
                bias = torch.zeros_like(bias)
            if self.rule == "learned":
                assert self._means is not None
                self.token.copy_(self._means["tokens"])
            if self.kind.norm in ("after", "both"):
                self._load_norm(weight @ mean, spread.diagonal(), bias)
            if self.project.bias is not None:
                self.project.bias.copy_(bias)
            if self.kind.rank is not None:
                # Reduced-rank regression: of all maps of this rank the nearest, where the data is, is the full one
                # projected on the leading directions of what it puts out.
                leading = torch.linalg.eigh(spread).eigenvectors[:, -self.kind.rank :].flip(1)
                self.reduce.weight.copy_((leading.T @ weight).reshape(self.reduce.weight.shape))
                weight = leading
            self.project.weight.copy_(weight.reshape(self.project.weight.shape))

    def _load_norm(self, mean: Tensor, variance: Tensor, bias: Tensor) -> None:
        """Statistics as they are, and scale and shift such that the norm adds what bias the map lacks, and no more.
        mean, variance: of the map's output without its bias."""
        norm, inner = self.norm_after, bias if self.kind.bias else torch.zeros_like(bias)
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(mean + inner)
        norm.running_var.copy_(variance.clamp_min(0))
        norm.weight.copy_((norm.running_var + norm.eps).sqrt())
        norm.bias.copy_(mean + bias)

    def pass_on(self) -> None:
        with torch.no_grad():
            if self.kind.rank is not None:
                _to_identity(self.reduce)
            _to_identity(self.project)


def _to_identity(layer: nn.Linear | nn.Conv2d) -> None:
    nn.init.dirac_(layer.weight) if isinstance(layer, nn.Conv2d) else nn.init.eye_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def _size(value: Value) -> str:
    assert value.grid is not None
    return f"{value.grid[0]}x{value.grid[1]}"
