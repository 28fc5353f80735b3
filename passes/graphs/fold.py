"""A matrix folded into the weights that read a value: W' = W A, so that the value may have other channels."""

from __future__ import annotations

import copy
from math import prod

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from .conventions import by_name, is_scalar


def widens(graph: GraphModule, node: Node) -> tuple[int, int] | None:
    """What one channel more of a value would add to the operators that read it: (params, MACs for one image). None
    where any of them is no convolution without groups and no Linear, or is called more than once."""
    params = macs = 0
    for reader in _readers(node):
        layer = _layer(graph, reader)
        if layer is None or reader.args[0] is not node or _calls(graph, reader) > 1:
            return None
        weights = layer.weight[:, 0].numel()
        shape = reader.meta["shape"]
        positions = prod(shape[2:]) if isinstance(layer, nn.Conv2d) else prod(shape[1:-1])
        params, macs = params + weights, macs + weights * positions
    return (params, macs) if params else None


def fold(graph: GraphModule, name: str, matrix: Tensor) -> GraphModule:
    """The graph with the layers that read the value at node `name` taking inputs of which theirs are `matrix` times.

    matrix: [their input channels, new ones]; the graph's other layers are shared with the one returned. The part before
    the node still makes the old channels: only what lies after it may be used.
    """
    folded = GraphModule(graph, copy.deepcopy(graph.graph))
    folded.meta = dict(graph.meta)
    for reader in _readers(by_name(graph.graph)[name]):
        layer = _layer(graph, reader)
        assert layer is not None
        owner, _, name = str(reader.target).rpartition(".")
        setattr(folded.get_submodule(owner), name, _folded(layer, matrix))
    return folded.eval()


def _folded(layer: nn.Conv2d | nn.Linear, matrix: Tensor) -> nn.Conv2d | nn.Linear:
    inputs, bias = matrix.shape[1], layer.bias is not None
    new: nn.Conv2d | nn.Linear
    if isinstance(layer, nn.Conv2d):
        new = nn.Conv2d(
            inputs, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,  # type: ignore[arg-type]
            bias=bias, padding_mode=layer.padding_mode,
        )  # fmt: skip
    else:
        new = nn.Linear(inputs, layer.out_features, bias=bias)
    with torch.no_grad():
        weight = torch.einsum("oc...,ci->oi...", layer.weight.double(), matrix.double())
        new.weight.copy_(weight)
        if layer.bias is not None and new.bias is not None:
            new.bias.copy_(layer.bias)
    return new.to(layer.weight.device).eval()


def _readers(node: Node) -> list[Node]:
    return [user for user in node.users if not is_scalar(user)]


def _layer(graph: GraphModule, node: Node) -> nn.Conv2d | nn.Linear | None:
    layer = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
    if isinstance(layer, nn.Conv2d):
        return layer if layer.groups == 1 else None
    return layer if isinstance(layer, nn.Linear) else None


def _calls(graph: GraphModule, node: Node) -> int:
    return sum(other.op == "call_module" and other.target == node.target for other in graph.graph.nodes)
