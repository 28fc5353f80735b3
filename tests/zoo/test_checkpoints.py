"""Checkpoint files: what is read, what is refused and why, and that what is packed comes back."""

import argparse
import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from stitchc import zoo
from stitchc.passes.data.errors import BadCheckpoint, ModelError, OutputError, UnsafeCheckpoint


@pytest.fixture(scope="module")
def resnet18():
    return zoo.load("timm/resnet18?weights=none&num_classes=6").module.state_dict()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_a_packed_model_comes_back_with_all_that_was_known_of_it(tmp_path, suffix):
    model = zoo.load("digits/plain")
    path = zoo.pack(model, tmp_path / f"new/a{suffix}")
    again = zoo.load(str(path))
    assert again.source == str(path)
    for name in ("name", "input", "sha256", "arch", "licence", "data", "classes", "accuracy", "notes"):
        assert getattr(again, name) == getattr(model, name), name
    x = torch.randn(3, 1, 8, 8)
    assert torch.equal(again.module(x), model.module(x))


@pytest.mark.parametrize(
    "words",
    [
        "torchvision/squeezenet1_1?weights=none&num_classes=3",
        "timm/vit_tiny_patch16_224?weights=none&input=3x32x32&num_classes=4",
        "digits/vit?num_classes=3&mean=0.1&name=three",
    ],
)
def test_options_survive_packing(tmp_path, words):
    model = zoo.load(words)
    again = zoo.load(str(zoo.pack(model, tmp_path / "a.safetensors")))
    assert (again.input, again.classes, again.name, again.sha256) == (
        model.input,
        model.classes,
        model.name,
        model.sha256,
    )


def test_the_architecture_of_a_checkpoint_alone_has_no_accuracy(tmp_path):
    path = zoo.pack("digits/plain", tmp_path / "a.pt")
    model = zoo.load(f"{path}?weights=none")
    assert model.accuracy is None and model.sha256 == zoo.load("digits/plain?weights=none").sha256


def test_a_packed_pt_is_plain_weights_only(tmp_path):
    path = zoo.pack("digits/plain", tmp_path / "a.pt")
    content = torch.load(path, weights_only=True)
    assert content["arch"] == "digits/plain" and content["record"]["data"] == "digits"
    assert path.read_bytes() == zoo.pack("digits/plain", tmp_path / "b.pt").read_bytes(), (
        "the same model, the same bytes"
    )


def test_a_packed_safetensors_says_its_architecture_in_its_metadata(tmp_path):
    with safe_open(zoo.pack("digits/plain", tmp_path / "a.safetensors"), "pt") as file:
        metadata = file.metadata()
    assert metadata["arch"] == "digits/plain"
    assert json.loads(metadata["record"])["licence"] == "MIT"


def test_packing_overwrites_only_when_told_to(tmp_path):
    path = tmp_path / "a.pt"
    path.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        zoo.pack("digits/plain", path)
    assert path.read_text() == "mine"
    zoo.pack("digits/plain", path, force=True)
    assert zoo.load(str(path)).name == "digits/plain"
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"], "nothing half-written is left"


def test_packing_refuses_what_could_not_be_loaded_again(tmp_path):
    with pytest.raises(OutputError, match="no suffix of a checkpoint"):
        zoo.pack("digits/plain", tmp_path / "a.onnx")
    with pytest.raises(ModelError, match="not those of digits/vit"):
        zoo.pack("digits/plain", tmp_path / "a.pt", arch="digits/vit")
    torch.save(nn.Linear(2, 2), tmp_path / "whole.pt")
    whole = zoo.load(str(tmp_path / "whole.pt"), trust=True)
    with pytest.raises(ModelError, match="nothing says which architecture"):
        zoo.pack(whole, tmp_path / "a.pt")
    assert not (tmp_path / "a.pt").exists()


def test_a_training_checkpoint_of_timm(tmp_path, resnet18):
    arguments = argparse.Namespace(model="resnet18", num_classes=6, img_size=96, mean=[0.5] * 3, std=[0.2] * 3)
    content = {"arch": "resnet18", "state_dict": resnet18, "epoch": 3, "args": arguments, "optimizer": {"state": {}}}
    torch.save(content, tmp_path / "last.pth.tar.pth")
    model = zoo.load(str(tmp_path / "last.pth.tar.pth"))
    assert (model.classes, model.input.size, model.input.std) == (6, (3, 96, 96), (0.2,) * 3)
    assert torch.equal(model.module.conv1.weight, resnet18["conv1.weight"])


def test_averaged_weights_and_wrapped_names_are_what_timm_takes_them_for(tmp_path, resnet18):
    averaged = {f"module.{key}": value + 1 if value.is_floating_point() else value for key, value in resnet18.items()}
    torch.save({"arch": "resnet18", "state_dict": resnet18, "state_dict_ema": averaged}, tmp_path / "a.pt")
    model = zoo.load(str(tmp_path / "a.pt"))
    assert torch.equal(model.module.conv1.weight, resnet18["conv1.weight"] + 1)


@pytest.mark.parametrize("arch", ["timm/resnet18", "torchvision/resnet18", "resnet18", "timm/resnet18?num_classes=6"])
def test_arch_names_the_architecture_of_bare_weights_and_classes_are_counted(tmp_path, resnet18, arch):
    save_file(resnet18, tmp_path / "a.safetensors")
    with pytest.raises(ModelError, match="does not say of which architecture") as caught:
        zoo.load(str(tmp_path / "a.safetensors"))
    assert "--arch" in caught.value.hint
    model = zoo.load(str(tmp_path / "a.safetensors"), arch=arch)
    assert model.classes == 6 and model.name == "a" and model.licence is None


def test_a_bare_name_is_that_of_the_registry_whose_tensors_it_has(tmp_path):
    state = zoo.load("torchvision/mobilenet_v2?weights=none").module.state_dict()
    save_file(state, tmp_path / "a.safetensors", metadata={"arch": "mobilenet_v2"})
    assert zoo.load(str(tmp_path / "a.safetensors")).arch.startswith("torchvision/mobilenet_v2")


def test_weights_of_another_architecture_are_one_clear_message(tmp_path, resnet18):
    save_file(resnet18, tmp_path / "a.safetensors")
    with pytest.raises(BadCheckpoint, match="are not those of timm/resnet50") as caught:
        zoo.load(str(tmp_path / "a.safetensors"), arch="timm/resnet50")
    assert len(caught.value.message.splitlines()) == 1 and len(caught.value.message) < 500
    with pytest.raises(BadCheckpoint, match=r"fc\.weight has shape"):
        zoo.load(str(tmp_path / "a.safetensors?num_classes=9"), arch="timm/resnet18")


def test_a_users_code_may_be_the_architecture_if_the_user_says_so(tmp_path):
    (tmp_path / "nets.py").write_text("from torch import nn\ndef make(name):\n    return nn.Linear(3, 2)\n")
    words = f"{tmp_path}/nets.py:make('x')"
    path = zoo.pack(words, tmp_path / "a.pt")
    assert str(tmp_path).encode() not in torch.load(path, weights_only=True)["arch"].encode()
    with pytest.raises(ModelError, match="may not choose code to run"):
        zoo.load(str(path))
    assert zoo.load(str(path), arch=words).sha256 == zoo.load(words).sha256


class Payload:
    def __reduce__(self):
        return (print, ("this must never run",))


@pytest.mark.parametrize("content", [nn.Linear(2, 2), {"state_dict": {}, "extra": Payload()}, Payload()])
def test_pickled_code_is_refused_with_the_reason_and_two_ways_out(tmp_path, capsys, content):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(UnsafeCheckpoint) as caught:
        zoo.load(str(tmp_path / "a.pt"))
    assert "pickled code" in caught.value.message
    assert "--arch" in caught.value.hint and "--trust-pickle" in caught.value.hint
    assert "never run" not in capsys.readouterr().out


def test_a_trusted_pickle_is_the_model(tmp_path):
    torch.save(nn.Conv2d(3, 2, 3), tmp_path / "a.pt")
    model = zoo.load(str(tmp_path / "a.pt"), trust=True)
    assert isinstance(model.module, nn.Conv2d) and "size" in model.input.assumed
    assert zoo.load(f"{tmp_path}/a.pt?input=3x9x9", trust=True).input.size == (3, 9, 9)


def test_broken_files_are_one_clear_message(tmp_path):
    for suffix in (".pt", ".safetensors"):
        whole = zoo.pack("digits/plain", tmp_path / f"whole{suffix}").read_bytes()
        for name, content in (("half", whole[: len(whole) // 2]), ("empty", b""), ("text", b"hello, world")):
            (tmp_path / f"{name}{suffix}").write_bytes(content)
            with pytest.raises(BadCheckpoint) as caught:
                zoo.load(str(tmp_path / f"{name}{suffix}"))
            assert f"{name}{suffix}" in caught.value.message and len(caught.value.message.splitlines()) == 1
    with pytest.raises(BadCheckpoint, match="there is no file") as caught:
        zoo.load(str(tmp_path / "whoel.pt"))
    assert "whole.pt" in caught.value.hint
    torch.save({"epoch": 3}, tmp_path / "none.pt")
    with pytest.raises(BadCheckpoint, match="holds no weights"):
        zoo.load(str(tmp_path / "none.pt"))
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(BadCheckpoint, match="holds no weights, but a list"):
        zoo.load(str(tmp_path / "list.pt"))


def test_arch_is_for_checkpoints_only():
    with pytest.raises(ModelError, match="is no checkpoint"):
        zoo.load("digits/plain", arch="digits/plain")


def test_an_exported_program_is_loaded_with_the_size_of_its_example(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten()).eval()
    batch = torch.export.Dim("batch")
    program = torch.export.export(net, (torch.randn(2, 3, 12, 10),), dynamic_shapes=({0: batch},))
    torch.export.save(program, tmp_path / "a.pt2")
    model = zoo.load(str(tmp_path / "a.pt2"))
    assert model.name == "a" and model.input.size == (3, 12, 10) and "size" not in model.input.assumed
    x = torch.randn(5, 3, 12, 10)
    assert torch.equal(model.module(x), net(x))
    (tmp_path / "b.pt2").write_bytes((tmp_path / "a.pt2").read_bytes()[:2000])
    with pytest.raises(BadCheckpoint, match=r"b\.pt2"):
        zoo.load(str(tmp_path / "b.pt2"))
    with pytest.raises(ModelError, match="has its weights in it"):
        zoo.load(str(tmp_path / "a.pt2?weights=none"))
