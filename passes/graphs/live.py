"""Which values are alive at each node of a graph: made already, read later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from torch.fx import Graph, Node

from .conventions import dependencies, output, reachable, reads_input


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
