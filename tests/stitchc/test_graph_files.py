"""The graph of a model as a file for Mermaid, Graphviz and Model Explorer, and its multiply-adds as an overlay."""

import json
import re
import shutil
import subprocess

import pytest
from torch import nn

import stitchc
from stitchc.cli import main
from stitchc.passes.data.model import InputSpec, Model
from stitchc.report.graph_files import WRITERS, dot, explorer, mermaid, node_macs


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.left, self.right = (nn.Conv2d(1 if k == 0 else 2, 2, 1) for k in range(3))
        self.head = nn.Linear(2 * 16, 3)

    def forward(self, x):
        x = self.stem(x)
        return self.head((self.left(x) + self.right(x)).flatten(1))


@pytest.fixture(scope="module")
def plan():
    return stitchc.inspect(Model("net", InputSpec((1, 4, 4), (0.0,), (1.0,)), module=Branches().eval()))


def test_mermaid_has_every_node_and_edge_and_marks_the_cuts(plan):
    text = mermaid(plan)
    names = re.findall(r"^  (n\d+)[\[(]", text, re.M)
    edges = re.findall(r"^  (n\d+) --> (n\d+)$", text, re.M)
    assert text.startswith("flowchart TB\n") and len(names) == len(set(names)) == len(list(plan.graphs[0].graph.nodes))
    assert len(edges) == sum(len(node.all_input_nodes) for node in plan.graphs[0].graph.nodes)
    assert text.count(":::cut") == len(plan.cuts[0]) and "cut 0: 2×4×4" in text


def test_graphviz_has_every_node_and_edge_and_marks_the_cuts(plan):
    text = dot(plan)
    assert text.count(" -> ") == mermaid(plan).count(" --> ") and text.count("style=rounded") == len(plan.cuts[0])
    if shutil.which("dot"):
        subprocess.run(["dot", "-Tsvg"], input=text, text=True, check=True, capture_output=True)


def test_model_explorer_reads_nodes_by_the_names_that_the_overlay_has(plan):
    (graph,) = json.loads(explorer(plan))["graphs"]
    ids = [node["id"] for node in graph["nodes"]]
    assert all(edge["sourceNodeId"] in ids for node in graph["nodes"] for edge in node["incomingEdges"])
    assert {cut.node for cut in plan.cuts[0].cuts} <= set(ids)
    macs = node_macs(plan)
    assert set(macs) <= set(ids) and sum(macs.values()) == plan.prices[0]["macs"]
    assert macs["stem"] == 2 * 16 and macs["head"] == 3 * 32


@pytest.mark.parametrize("text", ['a"] --> b', "<script>", 'x"; y', "back\\slash"])
def test_names_of_others_are_text_in_a_label(text):
    layers = {re.sub(r'[."\\]', "", text): nn.Conv2d(1, 2, 1)}
    network = nn.Sequential(nn.ModuleDict(layers)[next(iter(layers))], nn.Flatten(), nn.Linear(32, 2)).eval()
    plan = stitchc.inspect(Model(text, InputSpec((1, 4, 4), (0.0,), (1.0,)), module=network))
    for write in WRITERS.values():
        assert write(plan).isascii() or "×" in write(plan)
    assert not re.search(r"[<>](?!br/>)", re.sub(r"<br/>| --> |flowchart TB", "", mermaid(plan)))
    assert text in json.loads(explorer(plan))["label"]


def test_the_command_writes_each_once(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("net.mmd", "net.dot", "net.json"):
        assert main(["inspect", "digits/plain", "--plot", name, "--overlay", "macs.json", "--force"]) == 0
    capfd.readouterr()
    overlay = json.loads((tmp_path / "macs.json").read_text())
    assert set(overlay) == {"model"} and overlay["model"]["results"]
    assert main(["inspect", "digits/plain", "--plot", "net.mmd"]) == 2
    assert "exists already" in capfd.readouterr().err
    assert main(["inspect", "digits/plain", "--plot", "net.gif"]) == 2
    assert ".mmd, .dot, .json" in capfd.readouterr().err
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [
        ".dot", ".json", ".json", ".mmd",
    ]  # fmt: skip
