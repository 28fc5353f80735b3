"""`stitchc cost` and `compare --pareto` on networks of the embedded zoo."""

import copy
import json

import pytest
import torch
from thop import profile

import stitchc
from stitchc.cli import main
from stitchc.examine import counted_by_conventions, stages
from stitchc.other_counters import compare_counters
from stitchc.passes.data.errors import ModelError
from stitchc.report.cost import ConventionTable, CounterTable, StageTable
from stitchc.report.pareto import ParetoTable
from stitchc.report.terminal import render


@pytest.fixture(scope="module")
def plain():
    return stitchc.cost("digits/plain")


@pytest.mark.parametrize("depth", [1, 2, 9])
def test_the_stages_add_up_to_the_network(plain, depth):
    parts, price = stages(plain, depth), plain.prices[0]
    for metric in ("params", "macs"):
        assert sum(part.sums[metric] for part in parts) == price[metric]
    assert max(part.memory_bytes for part in parts) == price["memory"]
    assert 0 < price["size"] - sum(part.weights_bytes for part in parts) < 200 * len(plain.cuts[0])  # the header
    assert len({part.path for part in parts}) == len(parts)


def test_cost_prints_one_document(capfd):
    assert main(["cost", "digits/plain", "--conventions", "--depth", "2", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["schema"] == 1 and document["uncounted"] == {}
    assert document["cost"]["memory_bytes"] > 0 and document["cost"]["latency_ms"] is None
    assert (
        document["conventions"]["totals"]["macs"]
        == document["cost"]["macs"]
        == sum(stage["macs"] for stage in document["stages"])
    )
    assert document["conventions"]["totals"]["thop"] > document["cost"]["macs"] and document["conventions"]["why"]


def test_other_counters_are_run_and_what_they_miss_is_said(capfd):
    assert main(["cost", "digits/vit", "--check", "--json"]) == 0
    check = json.loads(capfd.readouterr().out)["check"]
    net = stitchc.cost("digits/vit")
    module = net.models[0].module
    thop, _ = profile(copy.deepcopy(module), inputs=(torch.zeros(1, *net.models[0].input.size),), verbose=False)
    assert check["macs"]["stitchc"] == net.prices[0]["macs"] and check["macs"]["thop"] == thop
    assert check["macs"]["thop"] < check["macs"]["stitchc"] and "thop sees classes" in check["why"][0]
    short = check["macs"]["stitchc"] - check["macs"]["torch"]  # attention, before torch 2.15
    assert any("torch" in reason and f"(0 for our {short:,})" in reason for reason in check["why"]) == (short > 0)
    assert not hasattr(module, "total_ops")  # it was counted on a copy


def test_a_counter_that_fails_is_told(plain, monkeypatch):
    def fail(*_, **__):
        raise KeyError("a layer")

    monkeypatch.setattr("thop.profile", fail)
    found = compare_counters(plain)
    assert found.macs["thop"] is None and found.macs["torch"] == found.macs["stitchc"] == plain.prices[0]["macs"]
    assert found.why == ["thop failed: KeyError: 'a layer'"]
    assert all(len(line) <= 80 for line in render([CounterTable(found)]).splitlines())


def test_latency_is_measured_when_asked_for(capfd):
    assert main(["cost", "digits/plain", "--latency", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["cost"]["latency_ms"] == document["latency"]["median_ms"] > 0
    assert document["latency"]["device"].startswith("cpu") and document["latency"]["runs"] >= 11


def test_reports_fit_80_columns(plain):
    for part in (StageTable(stages(plain)), ConventionTable(*counted_by_conventions(plain))):
        assert all(len(line) <= 80 for line in render([part]).splitlines())


def test_strict_refuses_what_has_no_formula(monkeypatch, tmp_path):
    (tmp_path / "nets.py").write_text(
        "import torch\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        "        return torch.fft.rfft(x.flatten(1)).abs()\n"
        "make = Net\n"
    )
    words = f"{tmp_path}/nets.py:make?input=1x8x8"
    assert stitchc.cost(words).uncounted[0] == {"fft_r2c": 1}
    with pytest.raises(ModelError, match=r"no formula: fft_r2c \(1\)"):
        stitchc.cost(words, strict=True)


def test_the_pareto_front_is_drawn(plan):
    text = render([ParetoTable(plan, ("macs", "similarity"), [0, 4], 4)])
    assert text.startswith("Pareto front over MACs and similarity: 2 of 2")
    assert text.count("knee") == 1 and all(len(line) <= 80 for line in text.splitlines())


def test_words_of_a_pareto_front_are_checked_before_anything_runs(capfd):
    assert main(["compare", "digits/resnet", "digits/plain", "--pareto", "macs"]) == 2
    assert "Name two: macs,similarity." in capfd.readouterr().err
