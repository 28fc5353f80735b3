"""What a page says: the difference of graphs is whole, charts hold every figure, stages add up."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from large_plan import CUTS, large_plan

from stitchc import recipe
from stitchc.documents import plan_document
from stitchc.options import CompileOptions
from stitchc.passes.data.chain import Chain, Fragment
from stitchc.report.blocks import blocks, changes
from stitchc.report.page import charts
from stitchc.report.page.charts import HeatChart, ScatterChart
from stitchc.report.page.compiled import ending
from stitchc.report.page.dropped import Dropped
from stitchc.report.page.from_rich import fragment
from stitchc.report.page.verdict import Verdict
from stitchc.report.table import table
from stitchc.tuning.settings import TrainingOptions

CHAINS = [
    Chain.pair((0, 0), (1, 1), "linear"),
    Chain.pair((0, 2), (1, 0), "linear"),
    Chain((Fragment(0, None, 0), Fragment(1, 0, 1), Fragment(0, 1, None)), ("linear", "linear")),
    Chain.pair((0, 0), (0, 2), "identity"),
]


@pytest.mark.parametrize("chain", CHAINS)
def test_every_block_of_every_model_is_kept_or_dropped_once(plan, chain):
    found = changes(plan, chain)
    for model in {part.model for part in chain.fragments}:
        whole = blocks(plan, model)
        seen = sorted(block.index for change in found if change.model == model for block in change.blocks)
        assert seen == [block.index for block in whole] == list(range(len(plan.cuts[model]) + 1))
        for metric in ("params", "macs"):
            assert sum(block.price[metric] for block in whole) == plan.prices[model][metric]
    assert [change.seam for change in found if change.state == "new"] == list(range(len(chain.adapters)))


@pytest.mark.parametrize("chain", CHAINS)
def test_what_is_kept_is_what_the_fragments_run(plan, chain):
    kept = [change for change in changes(plan, chain) if change.state == "kept"]
    assert [change.model for change in kept] == [part.model for part in chain.fragments]
    for change, part in zip(kept, chain.fragments, strict=True):
        first = 0 if part.start is None else part.start + 1
        last = len(plan.cuts[part.model]) if part.end is None else part.end
        assert [block.index for block in change.blocks] == list(range(first, last + 1))


def test_layers_that_run_twice_are_kept_twice_and_never_dropped(plan):
    chain = Chain((Fragment(0, None, 2), Fragment(0, 0, None)), ("linear",))
    found = changes(plan, chain)
    assert [change.state for change in found] == ["kept", "new", "kept"]
    assert [block.index for change in found for block in change.blocks] == [0, 1, 2, 1, 2, 3]


def test_healed_blocks_are_those_of_the_part_that_was_healed(plan):
    chain = Chain.pair((0, 0), (1, 0), "linear")
    healing = {"blocks": [{"name": "back.features.6", "kept": True}, {"name": "back.gone", "kept": True}]}
    front, back = (change for change in changes(plan, chain, healing) if change.state == "kept")
    assert [block.name for block in back.blocks if block.is_healed] == ["features.6"]
    assert not any(block.is_healed for block in front.blocks)
    undone = {"blocks": [{"name": "back.features.6", "kept": False}]}
    back = next(c for c in changes(plan, chain, undone) if c.state == "kept" and c.model == 1)
    assert not any(block.is_healed for block in back.blocks) and back.blocks[0].healed


def documents(text: str) -> list[dict]:
    return [json.loads(found) for found in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text)]


def test_the_heat_map_holds_every_cut_every_value_and_the_seam(plan):
    (document,) = documents(HeatChart(plan).html())
    assert document["rows"] == ["0 stem", "1 layer1.0", "2 layer2.0"]
    assert document["columns"] == ["0 features.3", "1 features.6"]
    np.testing.assert_allclose(document["values"], plan.similarity[0].matrix, atol=1e-4)
    assert document["chosen"] == [[0, 0]]  # the seam of the hybrid
    unknown = replace(plan.similarity[0], matrix=np.full((3, 2), np.nan))
    (document,) = documents(HeatChart(replace(plan, similarity=(unknown,))).html())
    assert document["values"] == [[None, None]] * 3


def test_the_scatter_holds_every_candidate_and_network(plan):
    (document,) = documents(ScatterChart(plan, plan_document(plan)).html())
    count = len(plan.candidates)
    for name in ("front_cut", "back_cut", "adapter", "feasible"):
        assert document[name] == getattr(plan.candidates, name).astype(int).tolist()
    assert document["amounts"]["macs"] == plan.candidates.amounts["macs"].tolist()
    assert document["amounts"]["flops"] == [2 * macs for macs in document["amounts"]["macs"]]
    assert document["x"] == "flops" and document["budget"] == {"flops": 10e6} and len(document["similarity"]) == count
    assert [(one["kind"], one["name"]) for one in document["others"]] == [
        ("hybrid", "the hybrid"), ("parent", "resnet"), ("parent", "plain"),
    ]  # fmt: skip
    assert document["reached"] == ["accuracy", "similarity"]  # nothing was probed


def test_of_many_candidates_the_probed_and_the_front_stay(monkeypatch):
    monkeypatch.setattr(charts, "MOST", 1000)
    plan = large_plan()
    (document,) = documents(ScatterChart(plan).html())
    shown = len(document["front_cut"])
    assert 990 <= shown <= 1000 and sum(score is not None for score in document["score"]) == 300
    best = max(plan.candidates.similarity[plan.candidates.feasible])
    assert round(float(best), 4) in document["similarity"]
    assert max(document["front_cut"]) < CUTS


def test_stages_say_how_many_went_on_and_why(plan):
    text = Dropped(large_plan()).html()
    assert "300 of 3,000 went on; 2,700 dropped" in text and "1 of 10 went on; 9 dropped" in text
    assert "they take more than 500 MMACs" in text
    text = Dropped(plan, plan_document(plan)).html()
    assert "5 of 6 went on; 1 dropped: they take more than 10.0 MFLOPs" in text
    assert "1 value of resnet cannot be cut at (3 can)" in text and "another value crosses" in text


def test_a_verdict_without_a_comparison_says_so(plan):
    text = Verdict(plan_document(plan)).html()
    assert "Not compared" in text and "38 % of resnet" not in text and "37 % of resnet" in text
    assert "6.00 M" in text and "of 10.0 MFLOPs at most" in text


def test_of_a_trained_network_the_verdict_is_what_training_gave(plan):
    told = {"data": "test", "images": 400, "before": 0.8, "after": 0.85}
    new = {"hybrid": None, "tuned": [{"accuracy": told}], "accuracy": {"top1": 0.85, "images": 400}}
    text = Verdict(plan_document(plan) | new).html()
    assert "80.0 % before, 85.0 % after (+5.0 points)" in text and "over the line" not in text
    assert "81.2 % to 88.2 %" in text  # Wilson's interval of 340 in 400


def test_a_page_says_how_its_recipe_is_run():
    text = recipe.dumps(["a", "b"], CompileOptions(), "family")
    (section,) = (part for part in ending({"models": []}, text) if part.title == "The recipe")
    assert "stitchc family --recipe recipe.toml -o DIR" in section.lead and "compile" not in section.lead
    text = recipe.with_training(text, TrainingOptions(epochs=1))
    assert recipe.commands(text)[-1] == "stitchc tune DIR --recipe recipe.toml"


def test_what_a_terminal_prints_is_a_table_with_the_same_words():
    rows = table(title="The title")
    rows.add_column("\nname")
    rows.add_column("amount\n(M)", justify="right")
    rows.add_row("a <b>", "1.5", style="bold")
    rows.add_row("c", "2.5", style="dim")
    text = fragment(rows)
    assert "<caption>The title</caption>" in text and "amount<br>(M)" in text and "a &lt;b&gt;" in text
    assert text.count('<tr class="bold">') == text.count('<tr class="dim">') == 1
    assert text.count('class="number"') == 3  # the head and two cells
    assert fragment("one\ntwo") == "<p>one<br>two</p>"
    assert fragment("") == ""
