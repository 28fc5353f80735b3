"""`nn.MultiheadAttention` written out: its projections are operators to heal like any other."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, cast

import torch.nn.functional as F
from torch import nn
from torch.fx import GraphModule, Node

from .conventions import target_name


def written_out(graph: GraphModule) -> GraphModule:
    """The graph with each self-attention as two `linear` around `scaled_dot_product_attention`, on the same parameters
    and with the same values at every node that both have. The node of the module becomes the projection to queries,
    keys and values, the node that takes its result that of the output. The graph itself where there is none."""
    if not any(_attention(graph, node) for node in graph.graph.nodes):
        return graph
    written = GraphModule(graph, copy.deepcopy(graph.graph))
    for node in list(written.graph.nodes):
        module = _attention(written, node)
        if module:
            _write_out(written, node, module)
    written.graph.lint()
    written.recompile()
    return written.eval()


def _attention(graph: GraphModule, node: Node) -> nn.MultiheadAttention | None:
    """The module of a node of plain self-attention on a batch, without masks, whose attention weights nobody reads."""
    module = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
    if not isinstance(module, nn.MultiheadAttention) or module.in_proj_weight is None:
        return None
    if module.bias_k is not None or module.add_zero_attn or node.kwargs.get("is_causal"):
        return None
    if len(node.args) < 3 or len(node.all_input_nodes) > 1 or len(node.all_input_nodes[0].meta.get("shape", ())) != 3:
        return None
    (user,) = node.users if len(node.users) == 1 else (None,)
    return module if user is not None and target_name(user) == "getitem" and user.args[1] == 0 else None


def _write_out(graph: GraphModule, node: Node, module: nn.MultiheadAttention) -> None:
    path, x, (taken,) = str(node.target), cast(Node, node.args[0]), node.users
    part, name = node.meta.get("origin", (None, node.name))
    shape = x.meta["shape"]
    heads, width = module.num_heads, module.head_dim

    def call(what: str, function: Callable[..., Any] | str, *args: Any) -> Node:
        kind = "call_method" if isinstance(function, str) else "call_function"
        made = graph.graph.create_node(kind, function, args, name=f"{name}_{what}")  # the same in parent and hybrid
        made.meta = {"scopes": node.meta["scopes"]} if "scopes" in node.meta else {}
        if part is not None:
            made.meta["origin"] = (part, f"{name}_{what}")
        return made

    def parameter(of: str) -> Node | None:
        holder, _, last = f"{path}.{of}".rpartition(".")
        if getattr(graph.get_submodule(holder), last) is None:
            return None
        return graph.graph.get_attr(f"{path}.{of}")

    with graph.graph.inserting_before(node):
        given = (x, parameter("in_proj_weight"), parameter("in_proj_bias"))
    node.op, node.target, node.args, node.kwargs = "call_function", F.linear, given, {}
    node.meta |= {"shape": (*shape[:-1], 3 * heads * width), "dtype": x.meta.get("dtype")}
    batch, token = (0, 1) if module.batch_first else (1, 0)
    with graph.graph.inserting_before(taken):
        split = call("heads", "unflatten", node, -1, (3, heads, width))
        turned = call("turned", "permute", split, 2, batch, 3, token, 4)
        three = [call(f"part{i}", "select", turned, 0, i) for i in range(3)]
        mixed = call("mixed", F.scaled_dot_product_attention, *three)
        back = (0, 2, 1, 3) if module.batch_first else (2, 0, 1, 3)
        whole = call("back", "permute", mixed, *back)
        joined = call("joined", "flatten", whole, -2)
        joined.meta |= {"shape": shape, "dtype": x.meta.get("dtype")}
        out = (joined, parameter("out_proj.weight"), parameter("out_proj.bias"))
    taken.op, taken.target, taken.args, taken.kwargs = "call_function", F.linear, out, {}
