"""The words that name a model, taken apart."""

import subprocess
import sys

import pytest

from stitchc.passes.data.errors import ModelError
from stitchc.zoo import load
from stitchc.zoo.naming import Options, names, parse


@pytest.mark.parametrize(
    ("given", "form", "body"),
    [
        ("timm/resnet50.a1_in1k", "timm", "resnet50.a1_in1k"),
        ("timm/hf-hub:owner/name", "timm", "hf-hub:owner/name"),
        ("torchvision/resnet50@IMAGENET1K_V2", "torchvision", "resnet50@IMAGENET1K_V2"),
        ("digits/resnet", "digits", "resnet"),
        ("some/folder/model.pt2", "exported", "some/folder/model.pt2"),
        ("model.pth", "checkpoint", "model.pth"),
        ("timm.safetensors", "checkpoint", "timm.safetensors"),
        ("lib/nets.py:factory", "code", "lib/nets.py:factory"),
        ('nets.py:make("a?b=c", depth=2)', "code", 'nets.py:make("a?b=c", depth=2)'),
    ],
)
def test_each_form_is_told_by_its_look(given, form, body):
    words = parse(given)
    assert (words.form, words.body, words.options) == (form, body, Options())


def test_options_follow_any_form():
    words = parse("a.pt?weights=none&num_classes=7&input=3x32x48&mean=0.5,0.4,0.3&std=0.2&name=mine")
    assert words.body == "a.pt"
    assert words.options == Options(False, 7, (3, 32, 48), (0.5, 0.4, 0.3), (0.2,), "mine")


def test_how_pictures_are_resized_and_cropped_is_said_behind_a_name():
    spec = load("digits/small?interpolation=bicubic&crop=0.875").input
    assert (spec.interpolation, spec.crop, spec.size) == ("bicubic", 0.875, (1, 8, 8))


def test_the_code_form_is_a_file_and_a_call():
    path, call = parse('~/x/nets.py:make("cifar", depth=3)').code
    assert path.name == "nets.py" and "~" not in str(path) and call == 'make("cifar", depth=3)'


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ("resnet50", "whose model", "'torchvision/resnet50' or 'timm/resnet50'"),
        ("torchvison/resnet50", "none of the known forms", "'torchvision/resnet50'"),
        ("nets.py", "not what in it makes the model", "nets.py:factory"),
        ("digits/resnet?weight=none", "'weight' is no option", "Did you mean 'weights'"),
        ("digits/resnet?weights=all", "'all' is no value for 'weights'", "weights=none"),
        ("digits/resnet?input=3x32", "'3x32' is no value for 'input'", "input=3x224x224"),
        ("digits/resnet?num_classes=0", "'0' is no value for 'num_classes'", "num_classes=10"),
        ("digits/resnet?std=0,1,1", "'0,1,1' is no value for 'std'", "std="),
        ("digits/resnet?crop=1.2", "'1.2' is no value for 'crop'", "crop=0.875"),
        ("digits/resnet?interpolation=cubic", "'cubic' is no value", "interpolation=nearest|bilinear|bicubic"),
        ("nothing", "none of the known forms", "Nothing of that name is here."),
        ("", "none of the known forms", "timm/NAME"),
    ],
)
def test_words_that_mean_nothing_are_refused_with_what_to_write_instead(given, message, hint):
    with pytest.raises(ModelError) as caught:
        parse(given)
    assert message in caught.value.message and hint in caught.value.hint


def test_names_lists_every_registry_and_filters():
    everything = names()
    assert {"digits/resnet", "torchvision/resnet50", "timm/resnet50"} <= set(everything)
    assert names("digits/*") == [
        "digits/convnext",
        "digits/mixer",
        "digits/plain",
        "digits/resnet",
        "digits/small",
        "digits/vit",
    ]
    assert names("torchvision/resnet5?") == ["torchvision/resnet50"]
    assert "timm/resnet18.a1_in1k" in names("timm/resnet18.*")
    assert all("convnext" in name for name in names("convnext"))
    assert names("nothing at all") == []


def test_importing_the_package_loads_neither_torch_nor_timm():
    code = "import sys, stitchc.zoo; print([m for m in ('torch', 'timm', 'torchvision', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_stay_what_they_are_after_first_use():
    from stitchc import zoo

    assert zoo.__all__ == ["images", "load", "names", "pack"]
    for name in zoo.__all__:
        assert callable(getattr(zoo, name)) and getattr(zoo, name) is getattr(zoo, name)
    with pytest.raises(AttributeError):
        zoo.nothing  # noqa: B018
