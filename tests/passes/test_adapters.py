"""Adapters turn any value into any other that they accept, cost what they say, and are linear where they say so."""

import itertools
from dataclasses import fields
from importlib.metadata import EntryPoint, EntryPoints
from math import prod

import pytest
import torch
from another_package import Scaled
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from stitchc.passes import Price, Value, adapters
from stitchc.passes.adapters.footprint import footprint
from stitchc.passes.cost.adapter_prices import graph_of
from stitchc.passes.cost.count import count
from stitchc.passes.cost.fragments import fragment_prices
from stitchc.passes.data import plugins
from stitchc.passes.data.errors import CutError, InputError
from stitchc.passes.data.weights_file import file_bytes
from stitchc.passes.numerics.ridge import Moments, Solution, residual, solve
from stitchc.passes.trace.record import record

MAPS = Value((6, 8, 8), "NCHW", grid=(8, 8))
TINY_LAST = Value((2, 2, 16), "NHWC", grid=(2, 2))
SMALL_MAPS = Value((4, 4, 4), "NCHW", grid=(4, 4))
LAST = Value((8, 8, 5), "NHWC", grid=(8, 8))
SMALL_LAST = Value((4, 4, 7), "NHWC", grid=(4, 4))
TOKENS = Value((64, 6), "NLC", grid=(8, 8))
CLASS = Value((65, 3), "NLC", tokens=1, grid=(8, 8))
SMALL_CLASS = Value((17, 9), "NLC", tokens=1, grid=(4, 4))
REGISTERS = Value((21, 4), "NLC", tokens=5, grid=(4, 4))
VECTOR = Value((10,), "NC")
VALUES = [MAPS, SMALL_MAPS, LAST, SMALL_LAST, TINY_LAST, TOKENS, CLASS, SMALL_CLASS, REGISTERS, VECTOR]
LINEAR = [
    "linear",
    "conv3x3",
    "conv3x3?resize=before",
    "conv3x3?resize=strided&by=nearest",
    "linear?resize=strided&bias=no",
    "linear?by=area",
    "linear?tokens=concat",
    "conv5x5?resize=small&bias=no",
]
OTHERS = [
    "identity",
    "linear-relu?tokens=zeros",
    "conv3x3-relu?norm=both",
    "linear?norm=both&bias=no",
    "conv3x3?rank=2&norm=before",
    "linear?rank=1",
    "linear?tokens=learned",
    "linear?position=learned",
    "conv3x3?position=learned&tokens=learned&norm=after",
    "bottleneck",
    "bottleneck?tokens=zeros",
    "transformer?heads=1",
    "transformer?heads=1&tokens=learned&position=learned",
    "conv3x3-relu?steps=yes&norm=after&resize=strided",
    "bottleneck?steps=yes",
]


def joined(words: str) -> list[tuple[Value, Value]]:
    """The pairs of values that an adapter accepts."""
    kind = adapters.get(words)
    found = [(x, y) for x, y in itertools.product(VALUES, VALUES) if isinstance(kind.price(x, y), Price)]
    assert len(found) >= 2
    return found


@pytest.mark.parametrize("words", LINEAR + OTHERS)
def test_every_accepted_pair_is_joined_at_the_price_that_was_said(words):
    for front, back in joined(words):
        adapter = adapters.get(words)(front, back).eval()
        y = adapter(torch.randn(2, *front.shape))
        assert y.shape == (2, *back.shape) and y.is_contiguous(), (front, back)
        price = adapters.get(words).price(front, back)
        assert price["params"] == sum(p.numel() for p in adapter.parameters()), (front, back)
        stored = sum(t.numel() * t.element_size() for t in adapter.state_dict().values())
        assert price["size"] == stored, (front, back)
        with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
            adapter(torch.randn(1, *front.shape))
        assert 2 * price["macs"] == counter.get_total_flops(), (front, back)


@pytest.mark.parametrize("words", ["linear", "conv3x3", "conv3x3?resize=before"])
def test_the_closed_form_of_its_memory_and_weights_is_what_the_graph_has(words):
    for front, back in joined(words)[::3]:
        kind = adapters.get(words)
        said = kind.footprint(front, back)
        found = fragment_prices(count(record(kind(front, back).eval(), front.shape), front.shape), []).whole
        assert said.memory_bytes == found["memory"] - 4 * prod(front.shape), (front, back)
        assert file_bytes(said.entries) == found["size"], (front, back)


@pytest.mark.parametrize("words", LINEAR + OTHERS)
def test_both_ways_to_the_graph_of_an_adapter_give_the_same_calls(words):
    """What torch.fx makes of our own adapters, to count quickly, is what is recorded where they are stitched."""
    pairs = joined(words)
    for front, back in pairs[:: len(pairs) // 3 + 1]:
        adapter = adapters.get(words)(front, back).eval()
        ways = [count(graph, front.shape) for graph in (graph_of(adapter), record(adapter, front.shape))]
        assert len({tuple(cost.call for cost in way.costs if cost.call) for way in ways}) == 1, (front, back)


@pytest.mark.parametrize("name", ["bottleneck", "linear?norm=after", "identity"])
def test_what_has_no_closed_form_is_run(name):
    front, back = SMALL_MAPS, Value((4, 2, 2), "NCHW", grid=(2, 2))
    kind = adapters.get(name)
    assert kind.footprint(front, back) is None
    said = footprint(kind, front, back)
    found = fragment_prices(count(record(kind(front, back).eval(), front.shape), front.shape), []).whole
    assert said.memory_bytes >= found["memory"] - 4 * prod(front.shape) > 0
    assert file_bytes(said.entries) == found["size"]


@pytest.mark.parametrize("words", LINEAR)
def test_the_design_matrix_times_the_weights_is_the_adapter(words):
    for front, back in joined(words):
        adapter = adapters.get(words)(front, back).double()
        x = torch.randn(3, *front.shape, dtype=torch.float64)
        design = adapter.design(x)
        bias = 0 if adapter.project.bias is None else adapter.project.bias
        by_rows = design @ adapter.project.weight.flatten(1).T + bias
        torch.testing.assert_close(by_rows, adapter.target(adapter(x)))
        assert adapter.features == design.shape[-1] and adapter.exact
        keep = torch.stack([torch.randperm(design.shape[1])[:5] for _ in x])
        torch.testing.assert_close(adapter.design(x, keep), design[torch.arange(3)[:, None], keep])


@pytest.mark.parametrize(
    "words",
    [
        "conv3x3?norm=both&bias=no",
        "linear?norm=after",
        "linear?position=learned",
        "conv3x3?tokens=learned&position=learned",
    ],
)
def test_what_is_loaded_is_the_solution_whatever_stands_around_it(words):
    """Norms and positions are set so that the adapter is the linear map that was solved for."""
    for front, back in joined(words):
        adapter = adapters.get(words)(front, back).eval()
        x, y = torch.randn(40, *front.shape) + 1, 3 * torch.randn(40, *back.shape) - 2
        with torch.no_grad():
            if adapter.observes:
                for part in torch.arange(40).split(16):
                    adapter.observe(x[part], y[part])
            design, target = adapter.design(x), adapter.target(y)
            moments = Moments.zeros(adapter.features, back.channels)
            moments.add(design.flatten(0, 1), target.flatten(0, 1))
            solution = solve(moments, 1e-2, intercept=adapter.intercept)
            adapter.load(solution, moments)
            made = adapter.target(adapter(x)).double()
        torch.testing.assert_close(made, design.double() @ solution.weight.T + solution.bias, rtol=1e-4, atol=1e-4)


def test_a_low_rank_is_the_best_there_is():
    """Of all maps of rank 2 the one loaded leaves least, and one that has rank 2 is found again."""
    g = torch.Generator().manual_seed(0)
    adapter = adapters.get("linear?rank=2")(MAPS, LAST)
    x = torch.randn(500, 6, generator=g, dtype=torch.float64) @ torch.randn(6, 6, generator=g, dtype=torch.float64) + 5
    y = x @ torch.randn(6, 2, generator=g, dtype=torch.float64) @ torch.randn(2, 5, generator=g, dtype=torch.float64)
    y = y - 3
    noisy = y + torch.randn(500, 5, generator=g, dtype=torch.float64)
    for parameter in adapter.parameters():
        parameter.requires_grad_(False)
    for target, most in ((y, 1e-9), (noisy, 1.0)):
        moments = Moments.zeros(6, 5)
        moments.add(x, target)
        adapter.load(solve(moments, 1e-12), moments)
        reduce, project = (m.weight.flatten(1).double() for m in (adapter.reduce, adapter.project))
        left = residual(Solution(project @ reduce, adapter.project.bias.double(), 0.0), moments)
        assert left < most
        for _ in range(20):
            other = project @ (reduce + 0.01 * torch.randn(reduce.shape, generator=g, dtype=torch.float64))
            bias = (moments.y - other @ moments.x) / moments.count
            assert left < residual(Solution(other, bias, 0.0), moments) + 1e-12


@pytest.mark.parametrize("name", ["linear", "conv3x3-relu?norm=both", "linear?tokens=learned&position=learned"])
def test_recorded_adapters_run_at_any_batch_size(name):
    front, back = (MAPS, SMALL_CLASS) if "learned" in name else (LAST, SMALL_MAPS)
    adapter = adapters.get(name)(front, back).eval()
    graph = record(adapter, front.shape)
    for batch in (1, 4):
        x = torch.randn(batch, *front.shape)
        assert torch.equal(graph(x), adapter(x))


def test_tokens_are_carried_dropped_made_or_concatenated():
    ones = torch.cat([torch.full((1, 1, 3), 7.0), torch.ones(1, 64, 3)], dim=1)  # a class token of sevens
    wide = Value((64, 6), "NLC", grid=(8, 8))

    def applied(words, back):
        adapter = adapters.get(words)(CLASS, back)
        with torch.no_grad():
            adapter.project.weight.copy_(torch.ones(adapter.project.weight.shape))
            adapter.project.bias.zero_()
            return adapter(ones)

    assert applied("linear", CLASS)[0, :2, 0].tolist() == [21, 3]
    assert applied("linear", wide).unique().tolist() == [3]
    assert applied("linear?tokens=concat", wide).unique().tolist() == [24]
    assert applied("linear?tokens=mean", CLASS)[0, :2, 0].tolist() == [3, 3]
    assert applied("linear?tokens=zeros", CLASS)[0, :2, 0].tolist() == [0, 3]
    assert applied("linear", REGISTERS)[0, :6, 0].tolist() == [3] * 6
    assert adapters.get("linear?tokens=concat")(CLASS, wide).project.weight.shape[1] == 6  # doubles the channels


@pytest.mark.parametrize(
    ("words", "front", "back", "reason"),
    [
        ("linear", VECTOR, MAPS, "no pixels"),
        ("linear?tokens=carry", CLASS, REGISTERS, "as many prefix tokens on both sides, not 1 and 5"),
        ("linear?tokens=concat", MAPS, TOKENS, "a front with prefix tokens"),
        ("linear?tokens=learned", CLASS, MAPS, "the back has none"),
        ("conv3x3?tokens=carry", CLASS, SMALL_CLASS, "tokens have none"),
        ("linear?resize=strided", SMALL_MAPS, MAPS, "whole steps down, which 4x4 to 8x8 are not"),
        ("linear?by=area", SMALL_MAPS, MAPS, "no such blocks"),
        ("linear?rank=4", MAPS, SMALL_MAPS, "rank=4 saves nothing"),
        ("linear?norm=after", CLASS, SMALL_CLASS, "norm and position are of pixels"),
        ("linear?position=learned", MAPS, VECTOR, "needs pixels in the back"),
        ("identity", MAPS, SMALL_MAPS, "6 channels are not the 4"),
    ],
)
def test_what_cannot_be_joined_is_refused_by_its_reason(words, front, back, reason):
    assert reason in adapters.get(words).price(front, back)


def test_tokens_on_no_grid_follow_only_as_many():
    loose = Value((10, 4), "NLC")
    assert adapters.get("linear").refuses(loose, Value((10, 6), "NLC")) == ""
    assert "no grid" in adapters.get("linear").refuses(loose, Value((12, 4), "NLC"))
    assert "pixels" in adapters.get("conv3x3").refuses(loose, MAPS)


@pytest.mark.parametrize(
    ("given", "canonical"),
    [
        ("conv3x3", "conv3x3"),
        ("conv3x3?bias=yes&resize=after", "conv3x3"),
        ("conv3x3?rank=16&bias=no&resize=strided", "conv3x3?resize=strided&bias=no&rank=16"),
        ("linear?ridge=0.001", "linear?ridge=0.001"),
        ("linear?ridge=1e-07", "linear?ridge=1e-07"),
        ("linear-relu?tokens=concat", "linear-relu?tokens=concat"),
    ],
)
def test_words_that_say_the_same_are_written_the_same(given, canonical):
    assert adapters.get(given).notation == canonical
    assert adapters.get(canonical) == adapters.get(given)
    assert adapters.expand(given) == (canonical,)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("conv3", "Did you mean 'conv3x3'"),
        ("conv3x3?resise=before", "Did you mean 'resize'"),
        ("conv3x3?resize=strid", "'strid' is no resize of the adapter 'conv3x3'\nDid you mean 'strided'"),
        ("conv3x3?bias=maybe", "yes or no"),
        ("conv3x3?rank=two", "a whole number such as 16"),
        ("conv3x3?rank=0", "It is 1 at least"),
        ("conv3x3?ridge=-1", "It is 0 at least"),
        ("conv3x3?rank", "'rank' in the adapter 'conv3x3\\?rank' has no value"),
        ("conv3x3?rank=2&rank=3", "twice"),
        ("identity?rank=2", "There are by, tokens"),
    ],
)
def test_words_that_mean_nothing_are_refused_in_one_message(words, said):
    with pytest.raises(InputError) as caught:
        adapters.get(words)
    assert said.replace("\\", "") in str(caught.value)


@pytest.mark.parametrize("name", adapters.names())
def test_every_option_has_a_default_and_the_defaults_are_named_by_the_name_alone(name):
    kind = adapters.get(name)
    assert kind.notation == name == kind.name
    assert all(hasattr(kind, option.name) for option in fields(kind))


def test_a_pair_of_one_size_has_no_two_adapters_that_are_the_same():
    same, other = Value((9, 8, 8), "NCHW", grid=(8, 8)), SMALL_MAPS
    kind = adapters.get("conv3x3?resize=before")
    assert kind.simplest(MAPS, same).notation == "conv3x3" and kind.simplest(MAPS, other) == kind


def test_a_program_adds_an_adapter_by_name():
    try:
        adapters.register("half")(Scaled)
        assert "half" in adapters.names() and adapters.get("half?gain=2").gain == 2
        assert adapters.get("half").price(MAPS, MAPS) == Price(params=1, macs=0, size=4)
        assert adapters.get("half").price(MAPS, LAST) == "only where nothing changes"
        with pytest.raises(CutError, match=r"There are .*half"):
            adapters.get("xyz")
    finally:
        forget("half")


def forget(name: str) -> None:
    adapters._ADDED.pop(name, None)
    adapters.get.cache_clear()


@pytest.fixture
def installed(monkeypatch):
    """Packages that add adapters by entry points: one that works, one that is broken, one that is no adapter."""
    named = {"scaled": "another_package:Scaled", "broken": "no_such_package:Kind", "odd": "another_package:NOT_A_KIND"}
    offered = EntryPoints(EntryPoint(name, value, "stitchc.adapters") for name, value in named.items())
    monkeypatch.setattr(plugins, "entry_points", lambda group: offered.select(group=group))
    plugins.installed.cache_clear()
    yield
    plugins.installed.cache_clear()
    forget("scaled")


def test_another_package_adds_an_adapter_by_an_entry_point(installed):
    assert {"scaled", "broken", "odd"} <= set(adapters.names())
    kind = adapters.get("scaled?gain=2&times=3&most=none&signed=no&label=mine")
    assert kind == Scaled(2.0, 3, None, False, "mine") and kind.name == "scaled"
    assert kind.notation == "scaled?gain=2&times=3&most=none&signed=no&label=mine"
    with pytest.raises(InputError, match="It takes a whole number"):
        adapters.get("scaled?times=1.5")
    with pytest.raises(InputError, match="It is 1 at least"):
        adapters.get("scaled?times=0")


def test_an_entry_point_that_cannot_be_used_is_refused_only_when_it_is_asked_for(installed):
    assert adapters.get("linear").notation == "linear"
    with pytest.raises(InputError, match=r"'broken' \(no_such_package:Kind\) cannot be loaded: ModuleNotFoundError"):
        adapters.get("broken")
    with pytest.raises(InputError, match=r"no subclass of stitchc\.passes\.adapters\.Kind"):
        adapters.get("odd")


@pytest.mark.parametrize("words", ["linear?ridge=0.123456789012345", "linear?rank=3&bias=no", "fused?ridge=0.1"])
def test_what_is_written_is_read_back_the_same(words):
    assert adapters.get(adapters.get(words).notation) == adapters.get(words)


def test_what_is_built_depends_on_the_seed_alone_and_leaves_the_global_random_state():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = adapters.built("bottleneck", MAPS, SMALL_MAPS, seed=1)
    torch.manual_seed(6)
    again, other = (adapters.built("bottleneck", MAPS, SMALL_MAPS, seed=seed) for seed in (1, 2))
    assert torch.equal(first.conv1.weight, again.conv1.weight) and not first.training
    assert not torch.equal(first.conv1.weight, other.conv1.weight)
    torch.manual_seed(5)
    assert torch.equal(before, torch.get_rng_state())
    assert adapters.without_weights("conv3x3", MAPS, SMALL_MAPS).features == 54
    assert torch.equal(before, torch.get_rng_state())
