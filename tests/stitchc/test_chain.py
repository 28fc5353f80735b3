"""A chain that is stated by hand is compiled from the command line and from Python like any pair."""

import json

import pytest
import torch

import stitchc
from stitchc.cli import main
from stitchc.passes.data.errors import CutError, Infeasible, InputError, QuantityError

THREE = "A:..stage1.0 / linear / B:features.1.2..features.4.2 / linear / C:stage2.1.."
FAST = {"probe_images": 64, "heal_sweeps": 1}


def test_three_fragments_of_three_models_from_the_command_line(tmp_path, capsys):
    models = ("digits/convnext", "digits/plain", "digits/resnet")
    chain = THREE.replace("C:stage2.1..", "C:stage2.0..")
    out = tmp_path / "hybrid"
    words = [*models, "--chain", chain, "--probe-images", "64", "--heal-sweeps", "1", "--no-onnx", "--json"]
    assert main(["compile", *words, "-o", str(out)]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [link["model"] for link in record["chain"] if "model" in link] == list(models)
    assert record["chain"][2]["from"] == "features_1_2" and record["verified"]["argmax_agreement"] == 1.0
    assert record["candidates"] is None or record["candidates"]["total"] == 0
    assert (out / "model.safetensors").stat().st_size == record["cost"]["size_bytes"]
    network = stitchc.load(out)
    assert sum(p.numel() for p in network.parameters()) == record["cost"]["params"]
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert {name for name, _ in network.named_children()} == {"front", "adapter1", "middle", "adapter2", "back"}
    text = (out / "recipe.toml").read_text()
    assert f"chain = {json.dumps(chain)}" in text and 'c = "digits/resnet"' in text
    again = tmp_path / "again"
    assert main(["compile", "--recipe", str(out / "recipe.toml"), "-o", str(again)]) == 0
    for name in ("model.py", "model.safetensors", "recipe.toml"):
        assert (out / name).read_bytes() == (again / name).read_bytes()


def test_a_network_with_a_middle_part_left_out():
    plan = stitchc.compile("digits/convnext", chain="A:..stage1.0 / A:stage2.0..", onnx=False, **FAST)
    whole = plan.prices[0]
    assert plan.hybrid.verified and plan.hybrid.price["macs"] < whole["macs"]
    assert [fragment.model for fragment in plan.hybrid.chain.fragments] == [0, 0]
    assert len(plan.choice) > 1, "adapters that the words leave open are chosen by the fit"


@pytest.mark.parametrize(
    ("models", "given", "error", "said"),
    [
        ((), {}, InputError, "none was given"),
        (("digits/plain",), {"chain": "A:..nowhere / A:features.4.2.."}, CutError, "no cut"),
        (("digits/plain",), {"chain": "A:..features.1.2 / B:features.4.2.."}, CutError, "'B' is no model"),
        (("digits/plain",), {"chain": "A:..3 / A:12..", "front": 3}, InputError, "says all cuts"),
        (("digits/plain",), {"chain": "A:..3 / A:12..", "budget": {"params": 10}}, Infeasible, "takes at least"),
        (("digits/plain",), {"chain": "A:..3 / A:12..", "budget": "latency=1ms"}, QuantityError, "pairs only"),
    ],
)
def test_what_cannot_be_is_refused(models, given, error, said):
    with pytest.raises(error, match=said):
        stitchc.compile(*models, **given)


def test_a_budget_leaves_the_ways_to_join_that_it_allows():
    plan = stitchc.compile("digits/plain", chain="A:..3 / A:12..", dry_run=True)
    costs = sorted({c.price["macs"] for c in plan.choice}) if len(plan.choice) > 1 else [plan.choice[0].price["macs"]]
    cheaper = stitchc.compile("digits/plain", chain="A:..3 / linear / A:12..", dry_run=True).choice[0].price["macs"]
    under = stitchc.compile("digits/plain", chain="A:..3 / A:12..", budget={"macs": cheaper}, dry_run=True)
    assert under.choice[0].price["macs"] <= cheaper <= max(costs)
