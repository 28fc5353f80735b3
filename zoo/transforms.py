"""A picture brought to what a model's input must be: resized, cropped, normalised as its trainers evaluated it."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stitchc.passes.data.errors import DataError
from stitchc.passes.data.model import InputSpec

from .pictures import check_depth

#: Bytes of one picture once resized, before the centre is cut out; more are refused before it is resized.
RESIZED_BYTES = 1 << 28

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def pixels(picture: Image.Image, spec: InputSpec) -> np.ndarray:
    """`picture` as uint8 [channels, height, width] of `spec`'s size.

    The short side is resized to size / crop and the centre kept, as torchvision's classification presets and timm's
    evaluation do, to the pixel. Grey pictures are repeated for three channels; coloured ones become luminance for one.

    Raises:
        DataError: another number of channels than 1 or 3; a picture whose numbers have no known range, or that would be
        too large once resized.
    """
    channels, height, width = spec.size
    if channels not in (1, 3):
        raise DataError(
            f"the model wants {channels} channels, and pictures have 1 or 3",
            "Show it images of your own from Python: stitchc.passes.TensorImages(tensor).",
        )
    picture = _with_channels(picture, channels)
    # Both libraries round down; the small number makes good for crop being a quotient (224 / 232 and the like).
    low_height, low_width = (math.floor(side / spec.crop + 1e-4) for side in (height, width))
    size = _covering(picture.size, low_height, low_width)
    if 4 * size[0] * size[1] > RESIZED_BYTES:
        raise DataError(
            f"a picture of {picture.width:,} x {picture.height:,} pixels would be resized to {size[0]:,} x "
            f"{size[1]:,}, for an input of {width:,} x {height:,} and a crop of {spec.crop:g}",
            "Remove the picture if it is a mere line; else look at the model's input and crop.",
        )
    picture = picture if size == picture.size else picture.resize(size, _FILTERS[spec.interpolation])
    left, top = (round((have - want) / 2) for have, want in zip(picture.size, (width, height), strict=True))
    if (left, top) != (0, 0) or picture.size != (width, height):
        picture = picture.crop((left, top, left + width, top + height))
    array = np.asarray(picture)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


def normalised(batch: Tensor, spec: InputSpec) -> Tensor:
    """uint8 [n, channels, height, width] as the float32 that the model is fed: (pixel / 255 - mean) / std."""
    mean = torch.tensor(spec.mean).view(-1, 1, 1)
    std = torch.tensor(spec.std).view(-1, 1, 1)
    return (batch.float() / 255).sub_(mean).div_(std)


def _with_channels(picture: Image.Image, channels: int) -> Image.Image:
    check_depth(picture)
    if picture.mode.startswith("I"):  # 16 bits a pixel, which PIL would clip instead of scale
        picture = Image.fromarray((np.asarray(picture).astype(np.int64) // 256).clip(0, 255).astype(np.uint8))
    mode = "L" if channels == 1 else "RGB"
    try:
        return picture if picture.mode == mode else picture.convert(mode)
    except ValueError as error:
        raise DataError(
            f"a picture of mode {picture.mode} cannot be converted to {mode}: {error}", "Store it as RGB or grey."
        ) from error


def _covering(have: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """The smallest (width, height) with the proportions of `have` that covers height x width."""
    have_width, have_height = have
    if have_height * width >= have_width * height:  # too tall: the width decides
        return width, max(height, int(width * have_height / have_width))
    return max(width, int(height * have_width / have_height)), height
