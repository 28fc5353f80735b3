"""`transformer`: one block of a Vision Transformer as an adapter (Traft and Cheney, UniReps 2025, for ViT to ViT)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from ..data.values import Price, Value
from . import prices, resample, tokens
from .base import Adapter, AroundLinearMap
from .kind import Kind
from .linear import Linear
from .projection import POSITIONS

_MLP = 4  # the hidden layer's width, in channels
_HEAD = 64  # channels of a head, unless said otherwise


@dataclass(frozen=True)
class Transformer(Kind):
    """A Linear to the back's channels, then attention and an MLP of four times the width, each behind a LayerNorm and
    beside a shortcut, on all of the back's tokens.

    Before training it equals its Linear: both residual branches begin with zero output, and the closed-form fit sets
    the Linear. heads: of attention, None for one every 64 channels. by, ridge, tokens, position: of the Linear.
    """

    name: ClassVar[str] = "transformer"

    heads: int | None = field(default=None, metadata={"least": 1})
    by: str = field(default="bilinear", metadata={"choices": resample.METHODS})
    ridge: float | None = None
    tokens: str = field(default="auto", metadata={"choices": tokens.RULES})
    position: str = field(default="none", metadata={"choices": POSITIONS})

    def build(self, front: Value, back: Value) -> Adapter:
        return Block(self, front, back)

    def refuses(self, front: Value, back: Value) -> str:
        if back.layout != "NLC":
            return "a transformer block makes tokens, and the back expects none"
        if back.channels % self.heads_of(back):
            return f"{back.channels} channels cannot be shared among {self.heads_of(back)} heads"
        return self.embedding.refuses(front, back)

    def cost(self, front: Value, back: Value) -> Price:
        channels, positions = back.channels, back.shape[0]
        price = self.embedding.cost(front, back)
        price += prices.layer_norm(channels) + prices.attention(channels, positions) + prices.layer_norm(channels)
        price += prices.weights(channels, _MLP * channels, positions, bias=True)
        return price + prices.weights(_MLP * channels, channels, positions, bias=True)

    @property
    def embedding(self) -> Linear:
        return Linear(by=self.by, ridge=self.ridge, tokens=self.tokens, position=self.position)

    def heads_of(self, back: Value) -> int:
        return self.heads or max(1, back.channels // _HEAD)


class Block(AroundLinearMap):
    """The module of a `Transformer`: [batch, *front.shape] to tokens [batch, *back.shape]."""

    kind: Transformer

    def __init__(self, kind: Transformer, front: Value, back: Value):
        super().__init__(kind, front, back)
        channels = back.channels
        self.heads = kind.heads_of(back)
        self.embed = kind.embedding.build(front, back)
        self.norm1 = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels)
        self.fc1 = nn.Linear(channels, _MLP * channels)
        self.fc2 = nn.Linear(_MLP * channels, channels)
        for last in (self.proj, self.fc2):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.wrap(self.embed)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        x = x + self.proj(self._attend(self.norm1(x)))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))

    def _attend(self, x_NLC: Tensor) -> Tensor:
        _, positions, channels = x_NLC.shape
        heads = (
            part.reshape(-1, positions, self.heads, channels // self.heads) for part in self.qkv(x_NLC).chunk(3, -1)
        )
        q, k, v = (part.transpose(1, 2) for part in heads)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(-1, positions, channels)
