"""The price of what lies before and after each cut, from that of each node: one sweep, however many cuts.

What depends on the image lies on one side of a cut, and which side follows from graph order: a cut is a value that
every path from input to output passes. What depends on no image (a position table, a mask, what computes them) belongs
to every side that uses it, and so may a parameter: it is before a cut when its first user is, after it when its last
user is. Hence a sum over calls before + after = whole unless a product of constants is needed on both sides, in which
case each fragment computes it; and a sum over stored tensors before + after = whole + those that both sides share.
Peak memory and the size of a file are no sums; see `memory` and `sizes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.fx import Graph, Node

from ..data.metrics import CountedCall
from ..data.values import Price, added
from ..data.weights_file import Stored, file_bytes
from ..graphs.conventions import by_name, dependencies, output, reachable, reads_input
from .count import Count, NodeCost
from .memory import Peaks, peaks
from .sizes import FileEntries, file_sizes
from .spans import Spans


@dataclass(frozen=True)
class FragmentPrices:
    """Prices of a graph and of its fragments.

    whole: of the graph. before, after: one for each cut, of that fragment run and written on its own, with the
    value that it starts from. uncounted: calls of operators without a formula in the whole, by name; uncounted_before
    and uncounted_after: in the fragments.

    readers: of each cut, the layers that read its value. peaks: memory around the cuts. front, back: the tensors that a
    stitched network's weights file has of a front or back, one selection for each cut. spans: for the price of any
    fragment.
    """

    whole: Price
    before: tuple[Price, ...]
    after: tuple[Price, ...]
    uncounted: Mapping[str, int]
    uncounted_before: tuple[Mapping[str, int], ...]
    uncounted_after: tuple[Mapping[str, int], ...]
    readers: tuple[tuple[NodeCost, ...], ...]
    peaks: Peaks
    front: FileEntries
    back: FileEntries
    spans: Spans


def fragment_prices(count: Count, cuts: Sequence[str], value_bytes: Sequence[int] | None = None) -> FragmentPrices:
    """Prices around each of `cuts` (names of nodes of the graph that was counted). Dead nodes are free.

    value_bytes: of the value at each cut; those of its memory where not given.
    """
    program = count.program.graph
    nodes = list(program.nodes)
    uses = _uses(program)
    calls: list[tuple[CountedCall, tuple[int, int]]] = []  # with the first and the last use of its value
    stored: dict[Stored, tuple[int, int]] = {}
    uncounted: list[tuple[int, int, Mapping[str, int]]] = []  # first use, last use, operators
    for node, cost in zip(nodes, count.costs, strict=True):
        if node not in uses:
            continue
        first, last = uses[node]
        if cost.call:
            calls.append((cost.call, (first, last)))
        if cost.uncounted:
            uncounted.append((first, last, cost.uncounted))
        for tensor in cost.stored:
            before, after = stored.get(tensor, (first, last))
            stored[tensor] = min(before, first), max(after, last)

    at_nodes = [_in_program(count, name) for name in cuts]
    position = {node: i for i, node in enumerate(nodes)}
    at = np.array([position[node] for node in at_nodes], dtype=np.int64)
    spans = Spans.of(count, uses, at_nodes, calls, stored)
    memory = peaks(count, spans, at_nodes)
    given = memory.held if value_bytes is None else np.array(value_bytes, dtype=np.int64)
    entries = [s.entry for s in stored]
    span = np.array(list(stored.values()), dtype=np.int64).reshape(-1, 2)
    front, back = FileEntries.of(entries, span[:, :1] <= at), FileEntries.of(entries, span[:, 1:] > at)
    every = np.arange(len(cuts))
    whole: dict[str, Any] = {"size": file_bytes(entries), "memory": memory.whole}
    ahead = {"size": file_sizes((front, every)), "memory": memory.before}
    behind = {"size": file_sizes((back, every)), "memory": given + memory.after}
    for name, (used, amounts) in spans.sums.items():
        whole[name] = amounts.sum().item()
        ahead[name], behind[name] = amounts @ (used[:, :1] <= at), amounts @ (used[:, 1:] > at)
    return FragmentPrices(
        whole=Price(whole),
        before=_prices(ahead, len(cuts)),
        after=_prices(behind, len(cuts)),
        uncounted=added(found for _, _, found in uncounted),
        uncounted_before=tuple(added(found for first, _, found in uncounted if first <= cut) for cut in at),
        uncounted_after=tuple(added(found for _, last, found in uncounted if last > cut) for cut in at),
        readers=tuple(
            tuple(count.costs[position[user]] for user in node.users if user.op == "call_module") for node in at_nodes
        ),
        peaks=memory,
        front=front.under("front."),
        back=back.under("back."),
        spans=spans,
    )


def _in_program(count: Count, name: str) -> Node:
    """The node of the program that computes the value of a node of the graph: what does nothing is left out there."""
    known = {node.meta.get("origin"): node for node in count.program.graph.nodes}
    node = by_name(count.graph.graph)[name]
    while node.name not in known:
        node = node.all_input_nodes[0]
    return known[node.name]


def _uses(graph: Graph) -> dict[Node, tuple[int, int]]:
    """Of each node that the output needs: the positions of the first and the last node that computes on the image and
    uses it; of a node that itself computes on the image, its own position, twice."""
    needs = dependencies(graph)
    live = reachable(output(graph), needs)
    on_image = reads_input(graph, needs)
    nodes = list(graph.nodes)
    uses: dict[Node, tuple[int, int]] = {}
    for position in range(len(nodes) - 1, -1, -1):
        node = nodes[position]
        if node not in live:
            continue
        if node in on_image or node not in uses:
            uses[node] = position, position
        first, last = uses[node]
        for needed in needs[node]:
            if needed not in on_image:
                before, after = uses.get(needed, (first, last))
                uses[needed] = min(before, first), max(after, last)
    return uses


def _prices(columns: Mapping[str, np.ndarray], count: int) -> tuple[Price, ...]:
    rows = {name: column.tolist() for name, column in columns.items()}
    return tuple(Price({name: row[i] for name, row in rows.items()}) for i in range(count))
