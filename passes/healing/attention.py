"""`nn.MultiheadAttention` written out: its projections are operators to heal like any other."""

from __future__ import annotations

import copy
from typing import cast

import torch.nn.functional as F
from torch import nn
from torch.fx import GraphModule, Node

from ..graph import target_name


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
    """The module of a node of plain self-attention, whose weights nobody reads."""
    module = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
    if not isinstance(module, nn.MultiheadAttention) or module.in_proj_weight is None:
        return None
    masks = [node.kwargs.get(name) for name in ("key_padding_mask", "attn_mask")] + list(node.args[3:])
    plain = module.bias_k is None and not module.add_zero_attn and not any(isinstance(mask, Node) for mask in masks)
    first = all(target_name(user) == "getitem" and user.args[1] == 0 for user in node.users)
    same = len(node.all_input_nodes) == 1 and len(node.args) >= 3
    batched = same and len(node.all_input_nodes[0].meta.get("shape", ())) == 3
    causal = node.kwargs.get("is_causal")
    return module if plain and first and batched and not causal and len(node.users) == 1 else None


def _write_out(graph: GraphModule, node: Node, module: nn.MultiheadAttention) -> None:
    path, x, (taken,) = str(node.target), cast(Node, node.args[0]), node.users
    part, name = node.meta.get("origin", (None, node.name))
    shape = x.meta["shape"]
    heads, width = module.num_heads, module.head_dim

    def call(what: str, function: object, *args: object, method: bool = False) -> Node:
        made = graph.graph.create_node("call_method" if method else "call_function", function, args, {})  # type: ignore[arg-type]
        made.meta = {key: node.meta[key] for key in ("scopes", "origin") if key in node.meta}
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
        split = call("heads", "unflatten", node, -1, (3, heads, width), method=True)
        turned = call("turned", "permute", split, 2, batch, 3, token, 4, method=True)
        three = [call(f"part{i}", "select", turned, 0, i, method=True) for i in range(3)]
        mixed = call("mixed", F.scaled_dot_product_attention, *three)
        back = (0, 2, 1, 3) if module.batch_first else (2, 0, 1, 3)
        whole = call("back", "permute", mixed, *back, method=True)
        joined = call("joined", "flatten", whole, -2, method=True)
        joined.meta |= {"shape": shape, "dtype": x.meta.get("dtype")}
        out = (joined, parameter("out_proj.weight"), parameter("out_proj.bias"))
    taken.op, taken.target, taken.args, taken.kwargs = "call_function", F.linear, out, {}
