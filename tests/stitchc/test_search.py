"""`search`: from a pool of models to the artifact of the best chain."""

import json
from itertools import pairwise

import pytest
import torch

import stitchc
from stitchc.cli import main
from stitchc.passes.data.errors import Infeasible, InputError, QuantityError, StitchError

POOL = ("digits/convnext", "digits/plain")
FAST = {"effort": "low", "probe_images": 128, "heal_sweeps": 1, "rivals": "none", "onnx": False}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the command line prints of a search, and its folder."""
    out = tmp_path_factory.mktemp("search") / "chain"
    words = ["--effort", "low", "--probe-images", "128", "--heal-sweeps", "1", "--no-onnx"]
    import contextlib
    import io

    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["search", *POOL, "--budget", "macs=1.2M", *words, "--json", "-o", str(out)]) == 0
    return json.loads(said.getvalue()), out


def test_the_best_chain_is_written_with_its_rivals_and_is_what_it_says(found):
    document, out = found
    assert document["pool"]["fragments"] == 38 and document["pool"]["starting"] == document["pool"]["terminating"] == 2
    assert document["pool"]["middle"] == 34 and document["chosen"] == 0
    best = document["chains"][0]
    plan = json.loads((out / "plan.json").read_text())
    assert document["plan"] == plan and plan["rivals"] and plan["recommended"] is not None
    assert [link.get("model") for link in best["chain"]] == [link.get("model") for link in plan["chain"]]
    assert best["cost"] == plan["cost"] and best["cost"]["macs"] <= 1.2e6
    assert (out / "model.safetensors").stat().st_size == best["cost"]["size_bytes"]
    network = stitchc.load(out)
    assert sum(p.numel() for p in network.parameters()) == best["cost"]["params"]
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert best["accuracy"] == plan["accuracy"]["top1"] > 0.9


def test_chains_are_ordered_and_estimates_come_with_how_far_they_hold(found):
    document, _ = found
    healed = [one for one in document["chains"] if one["healed"]]
    assert len(healed) == 2 and document["chains"][:2] == healed and all(one["accuracy"] for one in healed)
    for group in (healed, document["chains"][2:]):
        assert all(a["score"] >= b["score"] for a, b in pairwise(group))
    assert all(one["cost"]["macs"] <= 1.2e6 and 0 <= one["expected"] <= 1 for one in document["chains"])
    assert document["search"]["probed"] >= 24 and document["search"]["seam_losses"]["cases"] >= 24


def test_the_recipe_of_a_chain_compiles_to_the_same_bytes(found, tmp_path):
    _, out = found
    again = tmp_path / "again"
    assert main(["compile", "--recipe", str(out / "recipe.toml"), "-o", str(again)]) == 0
    for name in ("model.py", "model.safetensors", "recipe.toml"):
        assert (out / name).read_bytes() == (again / name).read_bytes()


def test_the_report_tells_of_pool_chains_and_the_network(capsys, tmp_path):
    words = [f"--{name.replace('_', '-')}={value}" for name, value in FAST.items() if name != "onnx"]
    assert main(["search", "digits/plain", "--budget=macs=60%", "--keep=3", *words, "--no-onnx",
                 "-o", str(tmp_path / "x")]) == 0  # fmt: skip
    out = capsys.readouterr().out
    for said in ("26 fragments: 1 starting, 24 middle, 1 terminating", "The best chains", "seams probed",
                 "Verified", "model.safetensors"):  # fmt: skip
        assert said in out
    assert out.count("/ plain") >= 3, "parts of one model are left out"


def test_a_dry_run_tells_of_the_pool_alone(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["search", *POOL, "--rule", "stitchnet", "--dry-run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["pool"] | {"models": 0} == {
        "models": 0, "rule": "stitchnet", "fragments": 12, "starting": 2, "middle": 8, "terminating": 2,
    }  # fmt: skip
    assert document["chains"] == [] and document["chosen"] is None and not list(tmp_path.iterdir())
    assert main(["search", *POOL, "--dry-run"]) == 0
    assert "38 fragments" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("models", "given", "error", "said"),
    [
        ((), {}, InputError, "no models"),
        (POOL, {"rank": "fit"}, InputError, "scores pairs"),
        (POOL, {"budget": "latency=1ms"}, QuantityError, "does not add up"),
        (POOL, {"budget": "memory=1MiB"}, QuantityError, "does not add up"),
        (POOL, {"data": "random"}, InputError, "cannot with 'random"),
        (POOL, {"budget": "macs=1000"}, Infeasible, "budget"),
        (POOL, {"adapters": "nonesuch"}, StitchError, "no adapter"),
        (("digits/vit",), {"rule": "stitchnet"}, InputError, "can be joined by"),
        (POOL, {"effort": "much"}, StitchError, "much"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(models, given, error, said, tmp_path):
    with pytest.raises(error, match=said):
        stitchc.search(*models, **{**FAST, **given}, out=tmp_path / "x")
    assert not list(tmp_path.iterdir())
