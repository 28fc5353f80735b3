"""Private copies of graphs that run faster and have the same values, up to rounding."""

from __future__ import annotations

import copy
import operator
from collections import Counter
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from ..data.memory import Memory
from .conventions import is_tensor, target_name
from .placement import device_of, fast_layout

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_FUSED: dict[tuple[type[nn.Module], type[nn.Module]], Any] = {
    **dict.fromkeys(zip(_CONVOLUTIONS, _NORMS, strict=True), fuse_conv_bn_eval),
    (nn.Linear, nn.BatchNorm1d): fuse_linear_bn_eval,
}


def has_room(graph: GraphModule, memory: Memory) -> bool:
    """Whether a copy of a graph's weights takes a small part of what may be used while networks run."""
    return sum(tensor.nbytes for tensor in (*graph.parameters(), *graph.buffers())) <= memory.running // 4


def faster(graph: GraphModule, kept: Collection[str] = ()) -> GraphModule:
    """A copy with BatchNorm folded into the convolution before it unless that is one of `kept` (nodes), its weights in
    the order that convolutions are fast with, and ready for maps in that order. All nodes of `kept` are in it."""
    private = copy.deepcopy(graph)
    _fold_batch_norm(private, kept)
    for node in _views(private):
        _reshape_instead(node)
    private.to(memory_format=fast_layout(device_of(private)))
    private.recompile()
    return private


def for_any_strides(graph: GraphModule) -> GraphModule:
    """The graph on the same weights, ready for maps in channels-last memory; the graph itself where it is."""
    if not _views(graph):
        return graph
    ready = GraphModule(graph, copy.deepcopy(graph.graph))
    for node in _views(ready):
        _reshape_instead(node)
    ready.recompile()
    return ready.train(graph.training)


def overwriting(graph: GraphModule) -> GraphModule:
    """The graph, changed: activations and sums take the memory of an argument that nobody else reads, since fresh
    memory costs as much as the arithmetic. A value is there when its node has run, not for long after."""
    fresh = {n for n in graph.graph.nodes if _allocates(graph, n) and len(n.users) == 1}
    for node in graph.graph.nodes:
        if not node.args or node.args[0] not in fresh:
            continue
        if (activation := _activation(graph, node)) is not None:
            node.op, node.target, node.args, node.kwargs = "call_function", activation, node.args[:1], {}
        elif _is_sum(node) and _shape(node) == _shape(node.args[0]) != ():
            node.op, node.target = "call_function", operator.iadd
    graph.recompile()
    return graph


def _fold_batch_norm(graph: GraphModule, cuts: Collection[str]) -> None:
    modules = dict(graph.named_modules(remove_duplicate=False))
    uses = Counter(id(modules[n.target]) for n in graph.graph.nodes if n.op == "call_module")
    for norm in list(graph.graph.nodes):
        before = _only_input(norm)
        if before is None or len(before.users) > 1 or before.name in cuts:
            continue
        pair = modules[str(before.target)], modules[str(norm.target)]
        fuse = _FUSED.get((type(pair[0]), type(pair[1])))
        if fuse is None or any(uses[id(module)] > 1 for module in pair) or pair[1].running_var is None:
            continue
        _put(graph, str(norm.target), fuse(*pair))  # the name that cuts know is the BatchNorm's
        norm.args, norm.kwargs = before.args, before.kwargs
        graph.graph.erase_node(before)


def _only_input(node: Node) -> Node | None:
    """The node before, where both are calls of a module on a single value."""
    if node.op != "call_module" or len(node.all_input_nodes) != 1:
        return None
    before = node.all_input_nodes[0]
    return before if before.op == "call_module" and len(before.all_input_nodes) == 1 else None


def _relu6_(x: Tensor) -> Tensor:
    return functional.hardtanh_(x, 0.0, 6.0)


_ACTIVATIONS: dict[Any, Any] = {
    **dict.fromkeys((nn.ReLU, functional.relu, torch.relu), torch.relu_),
    **dict.fromkeys((nn.ReLU6, functional.relu6), _relu6_),
}


def _activation(graph: GraphModule, node: Node) -> Any:
    """The function that computes the same as a node, in the memory of its argument; None where none is known."""
    if node.op == "call_module":
        return _ACTIVATIONS.get(type(graph.get_submodule(str(node.target))))
    return _ACTIVATIONS.get(node.target) if node.op == "call_function" else None


def _allocates(graph: GraphModule, node: Node) -> bool:
    """Whether the node's value lies in memory of its own, as far as is known."""
    if node.op == "call_module":
        return isinstance(graph.get_submodule(str(node.target)), _CONVOLUTIONS + _NORMS)
    return _is_sum(node) and is_tensor(node)


def _is_sum(node: Node) -> bool:
    return node.op != "call_module" and target_name(node) in ("add", "iadd") and len(node.args) == 2 and not node.kwargs


def _shape(node: object) -> tuple:
    return node.meta.get("shape", ()) if isinstance(node, Node) else ()


def _put(graph: GraphModule, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(graph.get_submodule(parent), name, module)


def _views(graph: GraphModule) -> list[Node]:
    """The nodes that call `view` for other extents."""
    found = []
    for node in graph.graph.nodes:
        sizes = [*node.args[1:], *node.kwargs.values()]
        if target_name(node) == "view" and not any(isinstance(size, torch.dtype) for size in sizes):
            found.append(node)
    return found


def _reshape_instead(node: Node) -> None:
    """`view` refuses what does not lie in memory as it is numbered; `reshape` is the same and copies then."""
    if node.op == "call_method":
        node.target = "reshape"
    elif node.op == "call_function":
        node.target = torch.ops.aten.reshape.default
