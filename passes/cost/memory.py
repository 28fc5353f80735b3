"""Peak activation memory of a whole network, and of the fragments before and after each cut.

The schedule is the one that the emitted code runs: nodes in graph order, each value alive until the last node that
reads it or a view of it, and what a module is called with until that call returns, since the frame of the caller holds
it. A network holds its input all the time. The workspace inside a kernel is not counted, nor a value that a
variable keeps alive after its last use (up to a tenth; docs/prices.md).

A front runs as its model does up to the cut. While a back runs, what its model made before the cut is gone, but for the
value at the cut, which the caller holds. So with the image's bytes i, the bytes h of the memory that the front's value
lies in, and the bytes b of the value that the back is given,

    whole = max(front, i + h + adapter, i + b + back).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch.fx import Node

from ..emit.regroup import regroup
from ..graphs.conventions import placeholder
from .count import Count


@dataclass(frozen=True)
class Peaks:
    """Peak memory in bytes. whole, before: with the image. after: for each cut, without the image and without the value
    at the cut. held: for each cut, of the memory that its value lies in, unless that is the image's. live: at each
    node."""

    image: int
    whole: int
    before: np.ndarray
    held: np.ndarray
    after: np.ndarray
    live: np.ndarray


def peaks(count: Count, uses: Mapping[Node, tuple[int, int]], cuts: Sequence[Node]) -> Peaks:
    """uses: of each live node, the positions of the first and the last node that computes on the image and needs it,
    its own position twice where it is one of these itself."""
    nodes = list(count.program.graph.nodes)
    position = {node: i for i, node in enumerate(nodes)}
    image = count.lies[placeholder(count.program.graph)]
    at = np.array([position[node] for node in cuts], dtype=np.int64)
    read = read_until(count, position)

    # live[k, t]: bytes at position t of what was made after the cuts below k; row 0 is the whole network.
    live = np.zeros((len(cuts) + 1, len(nodes) + 1), dtype=np.int64)
    for index, buffer in enumerate(count.buffers):
        node = nodes[buffer.made]
        if index == image or node not in uses:
            continue
        first, last = uses[node]
        row = np.searchsorted(at, last)  # cuts before its last use: a back behind any of these has it
        live[row, first] += buffer.size_bytes
        live[row, max(read[index], first) + 1] -= buffer.size_bytes
    live = np.cumsum(np.cumsum(live[::-1], axis=0)[::-1], axis=1)[:, :-1]
    live += [cost.transient_bytes if node in uses else 0 for node, cost in zip(nodes, count.costs, strict=True)]

    size = count.buffers[image].size_bytes
    highest = np.maximum.accumulate(live[0])
    return Peaks(
        image=size,
        whole=size + int(highest[-1]),
        before=size + highest[at],
        held=np.array([0 if (b := count.lies[n]) == image else count.buffers[b].size_bytes for n in cuts], np.int64),
        live=size + live[0],
        after=np.array([live[k, p + 1 :].max(initial=0) for k, p in enumerate(at, start=1)], dtype=np.int64),
    )


def read_until(count: Count, position: Mapping[Node, int]) -> list[int]:
    """Until which node each buffer is held: its last reader, or the end of a call that was given it."""
    until = [buffer.read for buffer in count.buffers]
    for region in regroup(count.program).regions():
        end = max((position[node] for node in region.nodes()), default=0)
        for value in region.inputs:
            buffer = count.lies.get(value, -1)
            if buffer >= 0:
                until[buffer] = max(until[buffer], end)
    return until
