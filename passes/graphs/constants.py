"""Constants that a model computes in `forward` from nothing (masks, position grids) become buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import map_arg

from .conventions import dependencies, target_name

_RANDOM = ("rand", "normal", "bernoulli", "multinomial")


def fold_constants(graph_module: GraphModule) -> GraphModule:
    """Replace every value that depends on no input, batch size, parameter or buffer by a buffer `_constant<i>`.

    In place. In-place writes to such values are carried out too, and dead ones removed.
    """
    graph = graph_module.graph
    needs = dependencies(graph)
    values: dict[Node, Any] = {}
    constants = {n.target for n in graph.nodes if n.op == "get_attr" and str(n.target).startswith("_constant")}
    for node in graph.nodes:
        if node.op == "get_attr" and node.target in constants:
            values[node] = getattr(graph_module, node.target)
        elif _is_constant(node, needs[node], values):
            values[node] = evaluated(node, values)

    def register(node: Node, value: Tensor) -> str:
        name = f"_constant{len(constants)}"
        constants.add(name)
        graph_module.register_buffer(name, value)
        return name

    become_buffers(graph, values, register)
    for node in [n for n in values if n.op == "get_attr" and not n.users]:
        graph.erase_node(node)
    graph_module.delete_all_unused_submodules()
    _drop_unused_constants(graph_module)
    graph_module.recompile()
    return graph_module


def _is_constant(node: Node, needs: Iterable[Node], values: Mapping[Node, Any]) -> bool:
    called = node.op in ("call_function", "call_method")
    return called and not is_random(node) and all(n in values for n in needs)


def is_random(node: Node) -> bool:
    """Whether the node draws numbers: it is no constant even when nothing goes in."""
    name = target_name(node)
    return name.startswith(_RANDOM) or (name.endswith("_like") and "rand" in name)


def evaluated(node: Node, values: Mapping[Node, Any]) -> Any:
    """What a call of a function or method gives for the values of its arguments."""
    args, kwargs = map_arg(node.args, values.__getitem__), map_arg(node.kwargs, values.__getitem__)
    with torch.no_grad():
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        assert callable(node.target)
        return node.target(*args, **kwargs)


def become_buffers(graph: Graph, values: Mapping[Node, Any], register: Callable[[Node, Tensor], str]) -> None:
    """Nodes whose values are constant give way to buffers where others read them, and vanish; constants that are
    buffers already stay.

    values: of the constant nodes, in graph order. register: keeps the value of a node and names it.
    """
    for node, value in values.items():
        if node.op == "get_attr" or not isinstance(value, Tensor) or all(user in values for user in node.users):
            continue
        name = register(node, value.detach().clone())
        with graph.inserting_before(node):
            constant = graph.get_attr(name)
        constant.meta = {key: node.meta[key] for key in ("shape", "dtype", "scopes") if key in node.meta}
        for user in [user for user in node.users if user not in values]:
            user.replace_input_with(node, constant)
    # What is left of them has users among themselves only; the last go first.
    for node in reversed(list(values)):
        if not node.users and node.op != "get_attr":
            graph.erase_node(node)


def _drop_unused_constants(graph_module: GraphModule) -> None:
    used = {n.target for n in graph_module.graph.nodes if n.op == "get_attr"}
    for name in [n for n, _ in graph_module.named_buffers(recurse=False)]:
        if name.startswith("_constant") and name not in used:
            delattr(graph_module, name)
