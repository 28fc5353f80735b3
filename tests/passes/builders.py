"""Graphs of a few nodes, written as what they compute."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.fx import GraphModule, Node

from stitchc.passes.trace.record import record


class Net(nn.Module):
    """The given parts under their names, and a forward that is a function of the net and the image."""

    def __init__(self, forward: Callable[[Any, Tensor], Tensor], parts: dict[str, Any]):
        super().__init__()
        self.compute = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(self, x)


def graph_of(forward: Callable[[Any, Tensor], Tensor], size: tuple[int, ...] = (3, 8, 8), **parts: Any) -> GraphModule:
    """The recorded graph of `forward(net, image)` for images [batch, *size]; `parts` are modules and parameters."""
    return record(Net(forward, parts), size)


def node_of(graph: GraphModule, name: str) -> Node:
    return next(node for node in graph.graph.nodes if node.name == name)
