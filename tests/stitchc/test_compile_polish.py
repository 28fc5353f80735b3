"""`compile` with `polish`: what the artifact says of it, and that its recipe makes the same again."""

import json

import pytest
import torch
from torch import nn

import stitchc
from stitchc import recipe
from stitchc.passes.data.errors import InputError
from stitchc.passes.data.model import InputSpec, Model, TensorImages

SIDE = 8


def network(width: int) -> nn.Module:
    torch.manual_seed(width)

    def block(c_in: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(c_in, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())

    net = nn.Sequential(block(1), block(width), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 3))
    net(4 * torch.randn(64, 1, SIDE, SIDE))
    nn.init.normal_(net[-1].weight, std=3)
    return net.eval()


@pytest.fixture(scope="module")
def given() -> tuple[tuple[Model, Model], dict]:
    spec = InputSpec((1, SIDE, SIDE), (0.0,), (1.0,))
    parents = tuple(Model(name, spec, module=network(width)) for name, width in (("wide", 6), ("thin", 4)))
    images = TensorImages(torch.randn(60, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)), name="x")
    cuts = {"front": "0", "back": "0", "adapter": "linear", "data": images, "onnx": False, "rivals": "none"}
    return parents, cuts


def test_a_polished_artifact_says_what_was_done_and_its_recipe_does_the_same(given, tmp_path):
    parents, options = given
    stitchc.compile(*parents, **options, polish="0.5s", out=tmp_path / "timed")
    record = json.loads((tmp_path / "timed" / "plan.json").read_text())
    found = record["polishing"]
    assert found["teachers"] == ["wide"] and (found["images"], found["held_out"]) == (48, 12)
    assert found["divergence"] <= found["divergence_before"] and record["seconds"]["polish"] > 0
    assert "Polished: " in (tmp_path / "timed" / "README.md").read_text()
    assert "Polished" in (tmp_path / "timed" / "report.html").read_text()
    said = recipe.read(tmp_path / "timed" / "recipe.toml").options["polish"]
    assert said == f"{found['steps']} steps"
    stitchc.compile(*parents, **options, polish=said, out=tmp_path / "counted")
    for name in ("model.py", "model.safetensors", "recipe.toml", "README.md"):
        assert (tmp_path / "timed" / name).read_bytes() == (tmp_path / "counted" / name).read_bytes(), name
    assert stitchc.verify(tmp_path / "counted").argmax_agreement == 1.0


def test_without_polish_nothing_is_said_of_it(given, tmp_path):
    parents, options = given
    plan = stitchc.compile(*parents, **options, out=tmp_path / "out")
    assert plan.hybrid.polishing is None
    assert json.loads((tmp_path / "out" / "plan.json").read_text())["polishing"] is None
    assert "polish" not in recipe.read(tmp_path / "out" / "recipe.toml").options


def test_rivals_are_polished_where_that_is_asked_for(given, tmp_path):
    parents, options = given
    polished = options | {"rivals": "trained", "polish": "2 steps", "budget": {"macs": "70%"}}
    stitchc.compile(*parents, **polished, out=tmp_path / "out")
    rivals = json.loads((tmp_path / "out" / "plan.json").read_text())["rivals"]
    plain, trained = ([r for r in rivals if r["trained"] is which and r["kind"] == "parent"] for which in (False, True))
    assert [r["model"] for r in plain] == [r["model"] for r in trained] == ["thin"]
    assert plain[0]["cost"] == trained[0]["cost"]
    assert "thin, polished" in (tmp_path / "out" / "report.html").read_text()


def test_training_rivals_of_what_is_not_trained_is_refused(given):
    parents, options = given
    with pytest.raises(InputError, match="not trained"):
        stitchc.compile(*parents, **options | {"rivals": "trained"})
