"""Fragments out of graphs, and one graph out of fragments."""

from __future__ import annotations

import copy
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.fx import GraphModule, Node

from ..data.errors import CutError
from .conventions import by_name, dependencies, is_scalar, placeholder, reachable, result, writes_input


@dataclass(frozen=True)
class Part:
    """A fragment of a graph: from the value of node `start` (None: the input) to that of `end` (None: the output).

    name: what its modules are put under ("front"). title: the class name that its scope gets ("Front").
    """

    name: str
    title: str
    graph: GraphModule
    start: str | None = None
    end: str | None = None


def part_of(node: Node) -> str:
    """The name of the part of a composed graph that a node comes from; empty where it comes from none."""
    return str(node.meta.get("origin", ("",))[0])


def compose(parts: Sequence[Part], *, copy_weights: bool = True) -> GraphModule:
    """One flat graph that runs the parts one after the other; it obeys `passes/graphs/conventions.py`.

    What a later part needs besides its start (constants, tables made of parameters) is computed again in it; the batch
    size is read from its start. Weights are copied, so that a change in the whole changes none of its sources; within
    a part, what was shared stays shared.
    """
    graph = fx.Graph()
    holders: dict[str, Any] = {}
    value = graph.placeholder("input")
    value.meta = _entered(parts[0])
    for part in parts:
        value = _append(graph, holders, part, value, copy_weights)
    graph.output(value)
    whole = GraphModule(holders, graph, class_name="Stitched")
    whole.meta["notes"] = ()
    return whole.eval()


def side_by_side(parts: Sequence[Part], join: Part) -> GraphModule:
    """One graph that runs each part on the input, and the last on all that they give: [images, parts, ...]. Weights are
    copied."""
    graph = fx.Graph()
    holders: dict[str, Any] = {}
    image = graph.placeholder("input")
    image.meta = dict(placeholder(parts[0].graph.graph).meta)
    found = []
    for part in parts:
        value = image
        if writes_input(part.graph.graph):  # the next part wants the image as it was
            value = graph.call_method("clone", (image,))
            value.meta = dict(image.meta)
        found.append(_append(graph, holders, part, value, copy_weights=True))
    stacked = graph.call_function(torch.stack, (found,), {"dim": 1})
    images, *rest = found[0].meta["shape"]
    stacked.meta = {"shape": (images, len(parts), *rest), "dtype": found[0].meta["dtype"], "scopes": ()}
    graph.output(_append(graph, holders, join, stacked, copy_weights=True))
    whole = GraphModule(holders, graph, class_name="Stitched")
    whole.meta["notes"] = ()
    return whole.eval()


def fragment(graph: GraphModule, start: str | None = None, end: str | None = None) -> GraphModule:
    """A part of a graph on its own, sharing its weights, paths unchanged."""
    return compose([Part("", "", graph, start, end)], copy_weights=False)


def values_at(graph: GraphModule, nodes: Sequence[str]) -> GraphModule:
    """The graph up to the last of `nodes`, which returns the values at all of them as a tuple, sharing its weights.

    Each value is a copy, since what follows may write over it.
    """
    source = by_name(graph.graph)
    needs = dependencies(graph.graph)
    wanted = set[Node]().union(*(reachable(source[name], needs) for name in nodes))
    head, made = fx.Graph(), dict[Node, Node]()
    taken = {}
    for node in graph.graph.nodes:
        if node in wanted or node.op == "placeholder":
            made[node] = head.node_copy(node, made.__getitem__)
        if node.name in nodes:
            taken[node.name] = head.call_method("clone", (made[node],))
    head.output(tuple(taken[name] for name in nodes))
    return GraphModule(graph, head).eval()


def _entered(part: Part) -> dict[str, Any]:
    """What is known of the value that a part is given."""
    if part.start is None:
        return dict(placeholder(part.graph.graph).meta)
    start = by_name(part.graph.graph)[part.start]
    return {key: start.meta[key] for key in ("shape", "dtype") if key in start.meta}


def _append(graph: fx.Graph, holders: dict[str, Any], part: Part, value: Node, copy_weights: bool) -> Node:
    source = part.graph.graph
    nodes = by_name(source)
    start = nodes[part.start] if part.start else placeholder(source)
    end = nodes[part.end] if part.end else result(source)
    wanted = _needed(source, start, end, part)
    memo: dict[int, Any] = {}
    made: dict[Node, Node] = {start: value}
    prefix = f"{part.name}." if part.name else ""
    scope = ((part.name, part.title),) if part.name else ()

    for node in source.nodes:
        if node not in wanted or node is start:
            continue
        if node.op == "placeholder":
            raise CutError(f"the input itself crosses the cut '{part.start}'")
        if _is_batch_size(node, placeholder(source)):
            new = graph.call_method("size", (value, 0))
            new.meta = _prefixed(node.meta, prefix, scope) | {"batch_size": True}
        else:
            new = graph.node_copy(node, made.__getitem__)
            new.meta = _prefixed(node.meta, prefix, scope)
        new.meta["origin"] = (part.name, node.name)
        if node.op in ("call_module", "get_attr"):
            new.target = prefix + str(node.target)
            if new.target not in holders:
                held = _held(part.graph, node)
                holders[new.target] = copy.deepcopy(held, memo) if copy_weights else held
        made[node] = new
    return made[end]


def _needed(source: fx.Graph, start: Node, end: Node, part: Part) -> set[Node]:
    """What `end` needs when `start` is given. The batch size is given with it."""
    needs = dependencies(source)
    image = placeholder(source)
    seen, stack = {end}, [end]
    while stack:
        node = stack.pop()
        if node is start or _is_batch_size(node, image):
            continue
        for needed in needs[node]:
            if needed not in seen:
                seen.add(needed)
                stack.append(needed)
    if start not in seen:
        raise CutError(f"'{part.end or 'the output'}' does not depend on '{part.start or 'the input'}'")
    if start is not image and image in seen:
        raise CutError(f"'{start.name}' is no cut: other values reach '{end.name}' beside it")
    return seen


def _is_batch_size(node: Node, image: Node) -> bool:
    """Whether a node is the number of images: read from the image, or, in a composed graph, from where a part began."""
    return is_scalar(node) and (image in node.all_input_nodes or "batch_size" in node.meta)


def _prefixed(meta: dict[str, Any], prefix: str, scope: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    new: dict[str, Any] = {key: meta[key] for key in ("shape", "dtype", "scalar", "inplace") if key in meta}
    new["scopes"] = scope + tuple((prefix + path, kind) for path, kind in meta.get("scopes", ()))
    if "drops" in meta:
        new["drops"] = tuple(drop.under(prefix, scope) for drop in meta["drops"])
    if "outputs_of" in meta:
        new["outputs_of"] = tuple(prefix + path for path in meta["outputs_of"])
    return new


def _held(graph: GraphModule, node: Node) -> nn.Module | torch.Tensor:
    return operator.attrgetter(str(node.target))(graph)
