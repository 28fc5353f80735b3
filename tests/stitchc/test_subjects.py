"""Words to things: which images, which architecture, which device, when nobody or everybody says."""

import pytest
from torch import nn

from stitchc.device import resolve
from stitchc.inputs import arch_for, model_of, probe, probe_words
from stitchc.passes.data.errors import InputError
from stitchc.passes.data.model import InputSpec, Model

SPEC = InputSpec((1, 8, 8), (0.0,), (1.0,))


def models(*data):
    return tuple(Model("m", SPEC, data=words) for words in data)


@pytest.mark.parametrize(
    ("given", "records", "words"),
    [
        ("folder:x", ("digits", "digits"), "folder:x"),
        (None, ("digits", "digits"), "digits"),
        (None, ("digits", "cifar10:x"), "random"),
        (None, ("digits", None), "random"),
        (None, (None, None), "random"),
    ],
)
def test_images_are_given_or_recorded_or_noise(given, records, words):
    assert probe_words(models(*records), given) == words


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("digits", "digits?limit=9"),
        ("digits?split=test", "digits?split=test&limit=9"),
        ("digits?limit=3", "digits?limit=3"),
        (None, "random?limit=9"),
    ],
)
def test_a_limit_is_added_to_words_that_have_none(given, name):
    images, notes = probe(models(None, None), given, 9)
    assert images.name == name
    assert bool(notes) == images.noise


def test_noise_that_was_asked_for_is_noted_too():
    _, (note,) = probe(models("digits", "digits"), "random", 8)
    assert "'random?limit=8' is noise" in note


def test_an_architecture_is_for_checkpoints_only():
    assert arch_for("x/a.pt", "timm/resnet18") == "timm/resnet18"
    assert arch_for("a.safetensors?name=b", "timm/resnet18") == "timm/resnet18"
    assert arch_for("digits/resnet", "timm/resnet18") is None
    assert arch_for(models(None)[0], "timm/resnet18") is None


def test_a_loaded_model_is_itself():
    model = Model("m", SPEC, module=nn.Identity())
    assert model_of(model) is model


def test_a_device_that_is_not_here_is_refused():
    assert resolve("cpu").type == "cpu"
    assert resolve("auto").type in ("cpu", "cuda")
    with pytest.raises(InputError, match="no device 'quantum'"):
        resolve("quantum")
