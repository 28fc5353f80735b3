"""The rows that the weights of a convolution multiply (im2col), for chosen positions only."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from . import resample
from .resample import Grid

#: Where the change of size stands: at the cheaper side of the convolution, before it, after it, or in its stride.
PLACES = ("small", "before", "after", "strided")


@dataclass(frozen=True)
class Patches:
    """For each pixel of the target grid the kernel x kernel pixels that a convolution with zero padding reads there.

    source, target: grids. kernel: odd. place: of the resize, one of `PLACES` but "small". by: its method.
    """

    source: Grid
    target: Grid
    kernel: int = 1
    place: str = "before"
    by: str = "bilinear"

    @property
    def features(self) -> int:
        """Numbers a channel in a row."""
        return self.kernel**2

    def __call__(self, maps: Tensor, keep: Tensor | None = None) -> Tensor:
        """Rows [images, positions, channels * kernel * kernel] of maps [images, channels, *source].

        keep: of each image the positions that are wanted, int64 [images, positions]; None for all in order. A resize
        after the convolution is linear and its weights add up to one, so it passes through the convolution and its bias
        onto the patches: a row is then the weighted sum of the patches at the source pixels that are blended.
        """
        if self.place == "before":
            maps = resample.resize(maps, self.source, self.target, self.by)
        margin = self.kernel // 2
        padded = F.pad(maps, (margin,) * 4).permute(0, 2, 3, 1)
        width = padded.shape[2]
        pixels = padded.flatten(1, 2).contiguous()
        corners, weights = self._corners(width)
        offsets = [dy * width + dx for dy in range(self.kernel) for dx in range(self.kernel)]
        rows = torch.stack([_blend(pixels, corners + offset, weights, keep) for offset in offsets], dim=-1)
        return rows.flatten(2)

    def _corners(self, width: int) -> tuple[Tensor, Tensor]:
        """Of each target pixel: the padded pixels at which its patches begin, and their weights, [positions, taps]."""
        if self.place == "after" and self.source != self.target:
            (ys, wy), (xs, wx) = (resample.taps(s, t, self.by) for s, t in zip(self.source, self.target, strict=True))
            corners = ys[:, None, :, None] * width + xs[None, :, None, :]
            weights = wy[:, None, :, None] * wx[None, :, None, :]
            return corners.flatten(2).flatten(0, 1), weights.flatten(2).flatten(0, 1)
        steps = resample.stride(self.source, self.target) if self.place == "strided" else (1, 1)
        ys, xs = (torch.arange(size) * step for size, step in zip(self.target, steps, strict=True))
        corners = (ys[:, None] * width + xs).flatten()[:, None]
        return corners, torch.ones(corners.shape)


def _blend(pixels: Tensor, places: Tensor, weights: Tensor, keep: Tensor | None) -> Tensor:
    """The weighted sums of pixels [images, pixels, channels] at places [positions, taps]."""
    total = None
    for place, weight in zip(places.unbind(1), weights.to(pixels.dtype).unbind(1), strict=True):
        if keep is None:
            found, factor = pixels[:, place], weight[:, None]
        else:
            image = torch.arange(len(pixels))[:, None]
            found, factor = pixels[image, place[keep]], weight[keep][:, :, None]
        part = found if places.shape[1] == 1 else found * factor
        total = part if total is None else total + part
    assert total is not None
    return total
