"""From a flat list of nodes back to nested module calls, by the scopes that tracing recorded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from torch.fx import Node

from ..graphs.conventions import is_scalar, output
from .program import Program, scopes


@dataclass(eq=False)
class Region:
    """One call of one module: what is computed in it, in order, and what crosses its border.

    path, kind: the module's path and class name; both empty for the whole program. items: nodes and inner regions.
    inputs, outputs: values (nodes outside, nodes inside) in order of first use and of computation. `get_attr` nodes
    and batch sizes are written where they are used, so they are no items.
    """

    path: str
    kind: str
    items: list[Node | Region] = field(default_factory=list)
    inputs: list[Node] = field(default_factory=list)
    outputs: list[Node] = field(default_factory=list)

    def nodes(self) -> Iterator[Node]:
        for item in self.items:
            if isinstance(item, Region):
                yield from item.nodes()
            else:
                yield item

    def regions(self) -> Iterator[Region]:
        """This region and all within, inner ones first."""
        for item in self.items:
            if isinstance(item, Region):
                yield from item.regions()
        yield self


def is_inline(node: Node) -> bool:
    """Whether a node is written anew at each use: a tensor by its name, a batch size."""
    return node.op == "get_attr" or (is_scalar(node) and node.op == "call_function")


def regroup(program: Program, kept: frozenset[str] = frozenset()) -> Region:
    """The program as a tree of module calls. kept: paths of scopes that are calls whatever they hold.

    A scope is dissolved into the one around it where it cannot be a call: the module is called in the middle of
    itself, its nodes name layers that lie outside of it, or no class of its own would make it easier to read.
    """
    dissolved: set[str] = set()
    while True:
        root = _build(program, dissolved)
        broken = _twice(root)
        if not broken:
            _find_borders(root, program)
            named = [region for region in root.regions() if region.path and region.path not in kept]
            broken = {region.path for region in named if _is_needless(region, program)}
        if not broken:
            return root
        dissolved |= broken


def _build(program: Program, dissolved: set[str]) -> Region:
    root = Region("", "")
    stack = [root]
    for node in program.graph.nodes:
        if node.op in ("placeholder", "output") or is_inline(node):
            continue
        chain = _chain(node, dissolved)
        depth = 0
        while depth < len(chain) and depth + 1 < len(stack) and stack[depth + 1].path == chain[depth][0]:
            depth += 1
        del stack[depth + 1 :]
        for path, kind in chain[depth:]:
            region = Region(path, kind)
            stack[-1].items.append(region)
            stack.append(region)
        stack[-1].items.append(node)
    return root


def _chain(node: Node, dissolved: set[str]) -> list[tuple[str, str]]:
    """The scopes of a node that can be calls around it: each inside the one before, the node's layer inside all."""
    chain: list[tuple[str, str]] = []
    target = str(node.target) if node.op == "call_module" else None
    for path, kind in scopes(node):
        if chain and not path.startswith(chain[-1][0] + "."):
            break
        if target is not None and not (target + ".").startswith(path + "."):
            break
        if path not in dissolved:
            chain.append((path, kind))
    return chain


def _twice(root: Region) -> set[str]:
    """Paths that are called more than once. Written as one call each time, the two could differ."""
    counts = Counter(region.path for region in root.regions())
    return {path for path, count in counts.items() if count > 1}


def _find_borders(root: Region, program: Program) -> None:
    position = {node: i for i, node in enumerate(program.graph.nodes)}
    final = output(program.graph).all_input_nodes
    for region in root.regions():
        inside = set(region.nodes())
        seen: dict[Node, None] = {}
        for node in region.nodes():
            for value in needed(node):
                if value not in inside and not _owned(value, region.path):
                    seen.setdefault(value)
        region.inputs = list(seen)
        region.outputs = sorted(
            (n for n in inside if n in final or any(u not in inside for u in _readers(n))), key=position.__getitem__
        )
    root.inputs = [n for n in program.graph.nodes if n.op == "placeholder"]


def needed(node: Node) -> Iterator[Node]:
    """The values that a node reads, batch sizes replaced by the tensors they are taken from."""
    for value in node.all_input_nodes:
        if is_inline(value) and value.op != "get_attr":
            yield from needed(value)
        else:
            yield value


def _readers(node: Node) -> Iterator[Node]:
    for user in node.users:
        if is_inline(user):
            yield from _readers(user)
        else:
            yield user


def _owned(value: Node, path: str) -> bool:
    """Whether a region can say `self.` to a parameter; else it is handed in."""
    return value.op == "get_attr" and (not path or str(value.target).startswith(path + "."))


def _is_needless(region: Region, program: Program) -> bool:
    """A list that is no chain (its children have numbers for names), a line or two without layers or parameters, or a
    layer's subclass that only calls the layer."""
    if is_chain(region):
        return False
    if region.path in program.leaves and len(region.items) == 1:
        return True
    prefix = region.path + "."
    named = [str(n.target) for n in program.graph.nodes if n.op in ("call_module", "get_attr")]
    below = {path.removeprefix(prefix).split(".")[0] for path in named if path.startswith(prefix)}
    numbered = any(name.isdigit() for name in below)
    own = region.path in program.leaves or below
    in_list = region.path.rpartition(".")[2].isdigit()
    return numbered or not (own or in_list)


def path_of(item: Node | Region) -> str:
    """The path of the module that an item calls; empty for other nodes."""
    if isinstance(item, Region):
        return item.path
    return str(item.target) if item.op == "call_module" else ""


def is_chain(region: Region) -> bool:
    """Whether the region calls its direct children one after the other, each on what the one before gave."""
    if len(region.inputs) != 1 or len(region.outputs) != 1 or not region.items:
        return False
    value, names = region.inputs[0], []
    for item in region.items:
        above, _, name = path_of(item).rpartition(".")
        if not name or above != region.path or name in names:
            return False
        names.append(name)
        if isinstance(item, Region):
            if item.inputs != [value] or len(item.outputs) != 1:
                return False
            given = item.outputs[0]
        else:
            if item.args != (value,) or item.kwargs:
                return False
            given = item
        inside = set(item.nodes()) if isinstance(item, Region) else {item}
        if value is not region.inputs[0] and not inside.issuperset(_readers(value)):
            return False
        value = given
    return value is region.outputs[0]
