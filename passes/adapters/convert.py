"""Conversions between layouts, as plain tensor operations that stay in the graph.

Legend: N batch, C channels, H W pixels, L tokens (prefix tokens, then pixels row by row).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..values import Value


def to_maps(x: Tensor, value: Value) -> Tensor:
    """The pixels of a spatial value as [N, C, H, W]; prefix tokens are dropped."""
    if value.layout == "NCHW":
        return x
    # Contiguous, because convolutions keep the order of memory and a back may `view` what it is given.
    if value.layout == "NHWC":
        return x.permute(0, 3, 1, 2).contiguous()
    assert value.grid is not None
    pixels_NLC = x[:, value.tokens :] if value.tokens else x
    return pixels_NLC.transpose(1, 2).reshape(-1, value.channels, *value.grid).contiguous()


def to_tokens(x: Tensor, value: Value) -> Tensor:
    """Channels last and positions in one axis, [N, L, C]; prefix tokens are kept."""
    if value.layout == "NCHW":
        return x.flatten(2).transpose(1, 2)
    return x.flatten(1, 2) if value.layout == "NHWC" else x


def from_maps(x_NCHW: Tensor, value: Value) -> Tensor:
    """Maps of the right size and channels in the layout of `value`; each prefix token is the mean of the pixels
    (Traft and Cheney 2025 for the class token)."""
    if value.layout == "NCHW":
        return x_NCHW
    if value.layout == "NHWC":
        return x_NCHW.permute(0, 2, 3, 1).contiguous()
    return with_prefix(x_NCHW.flatten(2).transpose(1, 2), value.tokens)


def maps_numbers(value: Value) -> int:
    """How many numbers `to_maps` copies: none where the pixels lie as maps already."""
    moved = value.layout != "NCHW" and value.channels > 1 and value.pixels > 1
    return value.channels * value.pixels if moved else 0


def from_maps_numbers(value: Value, channels_last: bool = False) -> int:
    """How many numbers `from_maps` makes. channels_last: maps whose channels lie side by side in memory already."""
    if value.tokens:
        return value.channels * (1 + value.tokens + value.pixels)
    moved = value.layout != "NCHW" and not channels_last and value.channels > 1 and value.pixels > 1
    return value.channels * value.pixels if moved else 0


def with_prefix(pixels_NLC: Tensor, tokens: int) -> Tensor:
    if not tokens:
        return pixels_NLC.contiguous()
    prefix = pixels_NLC.mean(1, keepdim=True)
    return torch.cat([prefix] * tokens + [pixels_NLC], dim=1)


def resize(x_NCHW: Tensor, source: Value, target: Value) -> Tensor:
    """Bilinear, without parameters; nothing when the grids agree."""
    if source.grid == target.grid:
        return x_NCHW
    return F.interpolate(x_NCHW, size=target.grid, mode="bilinear")


def pool(x: Tensor, value: Value) -> Tensor:
    """The mean over all positions, [N, C]."""
    if value.layout == "NC":
        return x
    return x.mean({"NCHW": (2, 3), "NHWC": (1, 2), "NLC": (1,)}[value.layout])


def rows(x: Tensor, value: Value) -> Tensor:
    """Every position a row: [N, positions, C]."""
    return x.unsqueeze(1) if value.layout == "NC" else to_tokens(x, value)


def refuses(front: Value, back: Value) -> str:
    """Why no conversion leads from one to the other; "" when one does."""
    if back.layout == "NC":
        return ""
    if front.layout == "NC":
        return "a vector has no pixels to spread over maps or tokens"
    if front.grid is None or back.grid is None:
        same = front.layout == back.layout and front.shape[:-1] == back.shape[:-1] and front.tokens == back.tokens
        return "" if same else "tokens that lie on no grid can only follow as many others"
    return ""
