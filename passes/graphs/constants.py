"""Constants that a model computes in `forward` from nothing (masks, position grids) become buffers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from .conventions import dependencies

# What is random is no constant, even when nothing goes in.
_RANDOM = frozenset(
    {"rand", "randn", "randint", "randperm", "bernoulli", "normal", "rand_like", "randn_like", "multinomial"}
)


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
        elif node.op in ("call_function", "call_method") and _is_constant(node, needs, values):
            values[node] = _run(node, values)

    kept = [n for n in values if isinstance(values[n], Tensor) and any(u not in values for u in n.users)]
    index = len(constants)
    for node in kept:
        if node.op == "get_attr":
            continue
        name = f"_constant{index}"
        index += 1
        graph_module.register_buffer(name, values[node].detach().clone())
        with graph.inserting_before(node):
            constant = graph.get_attr(name)
        constant.meta = {k: v for k, v in node.meta.items() if k in ("shape", "dtype", "scopes")}
        for user in list(node.users):
            if user not in values:
                user.replace_input_with(node, constant)
    # What is left of them has users among themselves only; the last go first.
    for node in reversed(list(values)):
        if not node.users:
            graph.erase_node(node)
    graph_module.delete_all_unused_submodules()
    _drop_unused_constants(graph_module)
    graph_module.recompile()
    return graph_module


def _is_constant(node: Node, needs: dict[Node, tuple[Node, ...]], values: dict[Node, Any]) -> bool:
    name = getattr(node.target, "__name__", node.target)
    random = name in _RANDOM or (str(name).endswith("_like") and "rand" in str(name))
    return not random and all(n in values for n in needs[node])


def _run(node: Node, values: dict[Node, Any]) -> Any:
    args = map_arg(node.args, values.__getitem__)
    kwargs = map_arg(node.kwargs, values.__getitem__)
    with torch.no_grad():
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        assert callable(node.target)
        return node.target(*args, **kwargs)


def _drop_unused_constants(graph_module: GraphModule) -> None:
    used = {n.target for n in graph_module.graph.nodes if n.op == "get_attr"}
    for name in [n for n, _ in graph_module.named_buffers(recurse=False)]:
        if name.startswith("_constant") and name not in used:
            delattr(graph_module, name)
