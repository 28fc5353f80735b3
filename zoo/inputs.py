"""What a model's input must be when its source says it, when the user does, and when nobody does."""

from __future__ import annotations

from dataclasses import replace

from stitchc.passes.data.errors import ModelError
from stitchc.passes.data.model import InputSpec

from .naming import Options

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
#: ImageNet's figures for an image of one channel (timm's too).
GREY_MEAN = (0.449,)
GREY_STD = (0.226,)
#: What an InputSpec states, but for which of it was assumed.
FIELDS = ("size", "mean", "std", "interpolation", "crop")


def assumed(size: tuple[int, int, int] | None = None) -> InputSpec:
    """Three channels of 224x224 normalised as ImageNet, or `size` where that is known; all else marked as assumed."""
    channels = (size or (3, 224, 224))[0]
    mean = {1: GREY_MEAN, 3: IMAGENET_MEAN}.get(channels, (0.5,) * channels)
    std = {1: GREY_STD, 3: IMAGENET_STD}.get(channels, (0.5,) * channels)
    return InputSpec(size or (3, 224, 224), mean, std, assumed=FIELDS[1:] if size else FIELDS)


def overridden(spec: InputSpec, options: Options, given: str) -> InputSpec:
    """`spec` with what the user's options say in place of what it said.

    Raises:
        ModelError: a mean or std with another number of channels than the input.
    """
    if options.input:
        guess = assumed(options.input)
        if len(spec.mean) != options.input[0]:  # its figures are for another number of channels
            spec = replace(spec, mean=guess.mean, std=guess.std, assumed=(*spec.assumed, "mean", "std"))
        spec = replace(spec, size=options.input)
    channels = spec.size[0]

    def per_channel(key: str, values: tuple[float, ...]) -> tuple[float, ...]:
        if len(values) not in (1, channels):
            raise ModelError(
                f"'{given}': {key} has {len(values)} numbers, but the input has {channels} channels",
                f"Give {key} one number, or one a channel.",
            )
        return values if len(values) == channels else values * channels

    if options.mean:
        spec = replace(spec, mean=per_channel("mean", options.mean))
    if options.std:
        spec = replace(spec, std=per_channel("std", options.std))
    if options.interpolation:
        spec = replace(spec, interpolation=options.interpolation)
    if options.crop:
        spec = replace(spec, crop=options.crop)
    named = ("input", "mean", "std", "interpolation", "crop")
    stated = {"size" if key == "input" else key for key in named if getattr(options, key)}
    return replace(spec, assumed=tuple(dict.fromkeys(name for name in spec.assumed if name not in stated)))
