"""Adapters turn any value into any other that they accept, cost what they say, and are linear in their weights."""

import itertools
from math import prod

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from stitchc.passes import Value, adapters
from stitchc.passes.adapters.base import Adapter
from stitchc.passes.cost.count import count
from stitchc.passes.cost.fragments import fragment_prices
from stitchc.passes.errors import CutError
from stitchc.passes.trace.record import record

MAPS = Value((6, 8, 8), "NCHW", grid=(8, 8))
SMALL_MAPS = Value((4, 4, 4), "NCHW", grid=(4, 4))
LAST = Value((8, 8, 5), "NHWC", grid=(8, 8))
SMALL_LAST = Value((4, 4, 7), "NHWC", grid=(4, 4))
TOKENS = Value((64, 6), "NLC", grid=(8, 8))
CLASS = Value((65, 3), "NLC", tokens=1, grid=(8, 8))
SMALL_CLASS = Value((17, 9), "NLC", tokens=1, grid=(4, 4))
REGISTERS = Value((21, 4), "NLC", tokens=5, grid=(4, 4))
VECTOR = Value((10,), "NC")
VALUES = [MAPS, SMALL_MAPS, LAST, SMALL_LAST, TOKENS, CLASS, SMALL_CLASS, REGISTERS, VECTOR]
PAIRS = [
    (name, front, back)
    for name in ("linear", "conv3x3")
    for front, back in itertools.product(VALUES, VALUES)
    if not adapters.get(name).refuses(front, back)
]


@pytest.mark.parametrize(("name", "front", "back"), PAIRS)
def test_every_accepted_pair_is_joined_at_the_price_that_was_said(name, front, back):
    adapter = adapters.get(name)(front, back)
    x = torch.randn(2, *front.shape)
    y = adapter(x)
    assert y.shape == (2, *back.shape)
    assert y.is_contiguous()
    params, macs = adapter.cost(front, back)
    assert params == sum(p.numel() for p in adapter.parameters())
    with FlopCounterMode(display=False) as counter:
        adapter(x[:1])
    assert 2 * macs == counter.get_total_flops()


@pytest.mark.parametrize(("name", "front", "back"), PAIRS)
def test_what_was_said_of_memory_and_weights_is_what_the_graph_has(name, front, back):
    kind = adapters.get(name)
    adapter = kind(front, back).eval()
    counted = count(record(adapter, front.shape), front.shape)
    found = fragment_prices(counted, []).whole
    assert kind.price(front, back).size_bytes == found.size_bytes
    assert kind.memory(front, back) == found.memory_bytes - 4 * prod(front.shape)
    assert kind.entries(front, back) == super(kind, kind).entries(front, back)


@pytest.mark.parametrize(("name", "front", "back"), PAIRS)
def test_the_design_matrix_times_the_weights_is_the_adapter(name, front, back):
    adapter = adapters.get(name)(front, back).double()
    x = torch.randn(3, *front.shape, dtype=torch.float64)
    by_rows = adapter.design(x) @ adapter.project.weight.flatten(1).T + adapter.project.bias
    torch.testing.assert_close(by_rows, adapter.target(adapter(x)))
    assert adapter.features == adapter.design(x).shape[-1]


def test_recorded_adapters_run_at_any_batch_size():
    adapter = adapters.get("linear")(CLASS, SMALL_CLASS).eval()
    graph = record(adapter, CLASS.shape)
    for batch in (1, 4):
        x = torch.randn(batch, *CLASS.shape)
        assert torch.equal(graph(x), adapter(x))


def test_a_vector_cannot_become_maps():
    assert "no pixels" in adapters.get("linear").price(VECTOR, MAPS)


def test_tokens_on_no_grid_follow_only_as_many():
    loose = Value((10, 4), "NLC")
    assert adapters.get("linear").refuses(loose, Value((10, 6), "NLC")) == ""
    assert "no grid" in adapters.get("linear").refuses(loose, Value((12, 4), "NLC"))
    assert "pixels" in adapters.get("conv3x3").refuses(loose, MAPS)


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(CutError, match="Did you mean 'conv3x3'"):
        adapters.get("conv3")


def test_a_third_party_adds_an_adapter_by_name():
    @adapters.register("half")
    class Half(Adapter):
        pass

    try:
        assert adapters.get("half") is Half and "half" in adapters.names()
    finally:
        adapters._ADDED.pop("half")
