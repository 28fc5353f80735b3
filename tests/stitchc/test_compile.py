"""The main job on the embedded zoo, from two packed checkpoints to an artifact."""

import io
import json
import re
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from torch import nn

import stitchc
from stitchc.cli import main
from stitchc.documents import plan_document
from stitchc.passes.data.errors import InputError

TEST = "digits?split=test"


def run(*arguments) -> tuple[int, dict]:
    """The command line with --json: its status and its one document."""
    with redirect_stdout(io.StringIO()) as out:
        status = main([*map(str, arguments), "--json", "-q"])
    return status, json.loads(out.getvalue())


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    for name in ("resnet", "plain"):
        assert run("zoo", "pack", f"digits/{name}", "-o", folder / f"{name}.pt")[0] == 0
    return folder


@pytest.fixture(scope="module")
def made(packed) -> tuple[Path, dict]:
    """An artifact, and the document that its compile printed."""
    out = packed / "out"
    pair = (packed / "resnet.pt", packed / "plain.pt")
    budget = "--budget", "12M", "--metric", "flops"
    status, document = run("compile", *pair, *budget, "--probe-images", 200, "--effort", "low", "-o", out)
    assert status == 0
    return out, document


def test_the_document_is_the_plan_and_keeps_the_budget(made):
    out, document = made
    assert document == json.loads((out / "plan.json").read_text())
    assert document["cost"]["flops"] <= 12e6
    assert document["verified"]["argmax_agreement"] == 1.0 and document["verified"]["batches"] == [1, 3]
    assert document["verified"]["onnx_max_rel"] <= 1e-4
    assert set(document["files"]) == {p.name for p in out.iterdir()} - {"plan.json"}
    assert [p.name for p in out.parent.glob(".*")] == []


def test_the_hybrid_works_without_training(made):
    out, document = made
    parents = [model["accuracy"] for model in document["models"]]
    assert document["accuracy"]["data"] == TEST  # not what the adapter was fitted on
    assert document["accuracy"]["top1"] >= min(parents) - 0.03
    found = stitchc.evaluate(out, TEST)
    assert (found.images, found.top1) == (500, document["accuracy"]["top1"])


def test_onnx_runtime_reaches_the_same_accuracy(made):
    from stitchc.evaluate import accuracy
    from stitchc.passes.emit.load import load_onnx
    from stitchc.zoo import images

    out, document = made
    session = load_onnx(out / "model.onnx")

    class Onnx(nn.Module):
        def forward(self, x):
            return session(x)

    spec = stitchc.artifact.as_model(out).input
    assert accuracy(Onnx(), spec, images(TEST)).top1 == document["accuracy"]["top1"]


def test_the_artifact_holds_and_costs_what_its_plan_says(made):
    out, document = made
    assert run("verify", out)[1]["argmax_agreement"] == 1.0
    status, found = run("cost", out)
    assert status == 0
    assert [found["cost"][key] for key in ("params", "macs", "flops")] == [
        document["cost"][key] for key in ("params", "macs", "flops")
    ]


def test_what_cannot_be_met_says_what_can_and_leaves_nothing(packed):
    out = packed / "never"
    pair = (packed / "resnet.pt", packed / "plain.pt")
    status, document = run("compile", *pair, "--budget", "1k", "--probe-images", 32, "-o", out)
    assert status == 1 and document["error"]["code"] == "infeasible"
    nearest = document["error"]["nearest"]["flops"]
    assert nearest > 1000
    assert not out.exists() and not list(packed.glob(".*"))
    status, document = run("compile", *pair, "--budget", nearest, "--probe-images", 32, "--dry-run")
    assert status == 0 and document["cost"]["flops"] == nearest


def test_chosen_cuts_are_priced_without_images():
    plan = stitchc.compile(
        "digits/plain", "digits/resnet", front="features.1.0", back=5, adapter="linear", dry_run=True
    )
    (chosen,) = plan.choice
    assert plan.models[chosen.front[0]].name == "digits/plain" and plan.similarity == ()
    assert plan.cuts[0][chosen.front[1]].path == "features.1.0" and chosen.back == (1, 5)
    link, joint, _ = plan_document(plan)["chain"]
    assert link["to_path"] == "features.1.0" and link["from"] is None
    assert joint["adapter"]["params"] == 24 * 32 + 32  # priced, though nothing was built


def test_a_direction_that_contradicts_the_chosen_cuts_is_refused():
    """plain takes fewer multiply-adds than resnet."""
    given = {"front": "features.1.0", "back": 5, "adapter": "linear", "dry_run": True}
    stitchc.compile("digits/plain", "digits/resnet", **given, direction="fast-to-slow")
    with pytest.raises(InputError, match="puts digits/resnet first"):
        stitchc.compile("digits/plain", "digits/resnet", **given, direction="slow-to-fast")


def test_an_operator_set_that_there_is_not_is_refused_before_the_work(packed):
    status, document = run("compile", packed / "resnet.pt", packed / "plain.pt", "--opset", 99)
    assert status == 2 and "operator set 99 is newer" in document["error"]["message"]


def test_a_dry_run_shows_the_adapter_that_the_fit_would_keep(tmp_path):
    given = {"front": "stage1.0", "back": "features.1.0", "data": "digits", "probe_images": 64, "heal": "none"}
    dry = stitchc.compile("digits/resnet", "digits/plain", **given, dry_run=True)
    made = stitchc.compile("digits/resnet", "digits/plain", **given, onnx=False)
    assert len(made.choice) > 1 and [candidate.chain for candidate in dry.choice] == [made.hybrid.chain]
    assert dry.hybrids == () and dry.notes == made.notes


@pytest.mark.slow
def test_a_recipe_runs_again_to_the_same_bytes(made, packed):
    out, _ = made
    again = packed / "again"
    status, _ = run("compile", "--recipe", out / "recipe.toml", "-o", again)
    assert status == 2 and not again.exists()  # it names checkpoints that do not lie beside it
    assert run("compile", "--recipe", out / "recipe.toml", "-o", again, "--trust")[0] == 0
    for path in out.iterdir():
        mine, other = path.read_bytes(), (again / path.name).read_bytes()
        if path.name == "plan.json":
            mine, other = (re.sub(rb'"seconds": \{[^}]*\}|"date": "[^"]*"', b"", data) for data in (mine, other))
        assert mine == other, path.name
