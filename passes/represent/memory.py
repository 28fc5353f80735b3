"""The memory of a comparison, estimated beforehand, and the block sizes that keep it within a limit."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch.fx import GraphModule

from ..data.errors import QuantityError
from ..graphs.live import live_bytes
from ..numerics.similarity import block_sizes, length

SMALLEST = 4  # images: of fewer, the unbiased estimator is undefined
_BYTES = 4  # of a number in a Gram vector


def comparison_bytes(graphs: Sequence[GraphModule], cuts: Sequence[Collection[str]], sizes: Sequence[int]) -> int:
    """What comparing takes beside the models: the vectors of all cuts, and for the model that takes most the copy of
    its weights, the values alive while it runs over a block, and the Gram matrices of that block.

    What convolutions use inside for themselves is not known beforehand, and not counted.
    """
    block = max(sizes)
    vectors = sum(len(names) for names in cuts) * sum(map(length, sizes)) * _BYTES
    running = [
        _weights_bytes(graph) + block * live_bytes(graph) + len(names) * 3 * 8 * block**2
        for graph, names in zip(graphs, cuts, strict=True)
    ]
    return vectors + max(running, default=0)


def sizes_within(
    limit: int, graphs: Sequence[GraphModule], cuts: Sequence[Collection[str]], images: int, block: int
) -> list[int]:
    """Blocks of `block` images, halved until the comparison takes at most `limit` bytes.

    Raises:
        QuantityError: blocks of four images take more.
    """
    while True:
        sizes = block_sizes(images, block)
        needed = comparison_bytes(graphs, cuts, sizes)
        if needed <= limit:
            return sizes
        if block < 2 * SMALLEST:
            raise QuantityError(
                f"comparing takes {_mib(needed)} MiB even four images at a time, more than the {_mib(limit)} MiB given",
                f"Give `max_memory='{_mib(needed)}MiB'`, or compare fewer images: `probe_images`.",
            )
        block //= 2


def _weights_bytes(graph: GraphModule) -> int:
    return sum(tensor.nbytes for tensor in (*graph.parameters(), *graph.buffers()))


def _mib(size: int) -> int:
    return -(-size >> 20)
