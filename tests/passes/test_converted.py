"""Images as one network takes them, for a network that takes them otherwise."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from stitchc.passes.data.errors import InputError
from stitchc.passes.data.model import InputSpec
from stitchc.passes.numerics.converted import Converted

MINE = InputSpec((3, 8, 8), (0.2, 0.3, 0.4), (0.5, 0.6, 0.7))
PIXELS = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def shown(pixels: Tensor, spec: InputSpec) -> Tensor:
    mean, std = (torch.tensor(numbers).view(-1, 1, 1) for numbers in (spec.mean, spec.std))
    return (pixels - mean) / std


def test_of_the_same_kind_images_are_left_alone():
    assert Converted(MINE, InputSpec((3, 8, 8), MINE.mean, MINE.std, "bicubic"))(PIXELS) is PIXELS


@pytest.mark.parametrize("size", [(4, 4), (6, 6), (16, 16), (4, 6), (8, 5)])
def test_other_numbers_and_another_size_are_those_of_the_pixels_resized(size):
    theirs = InputSpec((3, *size), (0.5,) * 3, (0.25,) * 3)
    resized = F.interpolate(PIXELS, size=size, mode="bilinear", antialias=True)
    assert torch.allclose(Converted(MINE, theirs)(shown(PIXELS, MINE)), shown(resized, theirs), atol=1e-5)


def test_colours_become_luminance_and_grey_becomes_colours():
    grey = InputSpec((1, 8, 8), (0.5,), (0.5,))
    luminance = 0.299 * PIXELS[:, :1] + 0.587 * PIXELS[:, 1:2] + 0.114 * PIXELS[:, 2:]
    assert torch.allclose(Converted(MINE, grey)(shown(PIXELS, MINE)), shown(luminance, grey), atol=1e-6)
    back = Converted(grey, MINE)(shown(luminance, grey))
    assert torch.allclose(back, shown(luminance.expand(-1, 3, -1, -1), MINE), atol=1e-6)


def test_other_channels_are_refused():
    with pytest.raises(InputError, match="of 4 channels cannot be shown to a network that takes 3"):
        Converted(InputSpec((4, 8, 8), (0.5,) * 4, (0.5,) * 4), MINE)
