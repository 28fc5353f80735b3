"""The price of what lies before and after each cut, from that of each node: one sweep, however many cuts.

What depends on the image lies on one side of a cut, and which side follows from graph order: a cut is a value that
every path from input to output passes. What depends on no image (a position table, a mask, what computes them) belongs
to every side that uses it, and so may a parameter: it is before a cut when its first user is, after it when its last
user is. Hence multiply-adds before + after = whole unless a product of constants is needed on both sides, in which case
each fragment computes it; and parameters before + after = whole + those that both sides share.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch.fx import GraphModule, Node

from ..graph import dependencies, output, reachable, reads_input
from ..values import Price
from .count import NodeCost, Stored


@dataclass(frozen=True)
class FragmentPrices:
    """whole: of the graph. before, after: one for each cut. uncounted: operators without formula in the whole."""

    whole: Price
    before: tuple[Price, ...]
    after: tuple[Price, ...]
    uncounted: Mapping[str, int]


def fragment_prices(graph: GraphModule, costs: Sequence[NodeCost], cuts: Sequence[str]) -> FragmentPrices:
    """Prices around each of `cuts` (names of nodes). `costs`: what `count` says of the graph. Dead nodes are free."""
    nodes = list(graph.graph.nodes)
    uses = _uses(graph)
    rows: list[tuple[int, int, int, int, int]] = []  # first use, last use, params, macs, bytes
    stored: dict[Stored, tuple[int, int]] = {}
    uncounted: Counter[str] = Counter()
    for node, cost in zip(nodes, costs, strict=True):
        if node not in uses:
            continue
        first, last = uses[node]
        rows.append((first, last, 0, cost.macs, 0))
        uncounted.update(cost.uncounted)
        for tensor in cost.stored:
            before, after = stored.get(tensor, (first, last))
            stored[tensor] = min(before, first), max(after, last)
    rows += [(first, last, s.params, 0, s.size_bytes) for s, (first, last) in stored.items()]

    table = np.array(rows, dtype=np.int64).reshape(-1, 5)
    amounts = table[:, 2:].T
    position = {node.name: i for i, node in enumerate(nodes)}
    at = np.array([position[name] for name in cuts], dtype=np.int64)
    return FragmentPrices(
        whole=_prices(amounts.sum(axis=1, keepdims=True))[0],
        before=_prices(amounts @ (table[:, :1] <= at)),
        after=_prices(amounts @ (table[:, 1:2] > at)),
        uncounted=dict(uncounted),
    )


def _uses(graph: GraphModule) -> dict[Node, tuple[int, int]]:
    """Of each node that the output needs: the positions of the first and the last node that computes on the image and
    uses it; of a node that itself computes on the image, its own position, twice."""
    needs = dependencies(graph.graph)
    live = reachable(output(graph.graph), needs)
    on_image = reads_input(graph.graph, needs)
    nodes = list(graph.graph.nodes)
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


def _prices(amounts: np.ndarray) -> tuple[Price, ...]:
    return tuple(Price(params, macs, size) for params, macs, size in amounts.T.tolist())
