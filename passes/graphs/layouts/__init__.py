"""Which axis of every value is batch, channels, height, width and tokens, by what the graph does with it.

The image is [N, C, H, W]. From there one sweep in graph order follows every axis through the operators: convolutions
make new channels, reshapes split and merge axes, permutes move them, a class token put before the positions makes them
tokens. Sizes are never interpreted: two axes of the same size are never confused.
"""

from __future__ import annotations

from torch.fx import GraphModule, Node

from ...data.values import Value
from . import move  # fills the table of rules
from .axes import BATCH, Axes, fresh, unknown
from .call import Call, TupleAxes
from .compute import infer
from .read import read

__all__ = ["layouts"]


def layouts(graph_module: GraphModule) -> dict[Node, Value | str]:
    """Of every tensor in the graph: its shape and layout, or the reason why nothing can be stitched to it."""
    found: dict[Node, Axes | TupleAxes] = {}
    for node in graph_module.graph.nodes:
        found[node] = _axes(graph_module, node, found)
    # Only now: what reads a value may tell more of it than what made it.
    return {
        node: read(axes, node.meta["shape"])
        for node, axes in found.items()
        if isinstance(axes, tuple) and "shape" in node.meta
    }


def _axes(graph_module: GraphModule, node: Node, found: dict[Node, Axes | TupleAxes]) -> Axes | TupleAxes:
    shape = node.meta.get("shape", ())
    if node.op == "placeholder" and len(shape) == 4:
        return ((BATCH,), fresh(shape[1], "C"), fresh(shape[2], "H"), fresh(shape[3], "W"))
    if node.op in ("placeholder", "get_attr"):
        return unknown(shape)
    if node.op == "output" or node.meta.get("scalar"):
        return ()
    module = graph_module.get_submodule(str(node.target)) if node.op == "call_module" else None
    axes = infer(Call(node, module, found))
    if isinstance(axes, tuple) and len(axes) != len(shape):
        return unknown(shape)
    return axes
