"""What a comparison takes in memory, told beforehand, and the blocks that keep it within a limit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import prod

import torch
from torch.fx import GraphModule, Node

from ..data.errors import QuantityError
from ..graphs.conventions import VIEWS, is_tensor, target_name, writes_in_place
from ..graphs.live import last_read
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
    limit: int | None, graphs: Sequence[GraphModule], cuts: Sequence[Collection[str]], images: int, block: int
) -> list[int]:
    """Blocks of `block` images, halved until the comparison takes at most `limit` bytes.

    Raises:
        QuantityError: blocks of four images take more.
    """
    while True:
        sizes = block_sizes(images, block)
        needed = comparison_bytes(graphs, cuts, sizes)
        if limit is None or needed <= limit:
            return sizes
        if block < 2 * SMALLEST:
            raise QuantityError(
                f"comparing takes {_mib(needed)} MiB even four images at a time, more than the {_mib(limit)} MiB given",
                f"Give `max_memory='{_mib(needed)}MiB'`, or compare fewer images: `probe_images`.",
            )
        block //= 2


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
        now += _value_bytes(node) if owner[node] is node else 0
        most = max(most, now)
        now -= sum(_value_bytes(value) for value in ends.get(node, ()))
    return most


def _value_bytes(node: Node) -> int:
    """Of one image's value; parameters lie in the model."""
    if not is_tensor(node) or node.op == "get_attr":
        return 0
    sizes = [size if isinstance(size, int) else _of_one_image(size) for size in node.meta["shape"]]
    return prod(sizes) * node.meta.get("dtype", torch.float32).itemsize


def _of_one_image(extent: str) -> int:
    """The extent at batch size one: 64 of "64*N"."""
    factors = extent.replace("(", "").replace(")", "").split("*")
    return prod(int(factor) for factor in factors if factor.isdigit())


def _weights_bytes(graph: GraphModule) -> int:
    return sum(tensor.nbytes for tensor in (*graph.parameters(), *graph.buffers()))


def _mib(size: int) -> int:
    return -(-size >> 20)
