"""A picture brought to what a model's input must be: resized, cropped, normalised as its trainers evaluated it."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stitchc.passes.data.errors import DataError
from stitchc.passes.data.model import InputSpec

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


def pixels(picture: Image.Image, spec: InputSpec) -> np.ndarray:
    """`picture` as uint8 [channels, height, width] of `spec`'s size.

    The short side is resized to size / crop and the centre kept, as torchvision's classification presets and timm's
    evaluation do, to the pixel. Grey pictures are repeated for three channels; coloured ones become luminance for one.
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
    picture = _covering(picture, low_height, low_width, _FILTERS[spec.interpolation])
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
    if picture.mode.startswith("I"):  # 16 bits a pixel, which PIL would clip instead of scale
        picture = Image.fromarray((np.asarray(picture).astype(np.int64) // 256).clip(0, 255).astype(np.uint8))
    mode = "L" if channels == 1 else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def _covering(picture: Image.Image, height: int, width: int, method: Image.Resampling) -> Image.Image:
    """Resized, with its proportions, to the smallest size that covers height x width."""
    have_width, have_height = picture.size
    if have_height * width >= have_width * height:  # too tall: the width decides
        size = (width, max(height, int(width * have_height / have_width)))
    else:
        size = (max(width, int(height * have_width / have_height)), height)
    return picture if size == picture.size else picture.resize(size, method)
