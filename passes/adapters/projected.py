"""The module of a projection: what it computes, and how it is fitted."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..data.values import Value
from ..numerics.moments import Means, Spread
from . import convert, resample, tokens
from .base import Adapter, picked
from .patches import Patches

if TYPE_CHECKING:
    from ..numerics.ridge import Moments, Solution
    from .projection import Projection


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
        """The input of the convolution, at the front's resolution: [N, C, H, W]."""
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
    def design_key(self) -> Hashable:
        if self.vector:
            return "pool", self.front, self.intercept, self.kind.norm in ("before", "both")
        kept = self.back.tokens if self.rule in ("carry", "mean") else 0
        around = self.kind.norm in ("before", "both"), self.kind.position
        grids = self._patches() if self.front.grid and self.back.grid else None
        return self.front, grids, self.rule if kept or self.rule == "concat" else "", kept, self.intercept, *around

    @property
    def target_key(self) -> Hashable:
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
        norm = self.norm_before
        self._modules["norm_before"] = nn.Identity()
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
        mean = moments.x / moments.count
        with torch.no_grad():
            if self.kind.rank is not None:
                weight, bias = self._load_rank(weight, bias, moments)
            if self.kind.position == "learned":
                assert self._means is not None
                fixed = self._means["targets"] - self._means["rows"].double() @ weight.T + bias
                self.position.copy_(fixed.T.reshape(self.position.shape))
                bias = torch.zeros_like(bias)
            if self.rule == "learned":
                assert self._means is not None
                self.token.copy_(self._means["tokens"])
            if self.kind.norm in ("after", "both"):
                self._load_norm(weight @ mean, moments.spread(weight).diagonal(), bias)
            if self.project.bias is not None:
                self.project.bias.copy_(bias)
            if self.kind.rank is None:
                self.project.weight.copy_(weight.reshape(self.project.weight.shape))

    def _load_rank(self, weight: Tensor, bias: Tensor, moments: Moments) -> tuple[Tensor, Tensor]:
        """Reduced-rank regression: the best map of this rank is the full one projected on the leading principal
        components of its output. Returns the map [channels, features] and its bias [channels]."""
        leading = torch.linalg.eigh(moments.spread(weight, centred=self.intercept)).eigenvectors
        assert self.kind.rank is not None
        leading = leading[:, -self.kind.rank :].flip(1)
        self.reduce.weight.copy_((leading.T @ weight).reshape(self.reduce.weight.shape))
        self.project.weight.copy_(leading.reshape(self.project.weight.shape))
        reduced = leading @ leading.T @ weight
        return reduced, bias + self.intercept * (weight - reduced) @ (moments.x / moments.count)

    def _load_norm(self, mean: Tensor, variance: Tensor, bias: Tensor) -> None:
        """Sets the norm's statistics to those of the map's output, and its scale and shift such that the norm only adds
        the bias that the map lacks. mean, variance: of the map's output without its bias, [channels]."""
        norm, inner = self.norm_after, bias if self.kind.bias else torch.zeros_like(bias)
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(mean + inner)
        norm.running_var.copy_(variance.clamp_min(0))
        norm.weight.copy_((norm.running_var + norm.eps).sqrt())
        norm.bias.copy_(mean + bias)

    def set_to_identity(self) -> None:
        with torch.no_grad():
            if self.kind.rank is not None:
                _to_identity(self.reduce)
            _to_identity(self.project)


def _to_identity(layer: nn.Linear | nn.Conv2d) -> None:
    nn.init.dirac_(layer.weight) if isinstance(layer, nn.Conv2d) else nn.init.eye_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
