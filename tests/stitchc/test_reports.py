"""Golden texts: every report at 80 columns without colour, as a pipe gets it."""

import re
from dataclasses import replace

import numpy as np
import pytest

from stitchc.documents import plan_document
from stitchc.evaluate import Accuracy
from stitchc.passes.data.values import Cuts, Price, Rejected
from stitchc.readme import readme
from stitchc.report.accuracy import AccuracyLine
from stitchc.report.candidates import CandidateTable
from stitchc.report.chain import ChainLine
from stitchc.report.cost import CostTable
from stitchc.report.cuts import CutTable, RejectedTable
from stitchc.report.heatmap import HeatMap
from stitchc.report.html import page
from stitchc.report.notes import Notes
from stitchc.report.parent_table import ParentTable
from stitchc.report.stitch import Checks, Choice, CompileReport, Files, heat_map
from stitchc.report.terminal import render


def shown(renderable, **options) -> str:
    return render([renderable], **options)


def golden(renderable, expected: str, **options) -> None:
    assert "\n" + shown(renderable, **options) == expected


def test_the_cut_table(plan):
    golden(
        CutTable(plan.models[0], plan.cuts[0], plan.prices[0]),
        """
resnet  input 1×8×8
80.1 k params, 17.4 M MACs, 34.8 M FLOPs
3 cuts by the rule single-tensor, 4 fragments

                                       params  params    MACs   MACs
                                       before   after  before  after
#  path      node      layout  shape      (k)     (k)     (M)    (M)
────────────────────────────────────────────────────────────────────
0  stem      stem      NCHW    16×8×8   20.03   60.10    4.35  13.05
1  layer1.0  layer1_0  NCHW    32×4×4   40.07   40.07    8.70   8.70
2  layer2.0  layer2_0  NCHW    48×2×2   60.10   20.04   13.05   4.35
""",
    )


def test_long_names_fold_and_figures_do_not(plan):
    long = "blocks.11.mlp.fc2.drop.some_very_deeply_nested_module.of_a_network"
    cuts = Cuts("single-tensor", (replace(plan.cuts[0][0], path=long, node=long.replace(".", "_")),))
    text = shown(CutTable(plan.models[0], cuts, plan.prices[0]))
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "20.03   60.10    4.35  13.05" in text and "…" not in text


def test_the_rejected(plan):
    golden(
        RejectedTable(plan.cuts[0].rejected),
        """
Not a cut: 1
path      node          why
───────────────────────────────────────────────────────────
layer1.0  layer1_0_add  another value crosses: layer1_0_bn2
""",
    )
    wordy = Rejected("a" * 60, "b" * 60, "because " * 20)
    assert all(len(line) <= 80 for line in shown(RejectedTable([wordy])).splitlines())
    assert shown(RejectedTable([])) == "Every value is a cut.\n"


def test_the_heat_map_without_colour(plan):
    golden(
        heat_map(plan),
        """
cka-unbiased, 1297 images  down: resnet, across: plain
  0 stem     9   4
  1 layer1.0 8   6
  2 layer2.0 .   9
             0   1
             7 means 0.7 to 0.8, 9 at least 0.9, . below 0;
             lowest -0.020, highest 0.934
""",
    )


@pytest.mark.parametrize("colours", [None, "standard", "256", "truecolor"])
def test_a_large_heat_map_fits_and_says_what_it_left_out(colours):
    matrix = np.linspace(0, 1, 120 * 200).reshape(120, 200)
    map = HeatMap(matrix, [f"blocks.{i}" for i in range(120)], [f"{i}" for i in range(200)], down="a", across="b")
    text = render([map], colours=colours)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = plain.splitlines()
    assert all(len(line) <= 80 for line in lines) and len(lines) < 60
    assert "shown: 48 of 120 cuts down" in plain and "of 200 across" in plain
    assert "blocks.0 " in plain and ("blocks.119" in plain) == (colours not in ("256", "truecolor"))
    assert ("▀" in plain) == (colours in ("256", "truecolor"))


def test_the_heat_map_s_half_blocks_are_two_rows_a_line():
    map = HeatMap(np.array([[0.0], [1.0], [np.nan]]), ["x", "y", "z"], ["u"], down="a", across="b")
    lines = render([map], colours="truecolor").splitlines()
    assert "38;2;68;1;84;48;2;253;231;37m▀▀▀▀" in lines[1]
    assert "38;2;128;128;128m▀▀▀▀" in lines[2]
    assert "2 z ?" in render([map])


def test_the_candidates(plan):
    golden(
        CandidateTable(plan, 3),
        """
Candidates: 3 of 6, 5 within the budget
front resnet, back plain
                                                  params  MACs  FLOPs
#  front cut   back cut      similarity  adapter     (k)   (M)    (M)  fits
───────────────────────────────────────────────────────────────────────────
1  0 stem      0 features.3       0.912  linear    30.00  3.00   6.00  yes
2  1 layer1.0  0 features.3       0.874  linear    32.00  4.00   8.00  yes
3  1 layer1.0  1 features.6       0.655  linear    33.00  4.50   9.00  yes
""",
    )


def with_two_sizes(plan, names):
    """The plan with long names, both models at a smaller size too, and its last candidates stitched there, turned
    round."""
    models = tuple(replace(model, name=name) for model, name in zip(plan.models, names, strict=True))
    smaller = tuple(model.at((*model.input.size[:1], 6, 6)) for model in models)
    table, late = plan.candidates, np.arange(6) >= 2
    front, back = (np.where(late, there, here).astype(np.int32) for here, there in ((0, 3), (1, 2)))
    cuts = (*plan.cuts, plan.cuts[0], plan.cuts[1])
    table = replace(
        table, front_model=front, back_model=back,
        front_cut=np.where(late, table.back_cut, table.front_cut).astype(np.int32),
        back_cut=np.where(late, table.front_cut, table.back_cut).astype(np.int32),
    )  # fmt: skip
    return replace(plan, models=(*models, *smaller), cuts=cuts, candidates=table)


def test_candidates_of_both_directions_name_their_models_by_letters_where_names_are_long(plan):
    golden(
        CandidateTable(with_two_sizes(plan, ["timm/mobilenetv3_small_100", "timm/efficientnet_lite0"]), 3),
        """
Candidates: 3 of 6, 5 within the budget
A: mobilenetv3_small_100, B: efficientnet_lite0
                                                       params  MACs  FLOPs
#  front cut       back cut       similarity  adapter     (k)   (M)    (M)  fits
────────────────────────────────────────────────────────────────────────────────
1  A 0 stem        B 0                 0.912  linear    30.00  3.00   6.00  yes
                   features.3
2  B@6x6 0         A@6x6 1             0.874  linear    32.00  4.00   8.00  yes
   features.3      layer1.0
3  B@6x6 1         A@6x6 1             0.655  linear    33.00  4.50   9.00  yes
   features.6      layer1.0
""",
    )
    text = shown(CandidateTable(with_two_sizes(plan, ["digits/resnet", "digits/plain"]), 3))
    assert "resnet 0 stem" in text and "plain@6x6 0" in text and "A:" not in text


def test_the_chain_on_one_line_and_on_several(plan):
    chain = plan_document(plan)["chain"]
    golden(
        ChainLine(chain),
        """
resnet ──[ input → stem ]══ conv3x3 16→16 ══[ features.3 → output ]── plain
""",
    )
    golden(
        ChainLine(chain),
        """
resnet ──[ input → stem ]══
    ══ conv3x3 16→16 ══
        ══[ features.3 → output ]── plain
""",
        width=60,
    )


def test_parents_and_hybrid(plan):
    on = "digits?split=test"
    parents = [Accuracy(on, 500, 0.984, 1.0), Accuracy(on, 500, 0.958, 1.0)]
    record = plan_document(plan, accuracy=Accuracy(on, 500, 0.954, 0.999), parents=parents)
    golden(
        ParentTable(record),
        """
                 resnet     plain   hybrid    of resnet     of plain
────────────────────────────────────────────────────────────────────
params           80.1 k    25.3 k   30.0 k         37 %        118 %
MACs             17.4 M    2.11 M   3.00 M         17 %        142 %
FLOPs            34.8 M    4.23 M   6.00 M         17 %        142 %
weights file    313 KiB  99.0 KiB  117 KiB         37 %        118 %
top-1 accuracy   98.4 %    95.8 %   95.4 %  −3.0 points  −0.4 points
Accuracy on 500 images of digits?split=test.
""",
    )
    assert "what their records state" in shown(ParentTable(plan_document(plan)))


def test_a_model_that_was_tuned_is_no_hybrid(plan):
    record = plan_document(plan)
    record["chain"] = record["chain"][:1]
    assert "this one" in shown(ParentTable(record)) and "hybrid" not in shown(ParentTable(record))
    assert shown(ParentTable(record | {"tuned": [{}]})).split("\n")[0].split()[2] == "tuned"


def test_the_choice(plan):
    golden(
        Choice(plan_document(plan)),
        """
resnet ──[ input → stem ]══ conv3x3 16→16 ══[ features.3 → output ]── plain

similarity 0.912 (cka-unbiased), one of 5 feasible of 6 candidates
budget: 6.00 MFLOPs of 10.0 MFLOPs at most
adapter conv3x3: 4.64 k params, 296 k MACs, unexplained variance 8.3 %
""",
    )


def test_the_checks(plan):
    golden(
        Checks(plan_document(plan)["verified"]),
        """
Verified at batch 1 and 3: largest difference from the stitched graph
                  absolute  relative
────────────────────────────────────
generated module   1.2e-07   3.0e-08
ONNX Runtime       2.4e-06   1.1e-06
They agree on the class of 100.0 % of the images.
""",
    )


def test_the_files(tmp_path, fill, monkeypatch):
    (tmp_path / "out").mkdir()
    fill(tmp_path / "out")
    monkeypatch.chdir(tmp_path)
    from pathlib import Path

    golden(
        Files(Path("out")),
        """
out/
file                size  what it is
─────────────────────────────────────────────────────────────
model.py           178 B  the network: torch and nothing else
model.safetensors    7 B  its weights
""",
    )


def test_the_cost():
    price = Price(params=25_346, macs=2_113_536, size=102_400)
    golden(
        CostTable("plain", price),
        """
plain
metric    value    exactly  unit     of what
──────────────────────────────────────────────────────────────────
params   25.3 k     25,346  numbers  trainable, shared ones once
macs     2.11 M  2,113,536  MACs     multiply-adds, one image
flops    4.23 M  4,227,072  FLOPs    two a multiply-add, one image
size    100 KiB    102,400  bytes    of the weights file
""",
    )


def test_accuracy_and_notes():
    found = Accuracy("digits?split=test", 500, 0.958, 0.998)
    assert (
        shown(AccuracyLine("plain", found)) == "plain  top-1 95.8 %, top-5 99.8 %, on 500 images of digits?split=test\n"
    )
    assert shown(Notes(["one", "two"])) == "note: one\nnote: two\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_every_report_survives_a_narrow_encoding(plan, encoding):
    text = render(CompileReport.of(plan).parts(), encoding=encoding)
    text.encode(encoding)
    assert "?" not in text and "resnet --[ input -> stem ]==" in text


def test_the_page_is_self_contained_and_deterministic(plan):
    parts = CompileReport.of(plan).parts()
    text = page("<resnet> {x}", parts)
    assert text == page("<resnet> {x}", CompileReport.of(plan).parts())
    assert "<title>stitchc: &lt;resnet&gt; {x}</title>" in text
    assert "http://" not in text and "https://" not in text and "layer1.0" in text


def test_the_readme_of_an_artifact(plan):
    text = readme(plan_document(plan))
    assert text.startswith("# resnet + plain, stitched\n")
    for needed in (
        "from model import load",
        "`digits/resnet`: MIT",
        "CC BY 4.0",
        "was not measured",
        "| **hybrid** | 30.0 k |",
    ):
        assert needed in text, needed
    unlicensed = replace(plan, models=(replace(plan.models[0], licence=None), plan.models[1]))
    assert "no licence stated" in readme(plan_document(unlicensed))


def test_cuts_within_one_module_are_told_apart(plan):
    inner = replace(plan.cuts[0][0], path="layer1.0", node="layer1_0_relu", paths=("layer1.0.relu",))
    cuts = (replace(plan.cuts[0], cuts=(inner, *plan.cuts[0].cuts[1:])), plan.cuts[1])
    text = render(CompileReport.of(replace(plan, cuts=cuts)).parts())
    assert "0 layer1_0_relu" in text and "1 layer1.0" in text and "input → layer1_0_relu ]" in text


def test_long_names_of_models_do_not_crowd_the_figures(plan):
    names = ["mobilenet_v3_large_100.ra_in1k", "convnextv2_tiny.fcmae_ft_in22k_in1k_384"]
    models = tuple(replace(model, name=name) for model, name in zip(plan.models, names, strict=True))
    text = shown(ParentTable(plan_document(replace(plan, models=models))))
    assert text.startswith(f"A: {names[0]}\nB: {names[1]}\n\n")
    assert "hybrid  of A   of B\n" in text and "37 %  118 %" in text
