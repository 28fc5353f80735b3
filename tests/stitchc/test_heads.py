"""Classes that the models do not have, as each of them stands for some that they have."""

import json

import pytest
import torch

import stitchc
from stitchc.cli import main
from stitchc.heads import groups, with_head
from stitchc.passes.data.errors import InputError
from stitchc.zoo import load

HEAD = "classes=0-4=low,5-7=high,9=high"


def test_new_classes_have_the_probabilities_of_the_old_ones_that_they_stand_for():
    model = load("digits/plain")
    images = torch.rand(16, *model.input.size)
    old, made = model.scores(images).softmax(1), with_head(model, HEAD)
    new = made.scores(images).softmax(1)
    assert (made.classes, made.class_names, made.accuracy) == (2, ("low", "high"), None)
    low, high = old[:, :5].sum(1), old[:, [5, 6, 7, 9]].sum(1)
    torch.testing.assert_close(new[:, 0], low / (low + high), rtol=1e-4, atol=1e-6)
    assert with_head(model, "parent") is model


@pytest.mark.parametrize("head", ["knee", "classes=1-3", "classes=1=a", "classes=1-3=a,2=b", "classes=5-2=a,1=b"])
def test_what_is_no_head_is_refused(head):
    with pytest.raises(InputError):
        groups(head)


def test_classes_that_a_model_lacks_are_refused():
    with pytest.raises(InputError, match="names class 11, and digits/plain has 10"):
        with_head(load("digits/plain"), "classes=0-4=low,5-11=high")


def test_a_network_is_compiled_and_exported_with_its_head(tmp_path):
    out = tmp_path / "x"
    words = ["--head", HEAD, "--budget", "60%", "--effort", "low", "--probe-images", "64", "--heal-sweeps", "1"]
    assert main(["compile", "digits/plain", "digits/convnext", *words, "--rivals=none", "-o", str(out)]) == 0
    plan = json.loads((out / "plan.json").read_text())
    assert plan["class_names"] == ["low", "high"] and plan["verified"]["onnx_max_abs"] < 1e-4
    assert stitchc.load(out)(torch.zeros(2, 1, 8, 8)).shape == (2, 2)
    assert f'head = "{HEAD}"' in (out / "recipe.toml").read_text()
    again = tmp_path / "again"
    assert main(["compile", "--recipe", str(out / "recipe.toml"), "-o", str(again)]) == 0
    assert (out / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()
