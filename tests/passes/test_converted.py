"""Images as one network takes them, for a network that takes them otherwise."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from stitchc.passes.cost.chains import price_of_graph
from stitchc.passes.data.errors import InputError
from stitchc.passes.data.model import InputSpec
from stitchc.passes.numerics.converted import Converted, _shares
from stitchc.passes.trace.record import record

MINE = InputSpec((3, 8, 8), (0.2, 0.3, 0.4), (0.5, 0.6, 0.7))
PIXELS = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def shown(pixels: Tensor, spec: InputSpec) -> Tensor:
    mean, std = (torch.tensor(numbers).view(-1, 1, 1) for numbers in (spec.mean, spec.std))
    return (pixels - mean) / std


def test_of_the_same_kind_images_are_left_alone():
    assert Converted(MINE, InputSpec((3, 8, 8), MINE.mean, MINE.std, "bicubic"))(PIXELS) is PIXELS


@pytest.mark.parametrize("size", [(6, 6), (16, 16), (7, 6), (8, 6)])
def test_other_numbers_and_another_size_are_those_of_the_pixels_interpolated(size):
    theirs = InputSpec((3, *size), (0.5,) * 3, (0.25,) * 3)
    want = F.interpolate(PIXELS, size=size, mode="bilinear")
    assert torch.allclose(Converted(MINE, theirs)(shown(PIXELS, MINE)), shown(want, theirs), atol=1e-5)


@pytest.mark.parametrize("side", [32, 24, 16])
def test_a_smaller_image_is_as_sharp_as_the_picture_made_so_small(side):
    picture = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    mine, theirs = (InputSpec((3, size, size), (0.0,) * 3, (1.0,) * 3) for size in (40, side))
    image = resized(picture, 40)
    found, direct, averaged_twice = Converted(mine, theirs)(image), resized(picture, side), resized(image, side)
    assert found.mean() == pytest.approx(float(direct.mean()), abs=0.01)
    assert abs(found.std() - direct.std()) < 0.6 * abs(averaged_twice.std() - direct.std())


@pytest.mark.parametrize(("side", "made"), [(96, 1.11e6), (128, 1.22e6), (160, 1.11e6)])
def test_of_the_lines_of_a_photograph_only_those_nearby_are_multiplied(side, made):
    mine, theirs = (InputSpec((3, size, size), (0.0,) * 3, (1.0,) * 3) for size in (224, side))
    module = Converted(mine, theirs).eval()
    price = price_of_graph(record(module, mine.size), mine.size)
    assert price["macs"] == pytest.approx(made, rel=0.01)
    images = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    shares = _shares(224, side)
    want = shares @ images @ shares.T
    assert torch.allclose(module(images), want, atol=1e-6), "as by one product with all shares"


def resized(pixels: Tensor, side: int) -> Tensor:
    """As pictures are."""
    return F.interpolate(pixels, size=(side, side), mode="bilinear", antialias=True)


def test_colours_become_luminance_and_grey_becomes_colours():
    grey = InputSpec((1, 8, 8), (0.5,), (0.5,))
    luminance = 0.299 * PIXELS[:, :1] + 0.587 * PIXELS[:, 1:2] + 0.114 * PIXELS[:, 2:]
    assert torch.allclose(Converted(MINE, grey)(shown(PIXELS, MINE)), shown(luminance, grey), atol=1e-6)
    back = Converted(grey, MINE)(shown(luminance, grey))
    assert torch.allclose(back, shown(luminance.expand(-1, 3, -1, -1), MINE), atol=1e-6)


def test_other_channels_are_refused():
    with pytest.raises(InputError, match="of 4 channels cannot be shown to a network that takes 3"):
        Converted(InputSpec((4, 8, 8), (0.5,) * 4, (0.5,) * 4), MINE)
