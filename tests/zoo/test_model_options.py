"""What is written is used, or refused: every option, wherever it parses, changes the model or is an error."""

import argparse
import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from stitchc import recipe, zoo
from stitchc.inputs import archs_for, model_of
from stitchc.options import CompileOptions
from stitchc.passes.data.errors import StitchError
from stitchc.passes.data.scores import chosen
from stitchc.passes.trace import trace_model
from stitchc.zoo.naming import Options, parse

OPTIONS = {
    "weights": "weights=none",
    "num_classes": "num_classes=7",
    "input": "input=3x16x16",
    "mean": "mean=0.25",
    "std": "std=0.75",
    "name": "name=mine",
    "weights_key": "weights-key=model",
    "output": "output=logits",
    "interpolation": "interpolation=nearest",
    "crop": "crop=0.5",
}
NETS = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, channels, classes):
        super().__init__(nn.Conv2d(channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))

def net(num_classes=3, pretrained=True):
    made = Net(3, num_classes)
    if pretrained:
        nn.init.ones_(made[0].weight)
    return made

def fixed():
    return Net(3, 3)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    (folder / "nets.py").write_text(NETS)
    net = zoo.load(f"{folder}/nets.py:net").module
    state = {key: value + 1 for key, value in net.state_dict().items()}
    torch.save({"model": state, "ema": net.state_dict()}, folder / "bare.pt")
    save_file(state, folder / "bare.safetensors")
    zoo.pack("digits/plain", folder / "packed.pt")
    zoo.pack("digits/plain", folder / "packed.safetensors")
    timm = zoo.load("timm/test_resnet?weights=none&num_classes=5").module.state_dict()
    timm["fc.bias"] += 1
    arguments = argparse.Namespace(model="test_resnet", num_classes=5, img_size=64)
    torch.save({"arch": "test_resnet", "state_dict": timm, "args": arguments}, folder / "timm.pth")
    (folder / "layout").mkdir()
    save_file(timm, folder / "layout" / "model.safetensors")
    (folder / "layout" / "config.json").write_text(json.dumps({"architecture": "test_resnet", "num_classes": 5}))
    torch.save(nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), folder / "whole.pt")
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    program = torch.export.export(net.eval(), (torch.randn(2, 3, 8, 8),), dynamic_shapes=(batch,))
    torch.export.save(program, folder / "program.pt2")
    return folder


#: place -> the model's words and its architecture's, with a mark where the option goes.
PLACES = {
    "behind a checkpoint": ("bare.pt{}", "nets.py:net"),
    "behind safetensors": ("bare.safetensors{}", "nets.py:net"),
    "behind a checkpoint of a call without parameters": ("bare.pt{}", "nets.py:fixed"),
    "behind a packed checkpoint": ("packed.pt{}", None),
    "behind packed safetensors": ("packed.safetensors{}", None),
    "behind a training checkpoint of timm": ("timm.pth{}", None),
    "behind a file beside config.json": ("layout/model.safetensors{}", None),
    "behind a folder with config.json": ("timm/local-dir:layout{}", None),
    "behind --arch, code": ("bare.pt", "nets.py:net{}"),
    "behind --arch, a call without parameters": ("bare.pt", "nets.py:fixed{}"),
    "behind --arch, a registry": ("packed.pt", "digits/plain{}"),
    "behind --arch, timm": ("timm.pth", "timm/test_resnet{}"),
    "behind --arch, a bare name": ("timm.pth", "test_resnet{}"),
    "behind code": ("nets.py:net{}", None),
    "behind a call": ("nets.py:net(num_classes=4){}", None),
    "behind a name of the embedded zoo": ("digits/plain{}", None),
    "behind an exported program": ("program.pt2{}", None),
    "behind a pickled network": ("whole.pt{}", None),
}


def load(words, arch):
    return zoo.load(words, arch=arch, trust=words.startswith("whole"))


def known(model):
    shapes = [tuple(value.shape) for value in model.module.state_dict().values()]
    return (
        model.name,
        model.input,
        model.classes,
        model.accuracy,
        model.sha256,
        model.notes,
        shapes,
        chosen(model.module),
    )


def test_the_options_are_all_there_are():
    assert list(OPTIONS) == list(Options.__dataclass_fields__)


@pytest.mark.parametrize("place", PLACES)
def test_every_option_in_every_place_changes_the_model_or_is_refused(folder, monkeypatch, place):
    monkeypatch.chdir(folder)
    words, arch = PLACES[place]
    plain = known(load(words.format(""), arch and arch.format("")))
    for option in OPTIONS.values():
        try:
            model = load(words.format(f"?{option}"), arch and arch.format(f"?{option}"))
        except StitchError as error:
            assert error.hint, f"{option}: a refusal says what to try"
            continue
        assert known(model) != plain, f"{option} is passed over"


@pytest.mark.parametrize("place", ["a", "arch"])
def test_options_in_a_recipe_are_those_on_the_command_line(folder, monkeypatch, place):
    monkeypatch.chdir(folder)
    models = ["bare.pt?name=mine" if place == "a" else "bare.pt", "digits/plain"]
    options = CompileOptions(arch=["A=nets.py:net?name=mine" if place == "arch" else "nets.py:net"])
    read = recipe.loads(recipe.dumps(models, options))
    (arch, _) = archs_for(read.models, read.options["arch"])
    assert model_of(read.models[0], arch=arch).name == "mine"


def test_options_behind_the_file_win_over_those_behind_the_architecture(folder, monkeypatch):
    monkeypatch.chdir(folder)
    model = zoo.load("bare.pt?mean=0.1&name=file", arch="nets.py:net?mean=0.2&std=0.3&input=3x8x8&name=arch")
    assert (model.input.mean, model.input.std, model.input.size) == ((0.1,) * 3, (0.3,) * 3, (3, 8, 8))
    assert model.name == "file" and model.input.assumed == ("interpolation", "crop")


CHANGED = {
    "name": "another", "licence": "GPL-3.0", "data": "folder:/", "classes": 7, "accuracy": 0.5, "notes": ["a note"],
    "size": [1, 9, 9], "mean": [0.1], "std": [0.2], "interpolation": "bicubic", "crop": 0.5, "assumed": ["crop"],
}  # fmt: skip


@pytest.mark.parametrize("key", CHANGED)
@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_every_key_of_a_record_changes_the_model_or_is_refused(folder, tmp_path, key, suffix):
    before = zoo.load(f"{folder}/packed{suffix}")
    rewrite(folder / f"packed{suffix}", tmp_path / f"a{suffix}", key, CHANGED[key])
    try:
        after = zoo.load(str(tmp_path / f"a{suffix}"))
    except StitchError:
        return
    same = {one for one in type(before).__dataclass_fields__ if getattr(before, one) == getattr(after, one)}
    assert not same >= set(type(before).__dataclass_fields__) - {"source", "module"}


def rewrite(path, to, key, value):
    if path.suffix == ".pt":
        content = torch.load(path, weights_only=True)
        content["record"][key] = value
        torch.save(content, to)
        return
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        metadata, state = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    record = {**json.loads(metadata["record"]), key: value}
    save_file(state, to, {**metadata, "record": json.dumps(record)})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("mena", [0.5], r"record: 'mena' is no key.*Did you mean 'mean'"),
        ("mean", [float("nan")], r"record: mean\[0\] is not a finite number"),
        ("std", [0.0], r"record: std\[0\] is 0.0, not above 0"),
        ("size", [1, 8], "record: size has 2 items, not 3"),
        ("size", [1, 8, 8.5], r"record: size\[2\] is 8.5, not a whole number"),
        ("size", [3, 8, 8], "contradicts itself"),
        ("crop", 1e-4, "record: crop is 0.0001"),
        ("name", "a\x1b[2Jb", "record: name is not one line of printable characters"),
        ("notes", "text", "record: notes is 'text', not a list"),
        ("classes", True, "record: classes is true, not a whole number"),
    ],
)
def test_a_record_is_read_with_types_and_the_place_of_the_fault_is_said(folder, tmp_path, key, value, message):
    rewrite(folder / "packed.pt", tmp_path / "a.pt", key, value)
    with pytest.raises(StitchError, match=message):
        zoo.load(str(tmp_path / "a.pt"))


@pytest.mark.parametrize(
    "words", ["a.pt?mean=nan", "a.pt?std=inf", "a.pt?mean=0&mean=1", "a.pt?mean", "a.pt?input=3x9999999999x8"]
)
def test_options_that_mean_nothing_are_refused(words):
    with pytest.raises(StitchError):
        parse(words)


def test_the_arguments_of_a_training_are_read_whole(tmp_path):
    net = zoo.load("timm/test_resnet?weights=none&num_classes=5").module
    arguments = argparse.Namespace(
        model="test_resnet", num_classes=5, input_size=[3, 64, 64], mean=[0.5], std=[0.25], crop_pct=0.9,
        interpolation="bilinear", crop_mode="border", gp="max", model_kwargs={"zero_init_last": False},
    )  # fmt: skip
    content = {"arch": "test_resnet", "state_dict": net.state_dict(), "args": arguments}
    torch.save(content, tmp_path / "last.pth.tar")
    model = zoo.load(str(tmp_path / "last.pth.tar"))
    spec = model.input
    assert (spec.size, spec.mean, spec.std) == ((3, 64, 64), (0.5,) * 3, (0.25,) * 3)
    assert (spec.interpolation, spec.crop, spec.assumed) == ("bilinear", 0.9, ())
    assert any("cropped by 'border'" in note for note in model.notes)
    import timm

    right = timm.create_model("test_resnet", num_classes=5, global_pool="max").eval()
    right.load_state_dict(net.state_dict())
    image = torch.randn(2, 3, 64, 64)
    assert torch.equal(model.module(image), right(image))
    with pytest.raises(StitchError, match="nothing says which architecture"):
        zoo.pack(model, tmp_path / "a.pt")  # words cannot say the arguments
    with pytest.raises(StitchError, match="gives other scores"):
        zoo.pack(model, tmp_path / "a.pt", arch="timm/test_resnet?num_classes=5")


def test_the_references_of_torchvision_name_their_architecture_and_crop(tmp_path):
    net = zoo.load("torchvision/resnet18?weights=none&num_classes=5").module
    arguments = argparse.Namespace(model="resnet18", val_crop_size=112, val_resize_size=128, interpolation="bilinear")
    torch.save({"model": net.state_dict(), "optimizer": {}, "epoch": 1, "args": arguments}, tmp_path / "a.pth")
    model = zoo.load(str(tmp_path / "a.pth"))
    assert model.arch.startswith("torchvision/resnet18") and model.classes == 5
    assert (model.input.size, model.input.crop, model.input.interpolation) == ((3, 112, 112), 0.875, "bilinear")


def test_config_json_of_timm_is_read_whole(tmp_path):
    import timm

    right = timm.create_model("test_resnet", num_classes=5, global_pool="max").eval()
    save_file(right.state_dict(), tmp_path / "model.safetensors")
    config = {
        "architecture": "test_resnet", "num_classes": 5, "global_pool": "max", "label_names": ["a"],
        "pretrained_cfg": {"tag": "x", "input_size": [3, 96, 96], "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6],
                           "crop_pct": 0.9, "interpolation": "bilinear", "crop_mode": "center", "license": "mit"},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    for words in (f"{tmp_path}/model.safetensors", f"timm/local-dir:{tmp_path}"):
        model = zoo.load(words)
        assert (model.input.size, model.input.mean, model.input.crop) == ((3, 96, 96), (0.1, 0.2, 0.3), 0.9)
        assert (model.classes, model.licence, model.input.assumed) == (5, "mit", ())
        image = torch.randn(2, 3, 64, 64)
        assert torch.equal(model.module(image), right(image))
    config["pretrained_cfg"]["std"] = [0.4, 0, 0.6]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(StitchError, match=r"config.json: pretrained_cfg.std\[1\] is 0"):
        zoo.load(f"timm/local-dir:{tmp_path}")


def test_files_of_hugging_face_say_their_input_and_that_their_network_has_no_name_here(tmp_path, folder):
    save_file(zoo.load(f"{folder}/nets.py:fixed").module.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(
        json.dumps(
            {"architectures": ["ResNetForImageClassification"], "id2label": {"1": "cat", "0": "dog", "2": "ant"}}
        )
    )
    of_input = {"image_mean": [0.1] * 3, "image_std": [0.2] * 3, "size": {"shortest_edge": 256}, "resample": 3,
                "do_center_crop": True, "crop_size": {"height": 224, "width": 224}}  # fmt: skip
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(of_input))
    with pytest.raises(StitchError, match="ResNetForImageClassification, a network of Hugging Face's transformers"):
        zoo.load(f"{tmp_path}/model.safetensors")
    model = zoo.load(f"{tmp_path}/model.safetensors", arch=f"{folder}/nets.py:fixed")
    spec, names = model.input, model.class_names
    assert names == ("dog", "cat", "ant")
    assert (spec.size, spec.mean, spec.std) == ((3, 224, 224), (0.1,) * 3, (0.2,) * 3)
    assert (spec.interpolation, spec.crop, spec.assumed) == ("bicubic", 0.875, ())


PREPROCESSORS = {
    "bytes": ({"do_rescale": False, "image_mean": [127.5] * 3, "image_std": [127.5] * 3}, 0.5, 0.5, ""),
    "no normalisation": ({"do_normalize": False, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, 0.0, 1.0, ""),
    "a factor": ({"rescale_factor": 2 / 255, "image_mean": [1.0] * 3, "image_std": [1.0] * 3}, 0.5, 0.5, ""),
    "an offset": (
        {"rescale_factor": 1 / 127.5, "rescale_offset": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
        0.75, 0.25, "",
    ),
    "divided twice": ({"include_top": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, 0.5, 0.25, ""),
    "squashed": (
        {"size": {"height": 8, "width": 8}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, 0.5, 0.5,
        "brought to 8x8 whatever their shape",
    ),
    "squashed as before": (
        {"size": 8, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, 0.5, 0.5, "brought to 8x8 whatever their shape",
    ),
    "of ConvNeXT": (
        {"size": {"shortest_edge": 384}, "crop_pct": 0.9, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, 0.5, 0.5,
        "brought to 384x384",
    ),
    "lanczos": ({"resample": 1, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, 0.5, 0.5, "resized by 'lanczos'"),
}  # fmt: skip


@pytest.mark.parametrize(("config", "mean", "std", "note"), PREPROCESSORS.values(), ids=PREPROCESSORS)
def test_a_preprocessor_of_hugging_face_is_read_whole(tmp_path, folder, config, mean, std, note):
    save_file(zoo.load(f"{folder}/nets.py:fixed").module.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(config))
    model = zoo.load(f"{tmp_path}/model.safetensors", arch=f"{folder}/nets.py:fixed")
    assert model.input.mean == pytest.approx((mean,) * 3) and model.input.std == pytest.approx((std,) * 3)
    assert any(note in said for said in model.notes) if note else not model.notes


def test_channels_in_another_order_are_refused(tmp_path, folder):
    save_file(zoo.load(f"{folder}/nets.py:fixed").module.state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"do_flip_channel_order": True}))
    with pytest.raises(StitchError, match="is fed blue, green, red") as caught:
        zoo.load(f"{tmp_path}/model.safetensors", arch=f"{folder}/nets.py:fixed")
    assert "x.flip(1)" in caught.value.hint


def test_the_output_that_is_chosen_is_the_one_that_every_verb_takes_and_packing_keeps(tmp_path):
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.body, self.head = nn.Conv2d(3, 4, 8), nn.Linear(4, 3)\n\n    def forward(self, x):\n"
        "        x = self.body(x).flatten(1)\n        return x, self.head(x)\n\ndef net():\n    return Net()\n"
    )
    words, images = f"{tmp_path}/nets.py:net?input=3x8x8", torch.randn(2, 3, 8, 8)
    with pytest.raises(StitchError, match=r"returns 0 \[4\], 1 \[3\]: which of them"):
        zoo.load(words).scores(images)
    path = zoo.pack(f"{words}&output=1", tmp_path / "a.pt", arch=f"{tmp_path}/nets.py:net?output=1")
    for model in (zoo.load(f"{words}&output=1"), zoo.load(str(path), trust=True)):
        want = model.module(images)[1]
        assert torch.equal(model.scores(images), want)
        graph = trace_model(model)
        torch.testing.assert_close(graph(images), want)
    with pytest.raises(StitchError, match="'2' is no output"):
        trace_model(zoo.load(f"{words}&output=2"))


def test_a_plain_state_dict_is_packed_with_the_architecture_that_is_named(folder, tmp_path):
    path = zoo.pack(f"{folder}/bare.pt?mean=0.1", tmp_path / "a.pt", arch=f"{folder}/nets.py:net?std=0.2&input=3x8x8")
    again = zoo.load(str(path), arch=f"{folder}/nets.py:net")
    assert (again.input.mean, again.input.std, again.input.size) == ((0.1,) * 3, (0.2,) * 3, (3, 8, 8))


def test_what_the_architecture_wants_is_assumed_of_weights_that_say_nothing(folder, tmp_path):
    save_file(zoo.load("timm/resnet18?weights=none&num_classes=5").module.state_dict(), tmp_path / "a.safetensors")
    model = zoo.load(f"{tmp_path}/a.safetensors", arch="resnet18")
    assert set(model.input.assumed) == {"size", "mean", "std", "interpolation", "crop"}
    assert any("'torchvision/resnet18'" in note or "torchvision/resnet18" in note for note in model.notes)


def test_an_accuracy_belongs_to_the_input_that_it_was_measured_with():
    assert zoo.load("digits/plain").accuracy and zoo.load("digits/plain?mean=0.1").accuracy is None
