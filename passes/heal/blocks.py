"""The blocks of a stitched graph: what lies between two values that alone cross, with the operators to heal in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch.fx import GraphModule, Node

from ..graphs.conventions import placeholder
from ..graphs.live import crossing
from .operators import Affine, Operator, operator_of


@dataclass(frozen=True)
class Block:
    """start: the value that alone crosses before it, from which all that comes after can be computed."""

    start: Node
    operators: tuple[Operator, ...]

    @property
    def name(self) -> str:
        """The innermost module that holds all of it; of a single operator its own path."""
        paths = [str(o.node.target) if o.node.op == "call_module" else _scope(o.node) for o in self.operators]
        shared = paths[0].split(".")
        for path in paths[1:]:
            parts = path.split(".")
            shared = [a for a, b in zip(shared, parts, strict=False) if a == b][: _common(shared, parts)]
        return ".".join(shared) or self.operators[0].node.name


def blocks(
    graph: GraphModule, healed: Callable[[Node], bool], can_solve: Callable[[Operator], bool]
) -> tuple[Block, ...]:
    """The blocks that hold an operator that can be solved, of a node for which `healed` is true, in order."""
    starts = {node for node, others in crossing(graph.graph) if not others}  # the input among them
    found: dict[Node, list[Operator]] = {}
    start = placeholder(graph.graph)
    shared = _shared(graph)
    for node in graph.graph.nodes:
        operator = operator_of(graph, node) if healed(node) else None
        alone = operator is not None and not _redundant(operator) and id(operator.weight) not in shared
        if operator is not None and alone and can_solve(operator):
            found.setdefault(start, []).append(operator)
        if node in starts:
            start = node
    return tuple(Block(start, tuple(operators)) for start, operators in found.items())


def _redundant(operator: Operator) -> bool:
    """A normalisation by fixed numbers just after an operator is one with it."""
    if not isinstance(operator, Affine) or not hasattr(operator.module, "running_mean"):
        return False
    return len(operator.given.users) == 1 and operator.given.op == "call_module" and _mixes(operator.given)


def _mixes(node: Node) -> bool:
    owner = node.graph.owning_module
    before = operator_of(owner, node) if owner is not None else None
    return before is not None and not isinstance(before, Affine)


def _shared(graph: GraphModule) -> set[int]:
    """Identities of the weights that several nodes read: what suits one of them need not suit the others."""
    seen: set[int] = set()
    twice: set[int] = set()
    for node in graph.graph.nodes:
        operator = operator_of(graph, node)
        if operator is not None:
            (twice if id(operator.weight) in seen else seen).add(id(operator.weight))
    return twice


def _scope(node: Node) -> str:
    scopes = node.meta.get("scopes", ())
    return scopes[-1][0] if scopes else node.name


def _common(a: list[str], b: list[str]) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
