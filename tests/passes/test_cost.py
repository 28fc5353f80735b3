"""What networks, fragments and candidates take: exact for what is counted, named for what is not."""

import time
from dataclasses import dataclass, replace

import numpy as np
import pytest
import timm
import torch
import torchvision
from nets import Caches, Residual, Small, Tokens, Windows
from small_nets import CUTS, SIZE, Plain, Shared, graph_of, plan_of
from torch import nn

from stitchc.passes import Codegen, Cost, Partition, Plan, Price, Stitch, Trace, adapters
from stitchc.passes.adapters.footprint import Footprint
from stitchc.passes.adapters.linear import Linear
from stitchc.passes.cost.chains import price_of
from stitchc.passes.cost.count import count, total
from stitchc.passes.cost.fragments import fragment_prices
from stitchc.passes.cost.table import directed_pairs
from stitchc.passes.data.errors import CutError, InputError
from stitchc.passes.data.weights_file import Entry, file_bytes
from stitchc.passes.emit.load import load_module
from stitchc.passes.graphs.conventions import by_name, dependencies, output, reachable


def test_a_node_costs_its_products_and_its_parameters():
    costs = {c.node: c for c in count(graph_of(Plain(4)), SIZE).costs}
    assert costs["conv1"].macs == 3 * 4 * 9 * 64
    assert costs["conv2"].macs == 4 * 8 * 9 * 16
    assert costs["head"].macs == 8 * 5
    assert [n for n, c in costs.items() if c.macs] == ["conv1", "conv2", "head"]
    assert {n: sum(s.params for s in c.stored) for n, c in costs.items() if c.stored} == {
        "conv1": 3 * 4 * 9 + 4,
        "conv2": 4 * 8 * 9,
        "bn": 16,
        "head": 45,
    }
    assert not any(c.uncounted for c in costs.values())


class Odd(nn.Module):
    """Products that torch's own counter misses, kernels that hide theirs, and operators without a formula."""

    def __init__(self, what: str):
        super().__init__()
        self.what = what
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.lstm = nn.LSTM(8, 16, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.reshape(1, 24, 8)
        if self.what == "leaf":
            return self.attention(tokens, tokens, tokens, need_weights=False)[0]
        if self.what == "function":
            return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        if self.what == "vector":
            return tokens @ torch.ones(8)
        if self.what == "lstm":
            return self.lstm(tokens)[0]
        return torch.fft.rfft2(torch.fft.rfft2(tokens).abs()).abs()


@pytest.mark.parametrize(
    ("what", "macs", "uncounted"),
    [
        ("leaf", 24 * 8 * 32 + 2 * 24 * 24 * 8, {}),
        ("function", 2 * 24 * 24 * 8, {}),
        ("vector", 24 * 8, {}),
        ("lstm", 24 * (8 * 64 + 16 * 64), {}),
        ("fourier", 0, {"fft_r2c": 2}),
    ],
)
def test_attention_is_its_two_products_and_what_has_no_formula_is_named(what, macs, uncounted):
    price, unknown = total(Odd(what).eval(), SIZE)
    # An inner Fourier transform over a second axis is complex to complex where the library splits it.
    assert (price["macs"], {k: v for k, v in unknown.items() if k != "fft_c2c"}) == (macs, uncounted)


def test_counting_leaves_no_trace():
    before = torch.backends.mha.get_fastpath_enabled()
    net = Plain()
    state = {k: v.clone() for k, v in net.state_dict().items()}
    count(graph_of(net), SIZE)
    assert torch.backends.mha.get_fastpath_enabled() == before
    assert all(torch.equal(v, state[k]) for k, v in net.state_dict().items())
    assert torch.zeros(1).device.type == "cpu" and type(torch.zeros(1)) is torch.Tensor


def test_counting_needs_no_weights():
    with torch.device("meta"):
        empty = Plain()
    assert total(empty, SIZE)[0] == total(Plain(), SIZE)[0]


@pytest.mark.parametrize(
    ("name", "gmacs"),
    [("resnet50", 4.089), ("swin_t", 4.491), ("vit_b_32", 4.409), ("densenet121", 2.834), ("vit_small", 4.599)],
)
def test_published_networks_cost_what_is_known(name, gmacs):
    with torch.device("meta"):
        library = {"vit_small": lambda: timm.create_model("vit_small_patch16_224")}
        net = library.get(name, lambda: getattr(torchvision.models, name)(weights=None))().eval()
    price, uncounted = total(net, (3, 224, 224))
    assert round(price["macs"] / 1e9, 3) == gmacs
    assert price["params"] == sum(p.numel() for p in net.parameters())
    assert uncounted == {}


@pytest.mark.parametrize(("name", "macs"), [("deit_tiny", 1_253_683_200), ("vit_b_32", 4_409_186_304)])
def test_attention_costs_the_same_under_every_torch(name, macs):
    with torch.device("meta"):
        library = {"deit_tiny": lambda: timm.create_model("deit_tiny_patch16_224")}
        net = library.get(name, lambda: getattr(torchvision.models, name)(weights=None))().eval()
    assert total(net, (3, 224, 224))[0]["macs"] == macs


def by_walking(counted, cut):
    """(params, macs, bytes) of both sides of a cut by definition: all that the cut needs, and all that the output needs
    besides."""
    graph = counted.program.graph
    needs, costs = dependencies(graph), {c.node: c for c in counted.costs}
    node = by_name(graph)[cut]
    before = reachable(node, needs)
    after = reachable(output(graph), needs | {node: ()}) - {node}
    return tuple(_sum([costs[n.name] for n in side]) for side in (before, after))


def _sum(costs):
    stored = {s for c in costs for s in c.stored}
    return sum(s.params for s in stored), sum(c.macs for c in costs), file_bytes(s.entry for s in stored)


def figures(price):
    return price["params"], price["macs"], price["size"]


@pytest.mark.parametrize(("net", "cuts"), [(Plain(), CUTS), (Shared(), ("add_1", "mid", "mul", "first_1"))])
def test_a_fragment_costs_what_the_nodes_that_it_needs_cost(net, cuts):
    counted = count(graph_of(net), SIZE)
    prices = fragment_prices(counted, cuts)
    for cut, before, after in zip(cuts, prices.before, prices.after, strict=True):
        assert (figures(before), figures(after)) == by_walking(counted, cut)


@pytest.mark.parametrize("kind", [Small, Residual, Windows, Tokens, Caches])
def test_traced_graphs_are_priced_by_the_same_rule(kind):
    net = kind()
    channels = 4 if kind is Residual else 3
    plan = Cost()(Partition()(Trace()(Plan.of(net, images=torch.zeros(2, channels, 8, 8)))))
    counted = count(plan.graphs[0], (channels, 8, 8))
    kept = {n.meta["origin"]: n.name for n in counted.program.graph.nodes if "origin" in n.meta}
    assert len(plan.cuts[0]) >= 1
    for cut in plan.cuts[0].cuts:
        if cut.node in kept:
            assert (figures(cut.before), figures(cut.after)) == by_walking(counted, kept[cut.node])
        assert cut.before["macs"] + cut.after["macs"] == plan.prices[0]["macs"]
    price, _ = total(net.eval(), (channels, 8, 8))
    assert (plan.prices[0]["macs"], plan.prices[0]["params"]) == (price["macs"], price["params"])


def test_a_candidate_costs_what_is_written_for_it(tmp_path):
    plan = Partition()(Trace()(Plan.of(Small(8), Tokens(), images=torch.zeros(2, 3, 8, 8))))
    plan = Cost(direction="both")(plan)
    assert len(plan.candidates) > 50
    for row in range(0, len(plan.candidates), 17):
        price = plan.candidates.price(row)
        Codegen(tmp_path / str(row))(Stitch()(replace(plan, choice=(plan.candidates[row],))))
        written = load_module(tmp_path / str(row))
        own, _ = total(written, SIZE)
        assert own | {"memory": price["memory"]} == price
        assert price["memory"] <= own["memory"]  # variables hold a little longer than the last use
        assert (tmp_path / str(row) / "model.safetensors").stat().st_size == price["size"]
        again = Cost()(Partition()(Trace()(Plan.of(written, images=torch.zeros(2, 3, 8, 8)))))
        assert again.prices[0] == price


def test_before_plus_after_is_the_whole():
    prices = fragment_prices(count(graph_of(Plain()), SIZE), CUTS)
    assert prices.whole == total(Plain().eval(), SIZE)[0]
    image = 4 * 3 * 8 * 8
    for before, after in zip(prices.before, prices.after, strict=True):
        added = {"size": before["size"] + after["size"]}
        assert before + after == Price({**prices.whole, "memory": None}) | added
        assert 0 <= before["size"] + after["size"] - prices.whole["size"] <= 50  # a second header
        assert prices.whole["memory"] <= max(before["memory"], image + after["memory"])


class Table(nn.Module):
    """A large table that depends on no image is computed in two steps, and a small one of it is read in the end."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(8, 1))
        self.first, self.second = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bias = torch.relu(self.table.expand(8, 1000) + 1).sum(1)
        return self.second(self.first(x)) + bias.view(1, 8, 1, 1)


def test_what_depends_on_no_image_takes_memory_while_it_is_computed():
    prices = fragment_prices(count(graph_of(Table()), SIZE), ["first"])
    image, column, steps = 4 * 3 * 8 * 8, 4 * 8 * 8 * 8, 2 * 4 * 8 * 1000
    assert prices.whole["memory"] == total(Table().eval(), SIZE)[0]["memory"] == image + steps
    assert prices.before[0]["memory"] == image + column
    assert prices.after[0]["memory"] == column + steps


def test_what_both_sides_use_belongs_to_both():
    prices = fragment_prices(count(graph_of(Shared()), SIZE), ["mid"])
    shared = 12 + 32  # the convolution that is used twice, and the two tables
    assert prices.whole["params"] == 12 + 84 + 32 + 1
    assert prices.before[0]["params"] == shared + 84
    assert prices.after[0]["params"] == shared + 1
    product = 8 * 2 * 8
    assert prices.whole["macs"] == 2 * 9 * 64 + 81 * 64 + product
    assert (prices.before[0] + prices.after[0])["macs"] == prices.whole["macs"] + product


def test_dead_nodes_are_free():
    graph = graph_of(Plain())
    with graph.graph.inserting_after(by_name(graph.graph)["conv1"]):
        graph.graph.call_module("conv2", (by_name(graph.graph)["conv1"],))
    prices = fragment_prices(count(graph, SIZE), ["relu1"])
    assert prices.whole == total(Plain().eval(), SIZE)[0]


@pytest.mark.parametrize(
    ("direction", "pairs"),
    [("slow-to-fast", [(1, 0)]), ("fast-to-slow", [(0, 1)]), ("given", [(0, 1)]), ("both", [(1, 0), (0, 1)])],
)
def test_the_direction_says_which_model_is_the_front(direction, pairs):
    assert list(directed_pairs([Price(macs=1), Price(macs=2)], direction)) == pairs


@pytest.mark.parametrize("direction", ["slow-to-fast", "fast-to-slow", "given"])
def test_models_that_cost_the_same_stay_as_given(direction):
    assert list(directed_pairs([Price(macs=2)] * 2, direction)) == [(0, 1)]
    assert list(directed_pairs([Price(macs=2)] * 2, "both")) == [(0, 1), (1, 0)]
    assert len(list(directed_pairs([Price(macs=2)] * 4, direction))) == 6


class Pixels:
    """A stand-in for an adapter: joins maps of any width, and costs a number for each channel."""

    asked = 0
    folds = False
    words = ""

    @classmethod
    def simplest(cls, front, back):
        return cls

    @classmethod
    def price(cls, front, back):
        cls.asked += 1
        if front.layout != back.layout:
            return "only maps to maps"
        return Price(params=10 * front.channels, macs=100 * back.channels, size=7, memory=28)

    @classmethod
    def footprint(cls, front, back):
        return Footprint((Entry("project.weight", (10, front.channels)),), 28)


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(adapters, "get", lambda name: Pixels)
    monkeypatch.setattr(adapters, "expand", lambda name: (name,))
    Pixels.asked = 0


def test_a_candidate_costs_its_fragments_and_its_adapter(stand_in):
    plan = Cost(adapters=("x", "y"), direction="slow-to-fast")(plan_of(Plain(4), Plain(6)))
    table = plan.candidates
    assert plan.prices[1]["macs"] > plan.prices[0]["macs"]
    for row in range(len(table)):
        candidate = table[row]
        assert (candidate.front[0], candidate.back[0]) == (1, 0)
        front, back = plan.cuts[1][candidate.front[1]], plan.cuts[0][candidate.back[1]]
        joint = Pixels.price(front.value, back.value)
        added = front.before + joint + back.after
        assert candidate.price == added | {name: candidate.price[name] for name in ("size", "memory")}
        assert np.isnan(candidate.similarity) and candidate.feasible


def test_every_pair_that_an_adapter_can_join_is_there_once(stand_in):
    table = Cost(adapters=("x", "y"), direction="slow-to-fast")(plan_of(Plain(4), Plain(6))).candidates
    rows = set(zip(table.front_cut.tolist(), table.back_cut.tolist(), table.adapter.tolist(), strict=True))
    maps, vectors = 6, 1
    assert len(rows) == len(table) == 2 * (maps * maps + vectors * vectors)
    assert Pixels.asked == 2 * 4 * 4  # four distinct values on each side: maps of three sizes, and a vector


def test_one_model_is_a_candidate_with_parts_of_itself_left_out():
    plan = Cost(adapters=("linear",))(plan_of(Plain()))
    assert plan.prices == (total(Plain(), SIZE)[0],) and plan.cuts[0][0].before["params"] == 112
    table = plan.candidates
    assert len(table) and (table.front_cut < table.back_cut).all()
    assert not table.front_model.any() and not table.back_model.any()
    for row in range(len(table)):
        assert table[row].price == price_of(plan, table[row].chain)
    assert len(Cost(adapters=())(plan_of(Plain())).candidates) == 0


def test_an_adapter_that_joins_nothing_leaves_no_candidates():
    """Blocks of transformers join tokens, and these networks have none."""
    assert len(Cost(adapters=("transformer",))(plan_of(Plain(), Plain())).candidates) == 0


def test_a_model_may_be_joined_with_itself():
    net = Plain()
    plan = Cost(adapters=("linear",), direction="slow-to-fast")(plan_of(net, net))
    same = [i for i in range(len(plan.candidates)) if plan.candidates[i].front[1] == plan.candidates[i].back[1]]
    assert len(same) == len(CUTS)


def test_words_that_are_none_are_refused():
    with pytest.raises(InputError, match="no value of `direction`") as caught:
        Cost(direction="slow-to-fats")(plan_of(Plain(), Plain()))
    assert "slow-to-fast" in caught.value.hint
    with pytest.raises(CutError, match="no adapter"):
        Cost(adapters=("conv3x4",))(plan_of(Plain(), Plain()))


def test_pricing_many_cuts_is_no_walk_for_each():
    """2,000 nodes and 1,000 cuts, in a small part of the time that a walk for each cut takes."""
    graph = graph_of(nn.Sequential(*[nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in range(1000)]))
    counted = count(graph, (3, 8, 4))
    start = time.process_time()
    prices = fragment_prices(counted, [c.node for c in counted.costs[1:-1:2]])
    assert time.process_time() - start < 2
    assert [p["macs"] for p in prices.before[:3]] == [384, 768, 1152]


def test_an_adapter_without_a_closed_form_is_counted():
    """A table of candidates, and the price of a chain, are the same as with one."""

    @dataclass(frozen=True)
    class Uncosted(Linear):
        def cost(self, front, back):
            return Price()

    adapters.register("uncosted")(Uncosted)
    try:
        plan = Partition()(Trace()(Plan.of(Small(8), Tokens(), images=torch.zeros(2, 3, 8, 8))))
        counted, told = (Cost(adapters=(name,))(plan) for name in ("uncosted", "linear"))
        assert len(told.candidates) == len(counted.candidates) > 20
        for row in range(0, len(told.candidates), 11):
            assert counted.candidates.price(row) == told.candidates.price(row)
            assert price_of(counted, counted.candidates[row].chain) == told.candidates.price(row)
    finally:
        adapters._ADDED.pop("uncosted")
        adapters.get.cache_clear()
