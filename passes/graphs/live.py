"""Which values are alive at each node of a graph: made already, read later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import prod

import torch
from torch.fx import Graph, GraphModule, Node

from .conventions import VIEWS, dependencies, is_tensor, output, reachable, reads_input, target_name, writes_in_place
from .placement import device_of

# Bytes of one value that C libraries keep for the next one when it is freed.
_REUSED = 24 << 20


def last_read(nodes: Iterable[Node], reads: Callable[[Node], Iterable[Node]]) -> dict[Node, list[Node]]:
    """The values that each node is the last to read. nodes: in the order in which they run."""
    reader: dict[Node, Node] = {}
    for node in nodes:
        reader |= dict.fromkeys(reads(node), node)
    ends: dict[Node, list[Node]] = {}
    for value, node in reader.items():
        ends.setdefault(node, []).append(value)
    return ends


def crossing(graph: Graph) -> Iterator[tuple[Node, Mapping[Node, None]]]:
    """Each node that computes on the image and that the output needs, in graph order, with the other values that are
    alive when it has run, in the order in which they were made. The mapping changes as the iteration goes on.

    In a graph without dead nodes a value is the only live one just after it was made exactly if it dominates the
    output: a value u made before v and needed by a w after it would give a path input..u, w..output around v, and the
    other way round. So which values are alone does not depend on the order that the graph happens to have.
    """
    needs = dependencies(graph)
    on_image = reads_input(graph, needs)
    needed = reachable(output(graph), needs) & on_image
    nodes = [node for node in graph.nodes if node in needed]
    ends = last_read(nodes, needs.__getitem__)
    live: dict[Node, None] = {}  # a set that keeps its order
    for node in nodes:
        for value in ends.get(node, ()):
            live.pop(value, None)
        yield node, live
        live[node] = None


def batch_within(limit: int, graph: GraphModule, most: int) -> int:
    """Of how many images at once, at most so many, the values alive while a graph runs take `limit` bytes; one at
    least."""
    return max(1, min(most, limit // max(1, live_bytes(graph))))


def forward_batch(limit: int, graph: GraphModule, most: int) -> int:
    """`batch_within` for forward passes that keep nothing: on a processor with fewer images where values are large.

    C libraries fetch what is larger than 32 MiB from the system each time anew, which clears it page by page: on 64
    images of 224 pixels that takes as long as computing the values.
    """
    size = batch_within(limit, graph, most)
    if device_of(graph).type != "cpu":
        return size
    return max(1, min(size, _REUSED // max(map(value_bytes, graph.graph.nodes))))


def live_bytes(graph: GraphModule) -> int:
    """The most bytes that values take at once while the graph runs on one image, each freed after its last reader."""
    owner: dict[Node, Node] = {}
    for node in graph.graph.nodes:
        arguments = node.all_input_nodes
        shares = arguments and (writes_in_place(node) or target_name(node) in VIEWS)
        owner[node] = owner[arguments[0]] if shares else node
    ends = last_read(graph.graph.nodes, lambda node: [owner[used] for used in (node, *node.all_input_nodes)])
    now = most = 0
    for node in graph.graph.nodes:
        now += value_bytes(node) if owner[node] is node else 0
        most = max(most, now)
        now -= sum(value_bytes(value) for value in ends.get(node, ()))
    return most


def made_bytes(graph: GraphModule) -> int:
    """The bytes of all values that the graph makes of one image: what a training keeps for the gradients."""
    return sum(map(value_bytes, graph.graph.nodes))


def value_bytes(node: Node) -> int:
    """Of one image's value; parameters lie in the model."""
    if not is_tensor(node) or node.op == "get_attr":
        return 0
    sizes = [size if isinstance(size, int) else _of_one_image(size) for size in node.meta["shape"]]
    return prod(sizes) * node.meta.get("dtype", torch.float32).itemsize


def _of_one_image(extent: str) -> int:
    """The extent at batch size one: 64 of "64*N"."""
    factors = extent.replace("(", "").replace(")", "").split("*")
    return prod(int(factor) for factor in factors if factor.isdigit())
