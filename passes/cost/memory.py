"""Peak activation memory of a whole network, and of the fragments before and after each cut.

The schedule is the order of the emitted code: nodes in graph order, each value alive until the last node that reads
it or a view of it, and what a module is called with until that call returns, since the frame of the caller holds it.
What depends on no image is computed where it stands, in a back before all else. A network holds its input all the
time. The workspace inside a kernel is not counted, nor what a variable keeps alive after its last use, which may be
more than a third of what the code holds (docs/prices.md).

A front runs as its model does up to the cut. While a back runs, what its model made before the cut is gone, but for the
value at the cut, which the caller holds. So with the image's bytes i, the bytes h of the memory that the front's value
lies in, and the bytes b of the value that the back is given,

    whole = max(front, i + h + adapter, i + b + back).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch.fx import Node

from ..emit.regroup import regroup
from ..graphs.conventions import placeholder
from .count import Count

if TYPE_CHECKING:
    from .spans import Spans


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


def peaks(count: Count, spans: Spans, cuts: Sequence[Node]) -> Peaks:
    """Around the cuts that the spans are of."""
    image = count.lies[placeholder(count.program.graph)]
    size = count.buffers[image].size_bytes
    live = spans.live()
    before = [spans.live(high=at).max(initial=0) for at in spans.at.tolist()]
    after = [spans.live(low=at).max(initial=0) for at in spans.at.tolist()]
    return Peaks(
        image=size,
        whole=size + int(live.max(initial=0)),
        before=size + np.array(before, dtype=np.int64),
        held=np.array([0 if (b := count.lies[n]) == image else count.buffers[b].size_bytes for n in cuts], np.int64),
        live=size + live,
        after=np.array(after, dtype=np.int64),
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
