"""Rivals from the options to the artifact: measured, reported, and written where they are better."""

import json
from dataclasses import replace

import pytest

import stitchc
from stitchc.comparison import interval
from stitchc.documents import plan_document
from stitchc.passes import Codegen, Pipeline, Verify
from stitchc.passes.data.errors import InputError
from stitchc.report.stitch import CompileReport
from stitchc.report.terminal import render
from stitchc.rivals import Measured, with_winner

PAIR = "digits/resnet", "digits/plain"
GIVEN = {"budget": {"macs": "60%"}, "data": "digits", "probe_images": 64, "effort": "low", "heal_sweeps": 1,
         "front": "stage1.3", "back": "features.3", "onnx": False}  # fmt: skip
UNHEALED = {name: value for name, value in GIVEN.items() if name != "heal_sweeps"} | {"heal": "none"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A stitch that is worse than the second model, which is cheaper, and a network that is compared to it."""
    out = tmp_path_factory.mktemp("rivals") / "out"
    plan = stitchc.compile(*PAIR, **GIVEN, against=["digits/mixer"], out=out)
    return plan, json.loads((out / "plan.json").read_text()), out


def test_every_kind_of_rival_is_in_the_document(made):
    _, record, _ = made
    assert {rival["kind"] for rival in record["rivals"]} == {"parent", "smaller-input", "parts-left-out", "against"}
    for rival in record["rivals"]:
        assert {"kind", "model", "input", "chain", "cost", "score", "accuracy"} <= set(rival)
        assert rival["cost"]["macs"] <= record["budget"]["macs"] or not rival["within"]
        low, high = rival["interval"]
        assert low <= rival["accuracy"] <= high
    assert record["seconds"]["rivals"] > 0


def test_what_is_recommended_is_the_most_accurate_within_the_budget(made):
    _, record, _ = made
    running = {index: r["accuracy"] for index, r in enumerate(record["rivals"]) if r["within"]}
    best = max([record["hybrid"]["accuracy"], *running.values()])
    winner = record["recommended"]
    assert best == (record["hybrid"]["accuracy"] if winner == "hybrid" else running[winner])
    assert record["accuracy"]["top1"] == record["hybrid"]["accuracy"] and record["written"] == "hybrid"
    (parent,) = [r for r in record["rivals"] if r["kind"] == "parent"]
    assert parent["accuracy"] == record["models"][1]["accuracy"]
    assert stitchc.evaluate("digits/plain", "digits?split=test").top1 == parent["accuracy"]


def test_the_line_between_the_parents_is_over_their_own_costs(made):
    _, record, _ = made
    (slow, fast), hybrid = record["models"], record["hybrid"]
    share = (hybrid["cost"]["macs"] - fast["macs"]) / (slow["macs"] - fast["macs"])
    on_it = fast["accuracy"] + share * (slow["accuracy"] - fast["accuracy"])
    assert hybrid["over_line"] == pytest.approx(hybrid["accuracy"] - on_it)
    assert next(r for r in record["rivals"] if r["kind"] == "parent")["over_line"] == pytest.approx(0)


def test_the_first_line_of_the_report_and_the_readme_name_the_winner(made):
    plan, record, out = made
    text = render(CompileReport.of(plan, record).parts(), width=200)
    assert text.startswith("Best within the budget: ")
    assert ("warning: the hybrid is dominated by" in text) == bool(record["recommendation"]["dominated_by"])
    assert text.splitlines()[0] in (out / "README.md").read_text()
    table = text[text.index("What could be had instead") :]
    assert all(name in table for name in ("the hybrid", "resnet", "* ", "mixer", "resnet at 4×4", "resnet without"))


def test_the_winner_is_written_where_that_is_asked_for(tmp_path):
    """Unhealed, with layers of both left out, the stitch is worse than the second model, which is cheaper."""
    out = tmp_path / "best"
    given = UNHEALED | {"front": "stem.0", "back": "features.7", "adapter": "linear"}
    plan = stitchc.compile(*PAIR, **given, best=True, out=out)
    record = json.loads((out / "plan.json").read_text())
    winner = record["recommended"]
    assert winner != "hybrid" and record["written"] == winner
    rival = record["rivals"][winner]
    assert record["chain"] == rival["chain"] and record["cost"] == rival["cost"]
    assert record["accuracy"]["top1"] == rival["accuracy"] > record["hybrid"]["accuracy"]
    assert plan.hybrid.verified is not None and plan.hybrid.chain.adapters == ()
    found = stitchc.evaluate(out, "digits?split=test")
    assert found.top1 == rival["accuracy"]
    assert (out / "README.md").read_text().startswith("# digits/plain\n")


def test_a_model_on_smaller_images_is_written_with_that_size(made, tmp_path):
    plan, record, _ = made
    index = next(k for k, rival in enumerate(plan.rivals) if rival.kind == "smaller-input")
    chosen = replace(plan, recommended=replace(plan.recommended, rival=index))
    written = with_winner(Measured(chosen, None, (None, None), (None,) * len(plan.rivals), {"recommended": index}))
    done = Pipeline([Codegen(folder=tmp_path), Verify()])(written.plan)
    assert done.hybrid.verified is not None and written.document["written"] == index
    assert done.input_of(done.hybrid.chain).size == tuple(record["rivals"][index]["input"]["size"]) == (1, 6, 6)
    assert "float32 [batch, 1, 6, 6]" in (tmp_path / "model.py").read_text()
    document = plan_document(done)
    assert (
        document["chain"] == record["rivals"][index]["chain"] and document["cost"]["macs"] < record["models"][0]["macs"]
    )


def test_rivals_can_be_declined_and_are_not_there_on_noise():
    given = UNHEALED
    plan = stitchc.compile(*PAIR, **given, rivals="none")
    assert plan.rivals == () and plan.recommended is None and "rivals" not in plan.seconds
    noise = stitchc.compile(*PAIR, **(given | {"data": "random"}))
    assert noise.rivals == () and noise.recommended is None
    assert any("On noise" in note for note in noise.notes)


def test_what_needs_rivals_is_refused_without_them():
    for more in ({"best": True}, {"against": ["digits/vit"]}):
        with pytest.raises(InputError, match="nothing is compared"):
            stitchc.compile("no/a.pt", "no/b.pt", rivals="none", **more)


def test_an_interval_holds_the_share_and_narrows_with_images():
    assert interval(0.5, 100) == pytest.approx((0.404, 0.596), abs=1e-3)
    assert interval(1.0, 100)[1] == pytest.approx(1.0) and interval(1.0, 100)[0] < 1
    wide, narrow = interval(0.8, 100), interval(0.8, 1000)
    assert wide[0] < narrow[0] < 0.8 < narrow[1] < wide[1]


def test_one_model_is_stitched_to_itself_with_a_part_left_out(tmp_path):
    given = {name: GIVEN[name] for name in ("budget", "data", "probe_images", "effort", "heal_sweeps", "onnx")}
    plan = stitchc.compile("digits/resnet", **given, out=tmp_path / "out")
    record = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert {part["model"] for part in record["chain"] if "model" in part} == {"digits/resnet"}
    assert len(record["models"]) == 1
    seams = plan.hybrid.chain.seams()
    assert (
        all(seam.leaves.cut < seam.enters.cut for seam in seams)
        and record["cost"]["macs"] <= 0.6 * record["models"][0]["macs"]
    )
    assert plan.hybrid.verified is not None
    assert stitchc.evaluate(tmp_path / "out", "digits?split=test").top1 == record["accuracy"]["top1"] > 0.5
    assert {rival["kind"] for rival in record["rivals"]} == {"smaller-input", "unrepaired"}
