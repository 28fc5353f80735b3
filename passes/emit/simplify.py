"""Rewrites that change how a graph reads, and no bit of what it computes."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.fx import Node

from ..graphs.conventions import target_name
from ..graphs.drops import DROPOUTS
from .program import Memory, Program, scopes

_FUNCTIONAL_DROPOUTS = {"dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"}
_PLAIN: dict[Any, Callable[..., Any]] = {
    operator.iadd: operator.add,
    operator.isub: operator.sub,
    operator.imul: operator.mul,
    operator.itruediv: operator.truediv,
    "add_": operator.add,
    "sub_": operator.sub,
    "mul_": operator.mul,
    "div_": operator.truediv,
}


def drop_identities(program: Program) -> None:
    """Remove what returns its input as it is: Identity, Dropout(0), padding by zero, slices of everything."""
    for node in list(program.graph.nodes):
        if _is_identity(node, program) and isinstance(node.args[0], Node):
            node.replace_all_uses_with(node.args[0])
            program.graph.erase_node(node)
    program.drop_unused()


def _is_identity(node: Node, program: Program) -> bool:
    if node.op == "call_module":
        leaf = program.leaves[str(node.target)]
        return isinstance(leaf, nn.Identity) or (isinstance(leaf, DROPOUTS) and leaf.p == 0)
    if node.op != "call_function":
        return False
    name = target_name(node)
    if name in _FUNCTIONAL_DROPOUTS:
        training = node.kwargs.get("training", node.args[2] if len(node.args) > 2 else None)
        return training is False
    if name == "pad":
        amounts = node.args[1] if len(node.args) > 1 else node.kwargs.get("pad")
        return isinstance(amounts, tuple | list) and all(n == 0 for n in amounts) and _untouched(node, program)
    if node.target is operator.getitem:
        index = node.args[1] if isinstance(node.args[1], tuple) else (node.args[1],)
        before = node.args[0].meta.get("shape") if isinstance(node.args[0], Node) else None
        slices = all(isinstance(i, slice) and i.step in (None, 1) for i in index)
        return slices and before is not None and node.meta.get("shape") == before
    return False


def _untouched(node: Node, program: Program) -> bool:
    """Whether nobody writes to the memory of a copy or of its source, so that one may stand for the other."""
    memory = Memory(program)
    return not {memory.root[node], memory.root[node.all_input_nodes[0]]} & set(memory.writers)


def drop_writes(program: Program) -> None:
    """`y += x` becomes `y = y + x` where nobody else looks at the memory of `y` afterwards."""
    memory = Memory(program)
    for node in program.graph.nodes:
        plain = _PLAIN.get(node.target) if node.op in ("call_function", "call_method") else None
        if plain is None or len(node.args) != 2 or node.kwargs or not isinstance(node.args[0], Node):
            continue
        allocated = memory.root[node].op != "get_attr"
        types = [n.meta.get("dtype") for n in node.all_input_nodes]
        if allocated and len(set(types)) == 1 and not memory.read_later(node):
            node.op, node.target = "call_function", plain


# -- concatenation of everything so far ------------------------------------------------------------------------


def nest_concatenations(program: Program) -> None:
    """`cat([a, b, c])` after `cat([a, b])` becomes `cat([cat([a, b]), c])`: what a dense block means.

    A concatenation that a module makes of its arguments before all else moves to its caller, so that every layer of
    the block takes one value.
    """
    so_far: dict[tuple[Any, ...], Node] = {}
    for node in list(program.graph.nodes):
        parts = _concatenated(node)
        if parts is None:
            continue
        axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)
        if len(parts) == 1 and _untouched(node, program):
            so_far[(axis, *parts)] = parts[0]
            node.replace_all_uses_with(parts[0])
            program.graph.erase_node(node)
            continue
        so_far.setdefault((axis, *parts), node)
        prefix = so_far.get((axis, *parts[:-1]))
        if prefix is not None and len(parts) > 2 and _untouched(prefix, program):
            node.args = ([prefix, parts[-1]], axis)
            node.kwargs = {}
        _hoist(node)


def _concatenated(node: Node) -> list[Node] | None:
    if node.target is not torch.cat or not node.args or not isinstance(node.args[0], list | tuple):
        return None
    return list(node.args[0])


def _hoist(node: Node) -> None:
    """Out of every scope that its operands do not know of."""
    chain = scopes(node)
    while chain and not any(chain[-1] in scopes(n) for n in node.all_input_nodes):
        first = node.prev
        while first.op == "get_attr":
            first = first.prev
        if chain[-1] in scopes(first):
            break
        chain = chain[:-1]
    node.meta["scopes"] = chain


# -- layers that were called by their parameters ---------------------------------------------------------------


def restore_layers(program: Program) -> None:
    """`F.linear(x, self.qkv.weight, self.qkv.bias)` becomes `self.qkv(x)`, and likewise for norms and convolutions.

    Where the parameters belong to the enclosing module itself (timm's `BatchNormAct2d`), the node's target is that
    module's own path, and the class that is written derives from the layer.
    """
    owners: dict[str, list[Node]] = {}
    for node in program.graph.nodes:
        if node.op == "get_attr" and "." in str(node.target):
            owners.setdefault(str(node.target).rpartition(".")[0], []).append(node)
    for path, attributes in owners.items():
        users = {user for node in attributes for user in node.users}
        if path in program.leaves or len({target_name(u) for u in users}) != 1:
            continue
        layers = [_as_layer(user, path, program) for user in users]
        if any(layer is None for layer in layers) or len({str(layer) for layer in layers}) != 1:
            continue
        if path in {p for u in users for p, _ in scopes(u)} and len(users) > 1:
            continue
        program.leaves[path] = layers[0]  # type: ignore[assignment]
        for user in users:
            with program.graph.inserting_before(user):
                call = program.graph.call_module(path, (user.args[0],))
            call.meta = dict(user.meta)
            user.replace_all_uses_with(call)
            program.graph.erase_node(user)
    program.drop_unused()


_TENSORS = {
    F.linear: ("weight", "bias"),
    F.layer_norm: ("weight", "bias"),
    F.group_norm: ("weight", "bias"),
    F.batch_norm: ("running_mean", "running_var", "weight", "bias"),
    F.conv2d: ("weight", "bias"),
}


def _as_layer(node: Node, path: str, program: Program) -> nn.Module | None:
    """The layer at `path` that does what the node does, with the program's own tensors in it; None if there is none."""
    if node.op != "call_function" or node.target not in _TENSORS:
        return None
    given = arguments(node)
    if given is None or not isinstance(node.args[0], Node):
        return None
    tensors = {}
    for name in _TENSORS[node.target]:
        value = given.pop(name, None)
        if value is None:
            continue
        if not isinstance(value, Node) or value.target != f"{path}.{name}":
            return None
        tensors[name] = program.tensors[str(value.target)]
    with torch.device("meta"):
        layer = _build(node, tensors, given)
    if layer is None:
        return None
    names = {n for n, _ in [*layer.named_parameters(), *layer.named_buffers()]} - {"num_batches_tracked"}
    if names != set(tensors):
        return None
    for name, tensor in tensors.items():
        setattr(layer, name, tensor)
    if "num_batches_tracked" in dict(layer.named_buffers()):
        layer.num_batches_tracked = torch.zeros((), dtype=torch.long)
    return layer.eval()


def _build(node: Node, tensors: dict[str, Any], given: dict[str, Any]) -> nn.Module | None:
    weight, bias = tensors.get("weight"), "bias" in tensors
    if weight is None:
        return None
    if node.target is F.linear:
        return nn.Linear(weight.shape[1], weight.shape[0], bias=bias)
    if node.target is F.layer_norm:
        return nn.LayerNorm(tuple(given["normalized_shape"]), given.get("eps", 1e-5), bias=bias)
    if node.target is F.group_norm:
        return nn.GroupNorm(given["num_groups"], weight.shape[0], given.get("eps", 1e-5)) if bias else None
    if node.target is F.batch_norm:
        kinds = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
        if given.get("training") or not bias or "running_mean" not in tensors:
            return None
        momentum = given.get("momentum") or 0.1
        return kinds[len(node.meta["shape"])](weight.shape[0], given.get("eps", 1e-5), momentum)
    groups = given.get("groups", 1)
    size = tuple(weight.shape[2:])
    options = {name: given[name] for name in ("stride", "padding", "dilation") if name in given}
    return nn.Conv2d(weight.shape[1] * groups, weight.shape[0], size, groups=groups, bias=bias, **options)


_CONV2D = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_SIGNATURES = {F.linear: ("input", "weight", "bias"), F.conv2d: _CONV2D}


def arguments(node: Node) -> dict[str, Any] | None:
    """The node's arguments by name, without its first; None where torch does not tell the names."""
    names = _SIGNATURES.get(node.target)  # type: ignore[arg-type]
    if names is None:
        try:
            names = tuple(inspect.signature(node.target).parameters)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return None
    if len(node.args) > len(names):
        return None
    return dict(zip(names[1:], node.args[1:], strict=False)) | dict(node.kwargs)
