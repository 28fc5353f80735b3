"""The rows that the weights of a convolution multiply (im2col), for chosen positions only."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..numerics.im2col import im2col, rows_at
from . import resample
from .resample import Grid

#: Where the size changes: at the smaller resolution, before the convolution, after it, or in its stride.
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
        """Features of a row for each channel."""
        return self.kernel**2

    def __call__(self, maps: Tensor, keep: Tensor | None = None) -> Tensor:
        """Rows [images, positions, channels * kernel * kernel] of maps [images, channels, *source].

        keep: of each image the positions that are wanted, int64 [images, positions]; None for all in order. A resize
        after the convolution is linear and its weights add up to one, so it commutes with the convolution and its bias:
        a row is then the weighted sum of the patches at the source pixels that the target pixel is interpolated from.
        """
        blended = self.source != self.target and (self.place == "after" or self._few_pixels(keep))
        if self.place == "before" and not blended:
            maps = resample.resize(maps, self.source, self.target, self.by)
        kernel = (self.kernel, self.kernel)
        padded = F.pad(maps, (self.kernel // 2,) * 4) if self.kernel > 1 else maps
        if blended:
            corners, weights = (tensor.to(maps.device) for tensor in self._blended(padded.shape[3]))
            return rows_at(padded, kernel, corners, weights, keep)
        steps = resample.stride(self.source, self.target) if self.place == "strided" else (1, 1)
        if keep is None:
            return im2col(padded, kernel, steps).contiguous()
        corners = self._corners(padded.shape[3], steps).to(maps.device)
        return rows_at(padded, kernel, corners, torch.ones(corners.shape, device=maps.device), keep)

    def _few_pixels(self, keep: Tensor | None) -> bool:
        """Whether only some pixels are wanted of a resize before a 1x1 convolution, which commutes with it. Not where
        they are means of whole blocks, of which most pixels take part anyway."""
        return self.place == "before" and self.kernel == 1 and keep is not None and self.by != "area"

    def _corners(self, width: int, steps: Grid) -> Tensor:
        """The padded pixel at which the patch of each target pixel begins, [positions, 1]."""
        ys, xs = (torch.arange(size) * step for size, step in zip(self.target, steps, strict=True))
        return (ys[:, None] * width + xs).flatten()[:, None]

    def _blended(self, width: int) -> tuple[Tensor, Tensor]:
        """The padded pixels at which the patches begin that each target pixel is interpolated from, and their weights,
        both [positions, taps]."""
        (ys, wy), (xs, wx) = (resample.taps(s, t, self.by) for s, t in zip(self.source, self.target, strict=True))
        corners = ys[:, None, :, None] * width + xs[None, :, None, :]
        weights = wy[:, None, :, None] * wx[None, :, None, :]
        return corners.flatten(2).flatten(0, 1), weights.flatten(2).flatten(0, 1)
