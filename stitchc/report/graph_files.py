"""The graph of a model with its cuts, as a file for other tools: Mermaid, Graphviz, Google's Model Explorer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..passes.data.errors import InputError, OutputError
from ..passes.data.plan import Plan
from ..passes.data.printable import one_line
from ..passes.data.whole_file import try_file, whole_file
from .numbers import shape

if TYPE_CHECKING:
    from torch.fx import GraphModule, Node

_GRAPH = "model"  # the identifier of the graph in Model Explorer's files
_CUT = "#a8297a"


def check_graph_file(path: Path, endings: tuple[str, ...], *, force: bool = False) -> None:
    """Before anything slow begins.

    Raises:
        InputError: its name ends in none of `endings`. OutputError: the file is there already and `force` was not
            given, or it cannot be written.
    """
    if path.suffix.lower() not in endings:
        raise InputError(f"'{path}' has no format that can be written", f"End its name in one of {', '.join(endings)}.")
    if path.exists() and not force:
        raise OutputError(f"{path} exists already", "Replace it with `force=True`, or name another file.")
    try_file(path)


def write_graph(path: Path, plan: Plan) -> None:
    """The graph of the plan's first model, with its cuts marked, in the form that the ending of `path` says.

    Raises:
        OutputError: it cannot be written.
    """
    with whole_file(path) as part:
        part.write_text(WRITERS[path.suffix.lower()](plan), encoding="utf-8")


def write_overlay(path: Path, plan: Plan) -> None:
    """The multiply-adds of each node as node data of Model Explorer, for the graph that `write_graph` writes as .json.

    Raises:
        OutputError: it cannot be written.
    """
    results = {name: {"value": macs} for name, macs in node_macs(plan).items()}
    colours = [{"stop": 0, "bgColor": "#ffffff"}, {"stop": 1, "bgColor": "#f0883e"}]
    with whole_file(path) as part:
        part.write_text(_json({_GRAPH: {"results": results, "gradient": colours}}), encoding="utf-8")


def node_macs(plan: Plan) -> dict[str, int]:
    """Of each node of the first model's graph that computes on numbers, its multiply-adds for one image."""
    from ..passes.cost.count import count

    counted = count(plan.graphs[0], plan.models[0].input.size)
    found: dict[str, int] = {}
    for node, cost in zip(counted.program.graph.nodes, counted.costs, strict=True):
        origin = node.meta.get("origin")
        if cost.call is not None and origin is not None:
            found[origin] = found.get(origin, 0) + cost.macs
    return found


def mermaid(plan: Plan) -> str:
    """A flowchart in Mermaid's language: a cut is a rounded node with its number and shape."""
    lines = ["flowchart TB"]
    numbers = {node: f"n{k}" for k, node in enumerate(_nodes(plan.graphs[0]))}
    cuts = {cut.node: cut for cut in plan.cuts[0].cuts}
    for node, number in numbers.items():
        said = "<br/>".join(map(_mermaid, _words(plan, node)))
        ends = ('(["', '"]):::cut') if node.name in cuts else ('["', '"]')
        lines.append(f"  {number}{ends[0]}{said}{ends[1]}")
    lines += [f"  {numbers[a]} --> {numbers[b]}" for a, b in _edges(numbers)]
    lines.append(f"  classDef cut stroke:{_CUT},stroke-width:3px")
    return "\n".join(lines) + "\n"


def dot(plan: Plan) -> str:
    """A graph in Graphviz' language: a cut is a rounded node with its number and shape."""
    lines = ["digraph model {", '  node [shape=box, fontname="sans-serif", fontsize=10];']
    numbers = {node: f"n{k}" for k, node in enumerate(_nodes(plan.graphs[0]))}
    cuts = {cut.node for cut in plan.cuts[0].cuts}
    for node, number in numbers.items():
        said = r"\n".join(map(_dot, _words(plan, node)))
        marked = f', style=rounded, color="{_CUT}", penwidth=2' if node.name in cuts else ""
        lines.append(f'  {number} [label="{said}"{marked}];')
    lines += [f"  {numbers[a]} -> {numbers[b]};" for a, b in _edges(numbers)]
    return "\n".join([*lines, "}"]) + "\n"


def explorer(plan: Plan) -> str:
    """A graph as Model Explorer reads it from a file: its nodes have the names that cuts and overlays use, and lie in
    the modules that call them."""
    cuts = {cut.node: cut for cut in plan.cuts[0].cuts}
    shown = list(_nodes(plan.graphs[0]))
    nodes = []
    for node in shown:
        cut = cuts.get(node.name)
        attributes = {"cut": str(cut.index), "shape": shape(cut.value.shape)} if cut else {}
        nodes.append({
            "id": node.name,
            "label": _kind(plan.graphs[0], node),
            "namespace": "/".join(one_line(path).replace("/", "_") for path, _ in node.meta.get("scopes", ())),
            "incomingEdges": [
                {"sourceNodeId": given.name, "sourceNodeOutputId": "0", "targetNodeInputId": str(k)}
                for k, given in enumerate(node.all_input_nodes) if given in shown
            ],
            "attrs": [{"key": key, "value": value} for key, value in attributes.items()],
        })  # fmt: skip
    return _json({"label": one_line(plan.models[0].name), "graphs": [{"id": _GRAPH, "nodes": nodes}]})


#: By the ending of the file's name.
WRITERS: dict[str, Callable[[Plan], str]] = {".mmd": mermaid, ".dot": dot, ".json": explorer}


def _nodes(graph: GraphModule) -> Iterator[Node]:
    """Without what only fetches a stored tensor."""
    yield from (node for node in graph.graph.nodes if node.op != "get_attr")


def _edges(shown: dict[Node, str]) -> Iterator[tuple[Node, Node]]:
    yield from ((given, node) for node in shown for given in node.all_input_nodes if given in shown)


def _words(plan: Plan, node: Node) -> list[str]:
    """The lines of a node: what it calls, where, and which cut its value is."""
    cut = next((cut for cut in plan.cuts[0].cuts if cut.node == node.name), None)
    where = str(node.target) if node.op == "call_module" else node.name
    marked = [f"cut {cut.index}: {shape(cut.value.shape)}"] if cut else []
    return [_kind(plan.graphs[0], node), where, *marked]


def _kind(graph: GraphModule, node: Node) -> str:
    if node.op == "call_module":
        return type(graph.get_submodule(str(node.target))).__name__
    if node.op in ("placeholder", "output"):
        return {"placeholder": "input"}.get(node.op, node.op)
    return str(getattr(node.target, "__name__", node.target))


def _mermaid(text: str) -> str:
    """Text of a label: what could be markup as its character code."""
    return re.sub(r"[^\w .,:×=-]", lambda mark: f"#{ord(mark[0])};", one_line(text))


def _dot(text: str) -> str:
    return one_line(text).replace("\\", r"\\").replace('"', r"\"")


def _json(document: Any) -> str:
    return json.dumps(document, indent=1, allow_nan=False) + "\n"
