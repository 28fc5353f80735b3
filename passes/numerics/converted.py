"""Images as one network takes them, for a network that takes them otherwise."""

from __future__ import annotations

from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.errors import InputError
from ..data.model import InputSpec

#: What each of red, green and blue has of the luminance, as PIL has it (ITU-R BT.601).
_LUMINANCE = (0.299, 0.587, 0.114)
# Lines that are made together: with fewer the products are slower, with more most of their shares are zero.
_BLOCK = 4


class Converted(nn.Module):
    """Images as `given` has them, [batch, channels, height, width], as `wanted` wants them: (pixel - mean) / std with
    other numbers, grey for colours or colours for grey, and another size.

    A smaller image is averaged from the larger one, by products with fixed shares of rows and of columns, since not
    every version exports an antialiased resize. It is as sharp as the picture itself made so small: what `given` has
    was averaged before, and variances of averages add up, so that over less is averaged than of a picture. A line is
    made of a few neighbouring ones, so lines are made in blocks, each of the lines around it: from 224 to 96 pixels
    that takes 1.1 million multiply-adds, where one product with all shares takes 20.6.

    Raises:
        InputError: other numbers of channels than one and three.
    """

    scale: Tensor
    shift: Tensor
    rows: Tensor
    row_shares: Tensor
    columns: Tensor
    column_shares: Tensor

    def __init__(self, given: InputSpec, wanted: InputSpec):
        super().__init__()
        self.resizes = wanted.size[1:] != given.size[1:]
        if self.resizes:
            (tall, wide), (low, narrow) = given.size[1:], wanted.size[1:]
            self._register("row", *_blocks(tall, low))
            self.square = (tall, low) == (wide, narrow)
            if not self.square:  # else the rows' blocks are the columns' too
                self._register("column", *_blocks(wide, narrow))
        (mean, std), (mean2, std2) = _numbers(given), _numbers(wanted)
        self.mixes = given.size[0] != wanted.size[0]
        self.normalises = self.mixes or bool((mean != mean2).any() or (std != std2).any())
        if self.mixes:
            mix = _mix(given.size[0], wanted.size[0])
            scale, shift = mix * std / std2[:, None], (mix @ mean - mean2) / std2
            self.register_buffer("scale", scale.float()[:, :, None, None].contiguous())
            self.register_buffer("shift", shift.float())
        elif self.normalises:
            self.register_buffer("scale", (std / std2).float().reshape(-1, 1, 1).clone())
            self.register_buffer("shift", ((mean - mean2) / std2).float().reshape(-1, 1, 1).clone())

    def _register(self, name: str, lines: Tensor, shares: Tensor) -> None:
        self.register_buffer(f"{name}s", lines)
        self.register_buffer(f"{name}_shares", shares)

    def forward(self, x: Tensor) -> Tensor:
        """x [batch, channels, height, width]."""
        if self.mixes:
            x = F.conv2d(x, self.scale, self.shift)
        elif self.normalises:
            x = x * self.scale + self.shift
        if self.resizes:
            x = _resized(x, self.rows, self.row_shares).transpose(2, 3)
            across = (self.rows, self.row_shares) if self.square else (self.columns, self.column_shares)
            x = _resized(x, *across).transpose(2, 3).contiguous()
        return x


def _numbers(spec: InputSpec) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation: float64 [channels] each."""
    mean, std = (torch.tensor(numbers, dtype=torch.float64) for numbers in (spec.mean, spec.std))
    return mean.expand(spec.size[0]), std.expand(spec.size[0])


def _mix(given: int, wanted: int) -> Tensor:
    """What each wanted channel has of each given one: float64 [wanted, given]."""
    if {given, wanted} != {1, 3}:
        raise InputError(
            f"images of {given} channels cannot be shown to a network that takes {wanted}",
            "Only grey and coloured images are made of one another.",
        )
    grey = torch.tensor([_LUMINANCE], dtype=torch.float64)
    return grey if wanted == 1 else torch.ones(3, 1, dtype=torch.float64)


def _resized(x: Tensor, lines: Tensor, shares: Tensor) -> Tensor:
    """Other rows of x [batch, channels, height, width], made in blocks: see `_blocks`."""
    blocks, _, each = shares.shape
    around = x.index_select(2, lines).unflatten(2, (blocks, each))
    return torch.matmul(shares, around).flatten(2, 3)


def _blocks(given: int, wanted: int) -> tuple[Tensor, Tensor]:
    """Of each block of wanted lines, the given ones around it, int64 [blocks * given of each]; and the share that each
    of these has in each of its lines, float32 [blocks, lines of each, given of each]."""
    shares = _shares(given, wanted).reshape(-1, gcd(wanted, _BLOCK), given)
    used = shares.any(dim=1).long()
    first, last = used.argmax(dim=1), given - 1 - used.flip(1).argmax(dim=1)
    each = int((last - first).max()) + 1
    lines = first.clamp(max=given - each)[:, None] + torch.arange(each)
    return lines.flatten(), shares.gather(2, lines[:, None].expand(-1, shares.shape[1], -1))


def _shares(given: int, wanted: int) -> Tensor:
    """Which share each of the given lines has in each of the wanted ones: [wanted, given], a triangle a row.

    A picture is averaged by a triangle of `scale` lines on either side, and by one of a line when it was made as large
    as it is: what is left is one of sqrt(scale^2 - 1), and of a line at least, which interpolates.
    """
    scale = given / wanted
    width = max(1.0, scale**2 - 1.0) ** 0.5
    centres = (torch.arange(wanted, dtype=torch.float64) + 0.5) * scale - 0.5
    distances = (torch.arange(given, dtype=torch.float64) - centres[:, None]).abs()
    shares = (1.0 - distances / width).clamp(min=0.0)
    return (shares / shares.sum(dim=1, keepdim=True)).float()
