"""The pass `partition`: the cuts of every graph, and why the other values are none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from torch.fx import Graph, GraphModule, Node

from ..data.errors import CutError, unknown
from ..data.pass_options import RULES, PartitionOptions
from ..data.plan import Plan, fields_after
from ..data.values import Cut, Cuts, Rejected, Value
from ..graphs.conventions import (
    dependencies,
    is_scalar,
    is_tensor,
    output,
    placeholder,
    reads_input,
    result,
    target_name,
)
from ..graphs.fold import widens
from ..graphs.layouts import layouts
from ..graphs.live import crossing
from ..pipeline import Pass

# Modules that only hold others: that a value is the output of one says nothing that its last child does not.
_CONTAINERS = frozenset({"Sequential", "ModuleList", "ModuleDict"})
# What hands its first argument on, number for number.
_SAME_NUMBERS = frozenset(
    {"Identity", "Dropout", "Dropout1d", "Dropout2d", "AlphaDropout", "Flatten", "Unflatten"}
    | {"contiguous", "clone", "detach", "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze"}
)
# Where a call of each has its number of groups; a module has it as an attribute.
_CONVOLUTIONS = {"conv1d": 6, "conv2d": 6, "conv3d": 6, "convolution": 8, "Conv1d": 6, "Conv2d": 6, "Conv3d": 6}


@dataclass(frozen=True)
class Partition(Pass, PartitionOptions):
    """The cuts of every graph under one rule.

    rule: "single-tensor", every value that alone crosses; or "stitchnet", those of StitchNet (Teerapittayanon et al.,
    "StitchNet: Composing Neural Networks from Pre-Trained Fragments"): of these, the inputs of convolutions without
    groups and of Linear layers on vectors, the network's first operator left out.
    """

    name: ClassVar[str] = "partition"
    requires: ClassVar[tuple[str, ...]] = ("graphs",)
    ensures: ClassVar[tuple[str, ...]] = ("cuts",)
    drops: ClassVar[tuple[str, ...]] = fields_after("cuts")

    def run(self, plan: Plan) -> Plan:
        return replace(plan, cuts=tuple(partition(graph, self.rule) for graph in plan.graphs))


def partition(graph_module: GraphModule, rule: str = "single-tensor") -> Cuts:
    """The cuts of one graph, and every other value that depends on the image with the reason why it is none.

    Linear in the size of the graph.

    Raises:
        CutError: there is no rule of that name.
    """
    if rule not in RULES:
        raise unknown(rule, "rule for cuts", RULES, CutError)
    graph = graph_module.graph
    image_values = reads_input(graph, dependencies(graph))
    refused = _crossings(graph, image_values)
    refused |= _ends(graph, image_values)
    if rule == "stitchnet":
        refused |= _not_stitchnet(graph_module, image_values - refused.keys())
    shown = layouts(graph_module)

    classes = {path: kind for node in graph.nodes for path, kind in node.meta.get("scopes", ())}
    cuts: list[Cut] = []
    rejected: list[Rejected] = []
    for node in graph.nodes:
        if node not in image_values or node.op in ("placeholder", "output") or node is result(graph):
            continue
        found = refused.get(node) or _kind_refused(node) or shown[node]
        if isinstance(found, Value):
            found = replace(found, widens=widens(graph_module, node))
            cuts.append(Cut(len(cuts), node.name, _path(node, classes), found, tuple(node.meta.get("outputs_of", ()))))
        else:
            rejected.append(Rejected(node.name, _path(node, classes), found))
    return Cuts(rule, tuple(cuts), tuple(rejected))


def _crossings(graph: Graph, image_values: set[Node]) -> dict[Node, str]:
    """Of every value that does not cross alone: what crosses with it."""
    refused = dict.fromkeys(image_values, "the output does not depend on it")
    for node, others in crossing(graph):
        if others:
            refused[node] = _company(others)
        else:
            del refused[node]
    return refused


def _company(live: Mapping[Node, None]) -> str:
    first = [node.name for node, _ in zip(live, range(2), strict=False)]
    values = "1 other value crosses" if len(live) == 1 else f"{len(live)} other values cross"
    return f"{values} with it: {', '.join(first)}{', ...' if len(live) > 2 else ''}"


def _ends(graph: Graph, image_values: set[Node]) -> dict[Node, str]:
    """The values that hold the numbers of the input, or of the output, under another name or shape."""
    found: dict[Node, str] = {}
    ahead = placeholder(graph)
    for node in graph.nodes:
        if node.args and node.args[0] is ahead and _hands_on(node):
            found[node] = "it is the input"
            ahead = node
    node = result(graph)
    while _hands_on(node) and isinstance(node.args[0], Node) and node.args[0] in image_values:
        node = node.args[0]
        found[node] = "it is the output: nothing is computed after it"
    return found


def _hands_on(node: Node) -> bool:
    return _operator(node) in _SAME_NUMBERS


def _operator(node: Node) -> str:
    """The class of the module that a node calls, or the bare name of its function or method."""
    if node.op == "call_module":
        return type(_module(node)).__name__
    return target_name(node)


def _module(node: Node) -> object:
    owner = node.graph.owning_module
    return owner.get_submodule(str(node.target)) if owner else None


def _kind_refused(node: Node) -> str:
    """Why the node's value is of no kind that can be stitched, or ""."""
    if not is_tensor(node):
        return "an in-place write, not a value" if target_name(node) in ("setitem", "__setitem__") else "a tuple"
    dtype = node.meta.get("dtype")
    if dtype is not None and not dtype.is_floating_point:
        return f"not a floating-point tensor: {str(dtype).removeprefix('torch.')}"
    return ""


def _not_stitchnet(graph_module: GraphModule, nodes: set[Node]) -> dict[Node, str]:
    """Why values that alone cross are no cuts under StitchNet's rule."""
    operators = [node for node in graph_module.graph.nodes if _opens_fragment(node)]
    opened = dict.fromkeys(node.args[0] for node in operators)
    first = next(iter(opened), None)
    refused = {}
    for node in nodes:
        readers = [user for user in node.users if not is_scalar(user)]
        if node not in opened:
            refused[node] = "no convolution without groups and no Linear on vectors reads it"
        elif node is first:
            refused[node] = "the network's first operator reads it"
        elif len(readers) > 1 and not all(_operator(reader) in _CONVOLUTIONS for reader in readers):
            refused[node] = f"read by {len(readers)} nodes that are not all convolutions"
    return refused


def _opens_fragment(node: Node) -> bool:
    """Whether a fragment of StitchNet may begin with this node: a convolution with groups=1, a Linear on [N, C]."""
    if not node.args or not isinstance(node.args[0], Node) or not is_tensor(node.args[0]):
        return False
    kind = _operator(node)
    if kind in _CONVOLUTIONS:
        if node.op == "call_module":
            return bool(getattr(_module(node), "groups", 1) == 1)
        place = _CONVOLUTIONS[kind]
        return bool((node.args[place] if len(node.args) > place else node.kwargs.get("groups", 1)) == 1)
    return kind in ("Linear", "linear") and len(node.args[0].meta["shape"]) == 2


def _path(node: Node, classes: Mapping[str, str]) -> str:
    """The outermost module, plain containers aside, whose output the value is; else the one that encloses it."""
    for path in reversed(node.meta.get("outputs_of", ())):
        if classes.get(path) not in _CONTAINERS:
            return path
    scopes = node.meta.get("scopes", ())
    return scopes[-1][0] if scopes else ""
