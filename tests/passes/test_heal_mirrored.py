"""Mirror images to heal on: never held out without their image, and only where a mirror changes no class."""

import pytest
import torch
from test_fit import IMAGES, stitched
from torch import nn

from stitchc.passes import Heal, InputSpec, TensorImages
from stitchc.passes.heal.mirrored import Mirrored, same_mirrored
from stitchc.passes.numerics.held_out import held_out
from stitchc.passes.trace.record import record

SPEC = InputSpec((3, 8, 8), (0.0,) * 3, (1.0,) * 3)


def numbered(count: int) -> TensorImages:
    """Images of which every pixel says which image it is, and in which column it stands."""
    pixels = torch.arange(count).view(-1, 1, 1, 1) + torch.arange(8) / 10
    return TensorImages(pixels.expand(-1, 3, 8, 8).contiguous(), labels=torch.arange(count))


@pytest.mark.parametrize("count", [3, 5, 8, 9, 20])
def test_an_image_and_its_mirror_image_are_held_out_together(count):
    images = Mirrored(numbered(count))
    held = held_out(0, len(images))
    assert len(images) == 2 * (count - count % 5) + count % 5 == len(images.labels)
    assert set(images.labels[held].tolist()).isdisjoint(images.labels[~held].tolist())
    assert sorted(set(images.labels.tolist())) == list(range(count))


@pytest.mark.parametrize("size", [1, 4, 7, 64])
def test_every_image_comes_as_it_is_and_mirrored(size):
    images = Mirrored(numbered(12))
    shown = torch.cat(list(images.batches(SPEC, size)))
    assert torch.equal(shown[..., 0].floor()[:, 0, 0].long(), images.labels)
    turned = shown[:, 0, 0, 0] > shown[:, 0, 0, -1]
    assert turned.tolist() == ([False] * 5 + [True] * 5) * 2 + [False] * 2
    assert torch.equal(torch.cat(list(images.batches(SPEC, size, 3, 17))), shown[3:17])


def pointwise(width: int) -> nn.Module:
    """A network that sees every pixel alone: a mirror changes nothing."""
    torch.manual_seed(width)
    layers = [nn.Conv2d(3, width, 1), nn.ReLU(), nn.Conv2d(width, 6, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(6, 5)).eval()


def one_sided(width: int) -> nn.Module:
    """A network that sees the left of an image alone."""
    first = nn.Conv2d(3, width, (1, 8))
    with torch.no_grad():
        first.weight[..., 4:] = 0
    torch.manual_seed(width)
    layers = [nn.ReLU(), nn.Conv2d(width, 6, 1), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(first, *layers, nn.Linear(48, 5)).eval()


def test_the_class_of_a_mirror_image_is_asked_of_the_network():
    images = TensorImages(IMAGES)
    assert same_mirrored(record(pointwise(4), (3, 8, 8)), SPEC, images) == 1
    assert same_mirrored(record(one_sided(4), (3, 8, 8)), SPEC, images) < 0.8


@pytest.mark.parametrize(("kind", "mirrored"), [(pointwise, True), (one_sided, False)])
def test_mirror_images_are_healed_on_where_they_have_the_class_of_the_image(kind, mirrored):
    plan = stitched(kind(8), kind(4), "1", "1", "linear")
    healed = Heal(heal_flips=True)(plan)
    healing = healed.hybrid.healing
    assert healing.mirrored is mirrored
    assert (healing.images, healing.held_out) == ((160, 32) if mirrored else (80, 16))
    assert any("Mirror images were not healed on" in note for note in healed.notes) is not mirrored
    assert Heal()(plan).hybrid.healing.images == 80
