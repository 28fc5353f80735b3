"""The price of any fragment of a graph, from the span of nodes in which each cost is needed.

Positions are those of the nodes of the program that is written. A fragment from cut i to cut j is what is computed on
the image after the one and up to the other, and all that this needs that depends on no image: as `fragments` says for
what lies before and after a single cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch.fx import Node

from ..data import metrics
from ..data.metrics import CountedCall
from ..data.values import Price
from ..data.weights_file import Entry, Stored
from ..graphs.conventions import placeholder
from .count import Count
from .memory import read_until


@dataclass(frozen=True)
class Piece:
    """The price of one fragment.

    sums: its amount of every metric that is a sum. entries: its tensors in the weights file, by their keys in the
    model. peak_bytes: its peak activation memory, without the image and without the value that it starts from.
    held_bytes: of the memory that its last value lies in; None where that is the value that it starts from.
    """

    sums: Price
    entries: tuple[Entry, ...]
    peak_bytes: int
    held_bytes: int | None


@dataclass(frozen=True)
class Spans:
    """For each cost in a graph (a call, a stored tensor, a buffer), the first and the last node on the image that needs
    it.

    at: int64 [cuts], the position of each cut's value. sums: for every metric that is a sum, first and last position of
    each summand, int64 [summands, 2], and the amounts [summands]. stored: first and last of each tensor of the weights
    file. buffers: int64 [buffers, 6], made, first, last, until where it is held, bytes, index. transient: int64
    [positions, 3], first, last, bytes that a node takes while it runs. lies: int64 [cuts], the buffer of each value.
    """

    at: np.ndarray
    sums: Mapping[str, tuple[np.ndarray, np.ndarray]]
    stored: Mapping[Stored, tuple[int, int]]
    buffers: np.ndarray
    transient: np.ndarray
    lies: np.ndarray

    @classmethod
    def of(
        cls,
        count: Count,
        uses: Mapping[Node, tuple[int, int]],
        cuts: Sequence[Node],
        calls: Sequence[tuple[CountedCall, tuple[int, int]]],
        stored: Mapping[Stored, tuple[int, int]],
    ) -> Spans:
        """uses: of each live node, the positions of the first and the last node that computes on the image and needs
        it, its own position twice where it is one of these itself. calls: of the live nodes, each with its uses."""
        nodes = list(count.program.graph.nodes)
        position = {node: i for i, node in enumerate(nodes)}
        image = count.lies[placeholder(count.program.graph)]
        until = read_until(count, position)
        buffers = [
            (buffer.made, *uses[nodes[buffer.made]], until[index], buffer.size_bytes, index)
            for index, buffer in enumerate(count.buffers)
            if index != image and nodes[buffer.made] in uses
        ]
        transient = [(*uses.get(n, (-1, -1)), c.transient_bytes) for n, c in zip(nodes, count.costs, strict=True)]
        return cls(
            np.array([position[node] for node in cuts], dtype=np.int64),
            _sums([call for call, _ in calls], [span for _, span in calls], stored),
            stored,
            np.array(buffers, dtype=np.int64).reshape(-1, 6),
            np.array(transient, dtype=np.int64).reshape(-1, 3),
            np.array([count.lies[node] for node in cuts], dtype=np.int64),
        )

    def piece(self, start: int | None, end: int | None) -> Piece:
        """The fragment between two cuts by their indices; None for the graph's own ends."""
        low = -1 if start is None else int(self.at[start])
        high = len(self.transient) - 1 if end is None else int(self.at[end])
        here = [s for s, (first, last) in self.stored.items() if first <= high and last > low]
        sums = {
            name: amounts[(used[:, 0] <= high) & (used[:, 1] > low)].sum().item()
            for name, (used, amounts) in self.sums.items()
        }
        return Piece(
            sums=Price(sums),
            entries=tuple(s.entry for s in here),
            peak_bytes=int(self.live(low, high).max(initial=0)),
            held_bytes=None if end is None else self._held(low, int(self.lies[end])),
        )

    def live(self, low: int = -1, high: int | None = None) -> np.ndarray:
        """int64 [positions up to `high`]: bytes that live at each while the fragment between the positions `low` and
        `high` runs, without the image and the value that it starts from. What depends on no image is computed where it
        stands, for a fragment behind it before all else."""
        high = len(self.transient) - 1 if high is None else high
        made, first, last, until, size, _ = self.buffers.T
        here = (last > low) & (first <= high)
        change = np.zeros(len(self.transient) + 1, dtype=np.int64)
        np.add.at(change, made[here], size[here])
        np.add.at(change, until[here] + 1, -size[here])
        first, last, extra = self.transient.T
        return (np.cumsum(change)[:-1] + np.where((last > low) & (first <= high), extra, 0))[: high + 1]

    def _held(self, low: int, buffer: int) -> int | None:
        """Bytes that a value keeps: those of its buffer, 0 where that is the image's."""
        found = self.buffers[self.buffers[:, 5] == buffer]
        if not len(found):
            return 0
        _, first, _, _, size, _ = found[0].tolist()
        return size if first > low else None


def _sums(
    calls: Sequence[CountedCall], call_spans: Sequence[tuple[int, int]], stored: Mapping[Stored, tuple[int, int]]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    of_calls, of_tensors = (
        np.array(list(spans), dtype=np.int64).reshape(-1, 2) for spans in (call_spans, stored.values())
    )
    found = {}
    for metric in metrics.sums():
        amounts = metric.amounts(calls, list(stored))
        found[metric.name] = (
            of_calls if metric.of_call else of_tensors,
            np.array(amounts) if amounts else np.zeros(0, dtype=np.int64),
        )
    return found
