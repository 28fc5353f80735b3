"""A private copy of a graph that runs faster and has the same values at its cuts, up to rounding."""

from __future__ import annotations

from collections.abc import Collection

from torch.fx import GraphModule

from ..graphs.conventions import by_name
from ..graphs.faster import faster, overwriting


def for_comparison(graph: GraphModule, cuts: Collection[str]) -> GraphModule:
    """The graph up to the last of `cuts` (nodes), for images in the order that convolutions are fast with. A value at a
    cut is there when its node has run, not for long after: what reads it may overwrite it."""
    private = faster(graph, cuts)
    _cut_off(private, cuts)
    return overwriting(private)


def _cut_off(graph: GraphModule, cuts: Collection[str]) -> None:
    """Nothing behind the last cut is needed."""
    nodes = by_name(graph.graph)
    names = list(nodes)
    last = nodes[max(cuts, key=names.index)]
    (end,) = (node for node in graph.graph.nodes if node.op == "output")
    end.args = (last,)
    for node in reversed(names[names.index(last.name) + 1 : -1]):
        graph.graph.erase_node(nodes[node])
    graph.delete_all_unused_submodules()
