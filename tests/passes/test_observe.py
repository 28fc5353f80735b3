"""A network is traced as it really runs, or refused with the reason: never a number that holds for one batch only."""

import sys

import pytest
import torch
from nets import Tokens
from odd_nets import REFUSED, TRACED, NoEval, Odd, inner_method_replaced, method_replaced
from torch import nn

from stitchc.passes import Plan, Trace
from stitchc.passes.data.errors import TraceError
from stitchc.passes.data.model import InputSpec, Model
from stitchc.passes.trace import trace_model

X = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
SPEC = InputSpec((3, 8, 8), (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize("make", TRACED, ids=lambda make: make.__name__)
def test_the_graph_gives_what_the_network_gives(make):
    model = Model("it", SPEC, module=make())
    graph = trace_model(model, frontend="record")
    for batch in (1, 2, 5):
        want = model.scores(X[:batch].clone())
        rounding = 1e-2 if "float16" in str(graph.meta["notes"]) else 1e-5
        torch.testing.assert_close(graph(X[:batch].clone()), want, rtol=rounding, atol=rounding)


@pytest.mark.parametrize(("make", "reason"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_what_has_no_scores_of_its_own_is_refused_with_the_reason(make, reason):
    with pytest.raises(TraceError, match=reason):
        Trace()(Plan.of(make(), images=X))


def test_a_graph_that_computes_something_else_is_refused(monkeypatch):
    def altered(graph):
        (end,) = (node for node in graph.graph.nodes if node.op == "output")
        with graph.graph.inserting_before(end):
            end.args = (graph.graph.call_function(torch.mul, (end.args[0], 1.01)),)
        graph.recompile()
        return graph

    monkeypatch.setattr(sys.modules["stitchc.passes.trace"], "fold_constants", altered)
    with pytest.raises(TraceError, match=r"the graph differs from the model by 0\.01"):
        trace_model(Model("it", SPEC, module=Odd()))


def test_a_refused_network_keeps_its_statistics():
    net = NoEval()
    before = net.bn.running_mean.clone()
    with pytest.raises(TraceError):
        trace_model(Model("it", SPEC, module=net))
    assert torch.equal(net.bn.running_mean, before)


@pytest.mark.parametrize("make", [method_replaced, inner_method_replaced])
def test_a_layer_whose_method_was_replaced_is_no_leaf(make):
    graph = trace_model(Model("it", SPEC, module=make()))
    assert "net.stem" not in {n.target for n in graph.graph.nodes}


def test_a_replaced_method_reads_the_parameters_of_the_model():
    net = method_replaced()
    graph = trace_model(Model("it", SPEC, module=net))
    assert any(p is net.net.stem.weight for p in graph.parameters())


def test_a_copy_in_float32_is_said():
    graph = trace_model(Model("it", SPEC, module=Odd().half()))
    assert graph.meta["notes"] == ("its weights are float16; it is compiled in float32",)
    assert {p.dtype for p in graph.parameters()} == {torch.float32}


def test_the_same_weights_at_another_size():
    model = Model("it", SPEC, module=Odd())
    small, large = trace_model(model), trace_model(model, (3, 12, 16))
    assert small.net.stem is large.net.stem
    shape = next(n.meta["shape"] for n in large.graph.nodes if n.target == "net.stem")
    assert shape == ("N", 4, 12, 16)
    plan = Trace()(Plan((model, Model("larger", InputSpec((3, 12, 16), (0.5,) * 3, (0.5,) * 3), module=model.module))))
    assert plan.graphs[0] is not plan.graphs[1]


def test_a_size_that_the_network_does_not_take_is_refused():
    with pytest.raises(TraceError, match="it fails on 3 images of 3x16x16: The size of tensor a") as caught:
        trace_model(Model("it", SPEC, module=Tokens()), (3, 16, 16))
    assert "fit one size alone" in caught.value.hint


def test_a_network_that_writes_to_its_images_does_not_change_them():
    class Writes(nn.Module):
        def forward(self, x):
            return x.mul_(2).mean((2, 3))

    images = X.clone()
    Trace()(Plan.of(Writes(), images=images))
    assert torch.equal(images, X)
