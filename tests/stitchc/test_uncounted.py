"""Operators without a formula: named wherever a price is shown, and a budget in MACs or FLOPs over them is refused."""

import json

import pytest
import torch

import stitchc
from stitchc.cli import main
from stitchc.passes import Cost, Partition, Plan, Select, Trace
from stitchc.passes.data.errors import QuantityError
from stitchc.zoo import load

NETS = """
import torch
from torch import nn

@torch.library.custom_op("stitchc_example::smooth", mutates_args=())
def smooth(x: torch.Tensor) -> torch.Tensor:
    return x / 2

@smooth.register_fake
def _(x):
    return torch.empty_like(x)

class Net(nn.Module):
    def __init__(self, width, between):
        super().__init__()
        torch.manual_seed(width)
        self.one, self.two = nn.Conv2d(1, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(width, 10)
        self.between = between

    def forward(self, x):
        x = self.between(torch.relu(self.one(x)))
        return self.head(torch.relu(self.two(x)).mean((2, 3)))

def custom(): return Net(8, torch.ops.stitchc_example.smooth)
def fourier(): return Net(8, lambda x: torch.fft.fft2(x).abs() / 8)
def plain(): return Net(6, torch.relu)
"""
NAMES = {"custom": "stitchc_example::smooth", "fourier": "fft_c2c"}


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """MODEL words by the name of a network."""
    path = tmp_path_factory.mktemp("uncounted") / "nets.py"
    path.write_text(NETS)
    return {name: f"{path}:{name}?input=1x8x8" for name in (*NAMES, "plain")}


def document(capfd, *arguments, status=0):
    found = main([*arguments, "--json"])
    said = capfd.readouterr()
    assert found == status, said.out + said.err
    return json.loads(said.out)


def test_networks_of_one_file_keep_the_operators_that_it_defines(words):
    first, second = (load(words[name]).network for name in ("custom", "custom"))
    images = torch.randn(2, 1, 8, 8)
    assert torch.equal(first(images), second(images)) and first.between is second.between


SMALL = ["--data", "digits", "--probe-images", "32", "--rank", "cka"]


@pytest.mark.parametrize(("net", "operator"), NAMES.items())
def test_they_are_named_by_inspect_and_compare(capfd, words, net, operator):
    inspected = document(capfd, "inspect", words[net])
    compared = document(capfd, "compare", words[net], words["plain"], *SMALL)
    for found in (inspected, compared):
        assert found["uncounted"] == {operator: 1}
        assert [f"{operator} (1)" in note for note in found["notes"]] == [True]
    assert main(["inspect", words[net]]) == 0
    assert f"{operator} (1)" in " ".join(capfd.readouterr().out.split())


@pytest.mark.parametrize("verb", ["compare", "compile"])
@pytest.mark.parametrize(("budget", "metric"), [("60%", "macs"), ("flops=1M", "params")])
def test_a_budget_over_them_is_refused(capfd, words, verb, budget, metric):
    pair = words["plain"], words["custom"]
    error = document(capfd, verb, *pair, *SMALL, "--budget", budget, "--metric", metric, status=2)["error"]
    assert "custom calls stitchc_example::smooth (1)" in error["message"] and "plain" not in error["message"]
    assert "--allow-uncounted" in error["hint"] and "params" in error["hint"]


def test_other_budgets_hold_over_them(capfd, words):
    pair = words["plain"], words["custom"]
    found = document(capfd, "compare", *pair, *SMALL, "--budget", "params=90%", "--budget", "memory=1MiB")
    assert found["candidates"]
    allowed = document(capfd, "compare", *pair, *SMALL, "--budget", "90%", "--allow-uncounted")
    assert allowed["candidates"]


@pytest.mark.parametrize(("front", "operators"), [("relu", {}), ("abs_1", {"fft_c2c": 1})])
def test_an_artifact_names_those_that_it_has(words, tmp_path, front, operators):
    """With the front up to the transform, or beyond it."""
    nodes = [cut.node for cut in stitchc.inspect(words["fourier"]).cuts[0].cuts]
    assert front in nodes
    out = tmp_path / "out"
    stitchc.compile(
        words["fourier"], words["plain"], front=front, budget="macs=95%", allow_uncounted=True, data="digits",
        probe_images=32, rank="cka", onnx=False, out=out,
    )  # fmt: skip
    record = json.loads((out / "plan.json").read_text())
    assert record["uncounted"] == operators
    assert any("fft_c2c (1)" in note for note in record["notes"])  # of the parent
    assert "allow_uncounted = true" in (out / "recipe.toml").read_text()
    for name in ("README.md", "report.html"):
        assert (out / name).read_text().count("fft_c2c (1)") == 1 + len(operators)
    assert stitchc.cost(out).uncounted[0] == operators


class Middle(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 4, 3)

    def forward(self, x):
        x = torch.fft.fft2(self.one(x)).abs()
        return torch.fft.ifft2(self.two(x)).abs().flatten(1)


def test_every_fragment_names_its_own():
    plan = Cost()(Partition()(Trace()(Plan.of(Middle(), Middle(), images=torch.zeros(2, 3, 8, 8)))))
    assert plan.uncounted[0] == {"fft_c2c": 2}
    counts = [(sum(c.uncounted_before.values()), sum(c.uncounted_after.values())) for c in plan.cuts[0].cuts]
    assert {sum(pair) for pair in counts} == {2} and {(0, 2), (1, 1), (2, 0)} >= set(counts) >= {(0, 2), (1, 1)}
    chosen = Select(front="one", back="two", budget={"macs": "100%"}, allow_uncounted=True)(plan)
    assert chosen.choice
    with pytest.raises(QuantityError, match="fft_c2c"):
        Select(front="one", back="two", budget={"macs": "100%"})(plan)
