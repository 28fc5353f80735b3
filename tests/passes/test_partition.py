import random
import time
from functools import cache

import networkx as nx
import pytest
import torch
from builders import graph_of
from nets import Small, Tokens, Windows
from torch import nn
from torch.fx import Graph, GraphModule
from torchvision import models

from stitchc.passes import Partition, Pipeline, Plan, Trace
from stitchc.passes.data.errors import CutError
from stitchc.passes.graphs.conventions import by_name, dependencies, output, placeholder, reads_input, result
from stitchc.passes.partition import partition
from stitchc.passes.trace.record import record


def dominators(graph: Graph) -> set[str]:
    """The values that every path from the input to the output passes, by networkx."""
    needs = dependencies(graph)
    image = reads_input(graph, needs)
    flow = nx.DiGraph((before, node) for node in image for before in needs[node] if before in image)
    above = nx.immediate_dominators(flow, placeholder(graph))
    found, node = set(), above[output(graph)]
    while node is not placeholder(graph):
        found.add(node.name)
        node = above[node]
    return found


def shuffled(graph_module: GraphModule, seed: int) -> GraphModule:
    """The same graph in another order of its nodes."""
    needs = dependencies(graph_module.graph)
    waiting = {node: set(needs[node]) for node in graph_module.graph.nodes}
    order, rng = Graph(), random.Random(seed)
    copies: dict = {}
    while waiting:
        node = rng.choice([n for n, before in waiting.items() if not before])
        copies[node] = order.node_copy(node, copies.__getitem__)
        del waiting[node]
        for before in waiting.values():
            before.discard(node)
    return GraphModule(graph_module, order)


@pytest.mark.parametrize("net", [Small(), Tokens(), models.squeezenet1_1(), models.resnet18()])
def test_cuts_are_the_dominators_of_the_output(net):
    size = (3, 8, 8) if isinstance(net, Small | Tokens) else (3, 64, 64)
    graph = record(net.eval(), size)
    cuts = {cut.node for cut in partition(graph).cuts}
    refused = {r.node: r.reason for r in partition(graph).rejected}
    assert cuts <= dominators(graph.graph)
    assert not any("cross" in refused.get(name, "") for name in dominators(graph.graph))
    assert all("cross" in reason for name, reason in refused.items() if name not in dominators(graph.graph))


def test_every_value_of_the_image_is_a_cut_or_refused_with_a_reason():
    graph = record(Windows().eval(), (3, 8, 8))
    found = partition(graph)
    names = {cut.node for cut in found.cuts} | {r.node for r in found.rejected}
    ends = {placeholder(graph.graph), result(graph.graph), output(graph.graph)}
    assert names == {n.name for n in reads_input(graph.graph, dependencies(graph.graph)) - ends}
    assert all(r.reason for r in found.rejected)


@pytest.mark.parametrize("seed", range(5))
def test_order_of_the_nodes_does_not_matter(seed):
    graph = graph_of(
        lambda m, x: m.c(torch.cat([m.a(x).relu(), m.b(x).tanh()], 1) + m.d(x)).mean((2, 3)),
        a=nn.Conv2d(3, 4, 1),
        b=nn.Conv2d(3, 4, 1),
        c=nn.Conv2d(8, 5, 1),
        d=nn.Conv2d(3, 8, 1),
    )
    other = shuffled(graph, seed)
    assert {c.node for c in partition(graph).cuts} == {c.node for c in partition(other).cuts} == {"add", "c"}
    assert {r.node for r in partition(graph).rejected} == {r.node for r in partition(other).rejected}


def test_refusals_name_what_crosses():
    graph = graph_of(lambda m, x: m.a(x).relu() + x, a=nn.Conv2d(3, 3, 1))
    assert {r.node: r.reason for r in partition(graph).rejected} == {
        "a": "1 other value crosses with it: input_1",
        "relu": "1 other value crosses with it: input_1",
    }


def test_a_value_written_in_place_is_not_read_behind_the_write():
    graph = graph_of(lambda m, x: m.relu(m.a(x).add_(1)).mean((2, 3)), a=nn.Conv2d(3, 3, 1), relu=nn.ReLU(inplace=True))
    assert [cut.node for cut in partition(graph).cuts] == ["a", "add_", "relu"]


def test_the_ends_under_another_name_are_no_cuts():
    graph = graph_of(
        lambda m, x: m.last(m.head(m.first(x).mean((2, 3)))).reshape(-1, 5),
        first=nn.Identity(),
        head=nn.Linear(3, 5),
        last=nn.Dropout(0.5),
    )
    found = partition(graph)
    assert [cut.node for cut in found.cuts] == ["mean"]
    assert {r.node: r.reason.partition(":")[0] for r in found.rejected} == {
        "first": "it is the input",
        "head": "it is the output",
        "last": "it is the output",
    }


def test_what_is_no_floating_point_tensor_is_refused():
    graph = graph_of(lambda m, x: m.table(x.flatten(1).argmax(1, keepdim=True)).sum(1), table=nn.Embedding(192, 4))
    assert "not a floating-point tensor: int64" in {r.reason for r in partition(graph).rejected}


def test_a_tuple_is_refused_and_the_image_does_not_cross_beside_a_mask():
    graph = graph_of(
        lambda m, x: sum(m.a(x).chunk(2, 1)).mul(torch.ones(x.shape[0], 1, 1, 1)).mean((2, 3)), a=nn.Conv2d(3, 4, 1)
    )
    found = partition(graph)
    assert {"a", "mul"} <= {cut.node for cut in found.cuts}
    assert {r.node: r.reason for r in found.rejected}["chunk"] == "a tuple"


def test_path_is_the_outermost_block():
    paths = [cut.path for cut in partition(record(models.resnet18().eval(), (3, 64, 64))).cuts]
    blocks = [f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)]
    assert list(dict.fromkeys(paths)) == ["conv1", "bn1", "relu", "maxpool", *blocks, "avgpool", ""]


def test_paths_hold_every_module_whose_output_it_is():
    found = partition(record(models.resnet18().eval(), (3, 64, 64)))
    (last,) = [cut for cut in found.cuts if "layer1" in cut.paths]
    assert (last.path, last.paths) == ("layer1.1", ("layer1.1.relu", "layer1.1", "layer1"))


@cache
def torchvision_graph(name: str) -> GraphModule:
    with torch.device("meta"):  # no time for initial weights that nobody reads
        net = getattr(models, name)()
    return record(net.to_empty(device="cpu").eval(), (3, 224, 224))


# StitchNet, Fig. 2, and the same rule on two networks more.
FRAGMENTS = {
    "alexnet": 8,
    "densenet121": 5,
    "mobilenet_v3_small": 13,
    "resnet50": 6,
    "vgg16": 16,
    "resnet18": 5,
    "mobilenet_v2": 16,
}


@pytest.mark.parametrize(("name", "fragments"), FRAGMENTS.items())
def test_stitchnet_fragments(name, fragments):
    assert len(partition(torchvision_graph(name), "stitchnet")) + 1 == fragments


@pytest.mark.parametrize(
    ("name", "cuts"),
    [
        ("alexnet", [*(f"features.{i}" for i in (2, 5, 7, 9)), "classifier.0", "classifier.3", "classifier.5"]),
        ("resnet50", ["maxpool", "layer1.2", "layer2.3", "layer3.5", ""]),
    ],
)
def test_stitchnet_cuts(name, cuts):
    assert [cut.path for cut in partition(torchvision_graph(name), "stitchnet").cuts] == cuts


def test_stitchnet_says_why_not():
    graph = graph_of(
        lambda m, x: m.c(m.b(m.a(x)).relu()).mean((2, 3)) + 1,
        a=nn.Conv2d(3, 4, 1),
        b=nn.Conv2d(4, 4, 1, groups=4),
        c=nn.Conv2d(4, 5, 1),
    )
    found = partition(graph, "stitchnet")
    assert [cut.node for cut in found.cuts] == ["relu"]
    assert {r.reason for r in found.rejected} == {"no convolution without groups and no Linear on vectors reads it"}


def test_an_unknown_rule_is_named():
    with pytest.raises(CutError, match="'stichnet' is no rule for cuts") as caught:
        partition(graph_of(lambda m, x: x.relu()), "stichnet")
    assert "Did you mean 'stitchnet'?" in caught.value.hint


def test_the_pass_fills_the_plan():
    plan = Pipeline([Trace(), Partition()])(Plan.of(Small(), Tokens(), images=torch.zeros(1, 3, 8, 8)))
    assert [cuts.rule for cuts in plan.cuts] == ["single-tensor"] * 2
    assert all(
        cut.node in by_name(g.graph) for g, cuts in zip(plan.graphs, plan.cuts, strict=True) for cut in cuts.cuts
    )
    assert [cut.index for cut in plan.cuts[0].cuts] == list(range(len(plan.cuts[0])))


def test_time_is_linear_in_the_graph():
    def forward(m, x):
        for _ in range(500):
            x = x + m.a(x)
        return x.mean((2, 3))

    graph = graph_of(forward, a=nn.Conv2d(3, 3, 1))
    start = time.process_time()
    assert len(partition(graph)) == 500
    assert time.process_time() - start < 2
