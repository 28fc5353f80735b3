"""Words to things: which images, which architecture, which device, when nobody or everybody says."""

import pytest
from torch import nn

from stitchc.device import resolve
from stitchc.examine import at_most
from stitchc.passes.errors import InputError
from stitchc.passes.model import InputSpec, Model
from stitchc.subjects import arch_for, model_of, probe_words

SPEC = InputSpec((1, 8, 8), (0.0,), (1.0,))


def models(*data):
    return tuple(Model("m", SPEC, data=words) for words in data)


@pytest.mark.parametrize(
    ("given", "records", "words", "noted"),
    [
        ("folder:x", ("digits", "digits"), "folder:x", False),
        (None, ("digits", "digits"), "digits", False),
        (None, ("digits", "cifar10:x"), "random", True),
        (None, ("digits", None), "random", True),
        (None, (None, None), "random", True),
    ],
)
def test_images_are_given_or_recorded_or_noise_with_a_note(given, records, words, noted):
    found, notes = probe_words(models(*records), given)
    assert found == words
    assert bool(notes) == noted and all("noise" in note for note in notes)


def test_a_limit_is_added_to_words_that_have_none():
    assert at_most("digits", 9) == "digits?limit=9"
    assert at_most("digits?split=test", 9) == "digits?split=test&limit=9"
    assert at_most("digits?limit=3", 9) == "digits?limit=3"


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
