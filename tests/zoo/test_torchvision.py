"""torchvision's entries: each is built as torchvision's own builder builds it for its weights, held on stand-ins.

Transformed inputs and sizes of images are no part of a state dict: the same weights would give other outputs.
"""

from contextlib import nullcontext

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from stitchc import zoo
from stitchc.passes.data.errors import BadCheckpoint, ModelError
from stitchc.zoo.from_torchvision import _build
from stitchc.zoo.naming import parse

ENTRIES = [
    (name, entry.name)
    for name in models.list_models(module=models)
    for entry in models.get_model_weights(name)
    if entry.meta["categories"]
]
SAMPLE = [
    ("inception_v3", "IMAGENET1K_V1"),
    ("mnasnet0_5", "IMAGENET1K_V1"),  # its state dict carries a version
]
MOST_PARAMS = 100e6  # more are compared by their structure alone


class StandIn(dict):
    """In place of a downloaded state dict."""


@pytest.fixture
def stand_in(monkeypatch):
    """Builders of torchvision load seeded numbers, the same ones for the same names."""
    load = nn.Module.load_state_dict

    def load_state_dict(self, state, *arguments, **keywords):
        if not isinstance(state, StandIn):
            return load(self, state, *arguments, **keywords)
        generator = torch.Generator().manual_seed(0)
        for key, value in sorted(self.state_dict().items()):
            if value.is_floating_point() and not value.is_meta:
                value.copy_(torch.randn(value.shape, generator=generator) * 0.1 + key.endswith("running_var"))
        return None

    monkeypatch.setattr(nn.Module, "load_state_dict", load_state_dict)
    monkeypatch.setattr(models.WeightsEnum, "get_state_dict", lambda *_, **__: StandIn())
    monkeypatch.setattr("stitchc.zoo.from_torchvision.reachable", lambda url: True)


def outputs(module, size):
    image = torch.randn(1, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return module.eval()(image)


def check_outputs(name, entry, folder):
    weights = models.get_model_weights(name)[entry]
    right = models.get_model(name, weights=weights)
    ours = zoo.load(f"torchvision/{name}@{entry}")
    expected = outputs(right, ours.input.size)
    assert torch.equal(outputs(ours.module, ours.input.size), expected)
    save_file(right.state_dict(), folder / "a.safetensors")
    filled = zoo.load(f"{folder}/a.safetensors", arch=f"torchvision/{name}@{entry}")
    assert torch.equal(outputs(filled.module, ours.input.size), expected)


def structure(module):
    """Types and plain attributes of every module, and the shapes of the tensors."""
    plain = (int, float, str, bool, tuple, type(None))
    kinds = [
        (path, type(part), {key: value for key, value in vars(part).items() if isinstance(value, plain)})
        for path, part in module.eval().named_modules()
    ]
    return kinds, {key: value.shape for key, value in module.state_dict().items()}


@pytest.mark.parametrize(("name", "entry"), SAMPLE)
def test_an_entry_gives_the_outputs_of_torchvision_s_own_builder(stand_in, tmp_path, name, entry):
    check_outputs(name, entry, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "entry"), ENTRIES)
def test_every_entry_is_built_as_torchvision_builds_it(stand_in, tmp_path, monkeypatch, name, entry):
    weights = models.get_model_weights(name)[entry]
    if weights.meta["num_params"] < MOST_PARAMS:
        return check_outputs(name, entry, tmp_path)
    empty = torch.empty  # as modules make their parameters; torch.device would catch RegNet's arithmetic too
    monkeypatch.setattr(torch, "empty", lambda *sizes, **how: empty(*sizes, **{**how, "device": "meta"}))
    monkeypatch.setattr("stitchc.zoo.from_torchvision.seeded", nullcontext)  # there is nothing to seed without memory
    with torch.no_grad():
        right = models.get_model(name, weights=weights)
        ours = _build(name, len(weights.meta["categories"]), parse(f"torchvision/{name}@{entry}"))
    assert structure(ours) == structure(right)
    return None


def test_an_entry_without_a_classifier_is_refused():
    with pytest.raises(ModelError, match="for features alone") as caught:
        zoo.load("torchvision/vgg16@IMAGENET1K_FEATURES?weights=none")
    assert "IMAGENET1K_V1" in caught.value.hint


def test_a_classifier_of_other_classes_is_left_untrained_and_said(stand_in):
    model = zoo.load("torchvision/googlenet?num_classes=7")
    assert model.notes == ("its classifier (fc.weight, fc.bias) is untrained",) and model.accuracy is None
    assert model.module.transform_input and model.module(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


def test_a_cached_file_of_other_names_never_loads_as_random_tensors(offline):
    offline.mkdir(parents=True)
    state = models.squeezenet1_1(weights=None).state_dict()
    torch.save({f"net.{key}": value for key, value in state.items()}, offline / "squeezenet1_1-b8a52dc0.pth")
    for words in ("torchvision/squeezenet1_1", "torchvision/squeezenet1_1?num_classes=4"):
        with pytest.raises(BadCheckpoint, match="squeezenet1_1-b8a52dc0"):
            zoo.load(words)


def test_old_names_in_files_of_densenet_are_those_of_today(tmp_path):
    model = zoo.load("torchvision/densenet121?weights=none&num_classes=3")
    state = {}
    for key, value in model.module.state_dict().items():
        for part in ("norm", "conv", "relu"):
            for number in "12":
                key = key.replace(f"{part}{number}.", f"{part}.{number}.") if "denselayer" in key else key
        state[key] = value
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    torch.save(state, tmp_path / "a.pth")
    assert zoo.load(f"{tmp_path}/a.pth", arch="torchvision/densenet121").sha256 == model.sha256


@pytest.mark.slow
def test_an_image_size_that_a_transformer_was_not_trained_with_is_refused(stand_in):
    with pytest.raises(BadCheckpoint, match="pos_embedding has shape"):
        zoo.load("torchvision/vit_b_32?input=3x64x64")
