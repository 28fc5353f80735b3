"""The input transform, pixel for pixel that of torchvision's presets and of timm's evaluation."""

import numpy as np
import pytest
import torch
from PIL import Image

from stitchc.passes.data.errors import DataError
from stitchc.passes.data.model import InputSpec
from stitchc.zoo.transforms import normalised, pixels

RGB = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    values = np.random.default_rng(width * height).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    return Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def shown(image: Image.Image, spec: InputSpec) -> torch.Tensor:
    return normalised(torch.from_numpy(pixels(image, spec)[None].copy()), spec)[0]


PRESETS = [
    "ResNet50_Weights.IMAGENET1K_V1",
    "ResNet50_Weights.IMAGENET1K_V2",
    "ViT_H_14_Weights.IMAGENET1K_SWAG_E2E_V1",
]
SIZES = [(300, 200), (200, 301), (256, 256), (224, 224), (50, 31), (225, 640)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PRESETS)
def test_it_is_torchvisions_preset(size, name):
    from torchvision import models

    from stitchc.zoo.from_torchvision import input_of

    entry = models.get_weight(name)
    assert torch.equal(shown(picture(*size), input_of(entry)), entry.transforms()(picture(*size)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["resnet50.a1_in1k", "vit_tiny_patch16_224", "mobilenetv2_100", "efficientnet_b0"])
def test_it_is_timms_evaluation(size, name):
    import timm

    from stitchc.zoo.from_timm import input_of

    config = timm.get_pretrained_cfg(name).to_dict()
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, pretrained_cfg=config))
    assert torch.allclose(shown(picture(*size), input_of(config)), transform(picture(*size)), atol=1e-6)


def test_grey_pictures_are_repeated_and_coloured_ones_become_luminance():
    grey, colour = picture(20, 20, "L"), picture(20, 20)
    three = pixels(grey, InputSpec((3, 20, 20), **RGB))
    assert (three == np.asarray(grey)).all() and three.shape == (3, 20, 20)
    one = pixels(colour, InputSpec((1, 20, 20), (0.0,), (1.0,)))[0].astype(float)
    weighed = np.asarray(colour).astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(one - weighed).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "P", "CMYK", "1", "LA"])
def test_every_mode_becomes_what_the_model_wants(mode):
    for channels in (1, 3):
        spec = InputSpec((channels, 9, 9), (0.0,) * channels, (1.0,) * channels)
        assert pixels(picture(20, 20, "L" if mode == "LA" else "RGB").convert(mode), spec).shape == (channels, 9, 9)


def test_sixteen_bits_are_scaled_not_clipped():
    deep = Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1024)
    assert pixels(deep, InputSpec((1, 8, 8), (0.0,), (1.0,))).max() == 63 * 4


def test_a_picture_of_the_right_size_is_left_alone():
    image = picture(8, 8)
    assert np.array_equal(pixels(image, InputSpec((3, 8, 8), **RGB)).transpose(1, 2, 0), np.asarray(image))


def test_oblong_inputs_keep_the_proportions_of_the_picture():
    assert pixels(picture(300, 100), InputSpec((3, 40, 20), **RGB, crop=0.8)).shape == (3, 40, 20)
    assert pixels(picture(100, 300), InputSpec((3, 20, 40), **RGB)).shape == (3, 20, 40)


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(DataError, match="wants 4 channels"):
        pixels(picture(8, 8), InputSpec((4, 8, 8), (0.0,) * 4, (1.0,) * 4))
