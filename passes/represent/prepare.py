"""A private copy of a graph that runs faster and has the same values at its cuts, up to rounding.

A value at a cut is there when its node has run, not for long after: what reads it may overwrite it.
"""

from __future__ import annotations

import copy
import operator
from collections import Counter
from collections.abc import Collection
from typing import Any

import torch
from torch import nn
from torch.fx import GraphModule, Node
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from ..graphs.conventions import by_name, is_tensor, target_name

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_FUSED: dict[tuple[type[nn.Module], type[nn.Module]], Any] = {
    **dict.fromkeys(zip(_CONVOLUTIONS, _NORMS, strict=True), fuse_conv_bn_eval),
    (nn.Linear, nn.BatchNorm1d): fuse_linear_bn_eval,
}


def for_comparison(graph: GraphModule, cuts: Collection[str]) -> GraphModule:
    """The graph up to the last of `cuts` (nodes), with BatchNorm folded into the convolution before it unless that
    is a cut itself, ready for maps in channels-last memory, which convolutions like best."""
    private = copy.deepcopy(graph)
    _cut_off(private, cuts)
    _fold_batch_norm(private, cuts)
    _overwrite(private)
    _allow_any_strides(private)
    private.to(memory_format=torch.channels_last)
    private.recompile()
    return private


def _cut_off(graph: GraphModule, cuts: Collection[str]) -> None:
    """Nothing behind the last cut is needed."""
    nodes = by_name(graph.graph)
    names = list(nodes)
    last = nodes[max(cuts, key=names.index)]
    (end,) = (node for node in graph.graph.nodes if node.op == "output")
    end.args = (last,)
    for node in reversed(names[names.index(last.name) + 1 : -1]):
        graph.graph.erase_node(nodes[node])
    graph.delete_all_unused_submodules()


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


def _overwrite(graph: GraphModule) -> None:
    """ReLUs and sums whose argument nobody else reads take its memory: fresh memory costs as much as the arithmetic."""
    fresh = {n for n in graph.graph.nodes if _allocates(graph, n) and len(n.users) == 1}
    for node in graph.graph.nodes:
        if not node.args or node.args[0] not in fresh:
            continue
        if _is_relu(graph, node):
            node.op, node.target, node.args, node.kwargs = "call_function", torch.relu_, node.args[:1], {}
        elif _is_sum(node) and _shape(node) == _shape(node.args[0]) != ():
            node.op, node.target = "call_function", operator.iadd


def _is_relu(graph: GraphModule, node: Node) -> bool:
    if node.op == "call_module":
        return type(graph.get_submodule(str(node.target))) is nn.ReLU
    return node.target in (functional.relu, torch.relu)


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


def _allow_any_strides(graph: GraphModule) -> None:
    """`view` refuses what does not lie in memory as it is numbered; `reshape` is the same and copies then."""
    for node in graph.graph.nodes:
        sizes = [*node.args[1:], *node.kwargs.values()]
        if target_name(node) != "view" or any(isinstance(size, torch.dtype) for size in sizes):
            continue
        if node.op == "call_method":
            node.target = "reshape"
        elif node.op == "call_function":
            node.target = torch.ops.aten.reshape.default
