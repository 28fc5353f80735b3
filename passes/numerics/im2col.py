"""The rows that the weights of a convolution multiply, of maps that are padded already.

A row has channels * height * width numbers of the kernel, in the order of a convolution's weight.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

Pair = tuple[int, int]


def im2col(x_NCHW: Tensor, kernel: Pair, stride: Pair = (1, 1), dilation: Pair = (1, 1)) -> Tensor:
    """The rows of all positions, [images, positions, channels * height * width]: a transposed view."""
    if kernel == (1, 1):
        columns = x_NCHW[:, :, :: stride[0], :: stride[1]].flatten(2)
    else:
        columns = F.unfold(x_NCHW, kernel, dilation, 0, stride)
    return columns.transpose(1, 2)


def grouped_rows(
    x_NCHW: Tensor, kernel: Pair, stride: Pair = (1, 1), dilation: Pair = (1, 1), groups: int = 1, every: int = 1
) -> Tensor:
    """The rows of each group of channels, of all images one after the other: [groups, rows, channels of a group *
    height * width of the kernel]. every: of all rows only each so many-th, from the first.

    Written once, each number of the kernel as one run of memory, which is how products of rows with rows read them.
    """
    channels = x_NCHW.shape[1]
    if kernel == (1, 1):
        pixels = x_NCHW[:, :, :: stride[0], :: stride[1]].permute(0, 2, 3, 1).reshape(-1, groups, channels // groups)
        return pixels[::every].transpose(0, 1)
    found = _each_so_many(x_NCHW, kernel, stride, dilation, every) if every > 1 else None
    if found is None:
        found = x_NCHW.contiguous().permute(1, 0, 2, 3)
        for axis, (size, step, gap) in enumerate(zip(kernel, stride, dilation, strict=True), 2):
            found = found.unfold(axis, (size - 1) * gap + 1, step)[..., ::gap]
        found = found.permute(0, 4, 5, 1, 2, 3)
    return found.reshape(groups, channels // groups * kernel[0] * kernel[1], -1).mT


def _each_so_many(x_NCHW: Tensor, kernel: Pair, stride: Pair, dilation: Pair, every: int) -> Tensor:
    """Each so many-th of all rows: a view [channels, height * width of the kernel, rows]."""
    images, channels, height, width = x_NCHW.shape
    down, across = (
        (extent - (size - 1) * gap - 1) // step + 1
        for extent, size, step, gap in zip((height, width), kernel, stride, dilation, strict=True)
    )
    pixels = x_NCHW.permute(0, 2, 3, 1).reshape(-1, channels)
    row = torch.arange(0, images * down * across, every, device=pixels.device)
    image, place = row // (down * across), row % (down * across)
    corner = (image * height + place // across * stride[0]) * width + place % across * stride[1]
    offsets = [dy * dilation[0] * width + dx * dilation[1] for dy in range(kernel[0]) for dx in range(kernel[1])]
    return torch.stack([pixels[corner + offset] for offset in offsets]).permute(2, 0, 1)


def rows_at(x_NCHW: Tensor, kernel: Pair, corners: Tensor, weights: Tensor, keep: Tensor | None = None) -> Tensor:
    """Of positions that lie anywhere or between pixels: weighted sums of the patches that begin at some pixels.

    corners, weights: of each position the pixels (row by row, counted from 0) at which its patches begin, int64, and
    what each counts, [positions, taps]. keep: of each image the positions that are wanted, int64 [images, kept]; None
    for all. Returns [images, positions or kept, channels * height * width].
    """
    width = x_NCHW.shape[3]
    pixels = x_NCHW.permute(0, 2, 3, 1).flatten(1, 2).contiguous()
    offsets = [dy * width + dx for dy in range(kernel[0]) for dx in range(kernel[1])]
    rows = torch.stack([_blend(pixels, corners + offset, weights, keep) for offset in offsets], dim=-1)
    return rows.flatten(2)


def _blend(pixels: Tensor, places: Tensor, weights: Tensor, keep: Tensor | None) -> Tensor:
    """The weighted sums of pixels [images, pixels, channels] at places [positions, taps]."""
    total = None
    for place, weight in zip(places.unbind(1), weights.to(pixels.dtype).unbind(1), strict=True):
        if keep is None:
            found, factor = pixels[:, place], weight[:, None]
        else:
            image = torch.arange(len(pixels), device=pixels.device)[:, None]
            found, factor = pixels[image, place[keep]], weight[keep][:, :, None]
        part = found if places.shape[1] == 1 else found * factor
        total = part if total is None else total + part
    assert total is not None
    return total
