"""Conversions between layouts, as plain tensor operations that stay in the graph.

Legend: N batch, C channels, H W pixels, L tokens (prefix tokens, then pixels row by row).
"""

from __future__ import annotations

from torch import Tensor

from ..data.values import Value


def to_maps(x: Tensor, value: Value) -> Tensor:
    """The pixels of a spatial value as [N, C, H, W]; prefix tokens are dropped."""
    if value.layout == "NCHW":
        return x
    # Contiguous, because convolutions keep the order of memory and a back may `view` what it is given.
    if value.layout == "NHWC":
        return x.permute(0, 3, 1, 2).contiguous()
    assert value.grid is not None
    return pixels(x, value).transpose(1, 2).reshape(-1, value.channels, *value.grid).contiguous()


def pixels(x: Tensor, value: Value) -> Tensor:
    """Channels last and the pixels in one axis, [N, L, C], without prefix tokens."""
    if value.layout == "NCHW":
        return x.flatten(2).transpose(1, 2)
    if value.layout == "NHWC":
        return x.flatten(1, 2)
    return x[:, value.tokens :] if value.tokens else x


def from_pixels(pixels_NLC: Tensor, value: Value) -> Tensor:
    """Pixels in one axis in the layout of `value`, prefix tokens aside."""
    if value.layout == "NLC":
        return pixels_NLC
    assert value.grid is not None
    maps_NHWC = pixels_NLC.reshape(-1, *value.grid, value.channels)
    return maps_NHWC if value.layout == "NHWC" else maps_NHWC.permute(0, 3, 1, 2).contiguous()


def from_maps(x_NCHW: Tensor, value: Value) -> Tensor:
    """Maps of the right size and channels in the layout of `value`, prefix tokens aside."""
    if value.layout == "NCHW":
        return x_NCHW
    if value.layout == "NHWC":
        return x_NCHW.permute(0, 2, 3, 1).contiguous()
    return x_NCHW.flatten(2).transpose(1, 2).contiguous()


def pool(x: Tensor, value: Value) -> Tensor:
    """The mean over all positions, [N, C]."""
    if value.layout == "NC":
        return x
    return x.mean({"NCHW": (2, 3), "NHWC": (1, 2), "NLC": (1,)}[value.layout])


def rows(x: Tensor, value: Value) -> Tensor:
    """Every position a row: [N, positions, C], prefix tokens first."""
    if value.layout == "NC":
        return x.unsqueeze(1)
    return x if value.layout == "NLC" else pixels(x, value)


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
