"""A family's members cut into pieces, so that what several have in common is written, and stored, once.

Every model is cut wherever a fragment of any member begins or ends. A member is then a sequence of pieces: of each
fragment those between its cuts, and its adapters. Pieces that compute the same with the same bytes of weights are one;
of those that differ, as where a layer was healed for one member, both stand, and share the layers that are the same.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from torch.fx import GraphModule, Node

from ..data.chain import Part
from ..data.errors import PipelineError
from ..data.family import Family, Member
from ..data.model import first_of
from ..data.plan import Plan
from ..graphs.compose import fragment
from ..graphs.conventions import by_name, is_scalar, placeholder, result
from .digests import Digests
from .names import class_name, fresh, identifier
from .prepare import prepare
from .program import Program, scopes
from .regroup import Region, regroup


@dataclass(frozen=True)
class Piece:
    """A module of the family. name: its attribute. program: what it computes, its paths under the name. text: what it
    is, in words."""

    name: str
    program: Program
    text: str


@dataclass
class Pieces:
    """What a family is made of.

    pieces: in the order in which they are made. steps: of each member, the names of the pieces that it runs. shared: of
    a module or parameter that is the same as one in an earlier piece, by its path, the path of that one. equal: of a
    buffer with the same numbers as one in an earlier piece, likewise.
    """

    pieces: list[Piece] = field(default_factory=list)
    steps: dict[str, tuple[str, ...]] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)
    equal: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Span:
    """A piece of one member before it has a name. wish: the name that it gets where nothing else has it. part: what its
    modules lie under in `graph`. of_model: whether it is a part of a model, whose layers can be those of another."""

    wish: str
    graph: GraphModule
    part: str
    text: str
    of_model: bool = False


def pieces_of(plan: Plan, family: Family, first: dict[str, GraphModule]) -> Pieces:
    """The pieces of all members. The parents come first: what is as a model has it bears that model's name alone.

    first: what some members do with their images before anything else.

    Raises:
        PipelineError: a member's graph does not tell which of its nodes are of which fragment.
    """
    cutter = _Cutter(plan, family)
    found, known = Pieces(), Digests()
    for member in sorted(family.members, key=lambda one: one.parent is None):
        steps = []
        spans = list(cutter.spans(member))
        if member.name in first:
            text = f"Images as the family takes them, made into what {member.name} takes"
            spans.insert(0, _Span(f"input_of_{member.name}", first[member.name], "", text))
        for span in spans:
            program = prepare(span.graph)
            if result(program.graph).op == "placeholder":
                continue  # it hands on what it is given
            name = known.piece(program, span.part)
            if name is None:
                name = _free(span.wish, member.name, {piece.name for piece in found.pieces})
                program = _moved(program, span.part, name, class_name(span.wish))
                known.add(name, program)
                text = span.text if name == span.wish else f"{span.text}, as it is in {member.name}"
                found.pieces.append(Piece(name, program, text))
                if span.of_model:
                    shared, equal = known.shared(name, program, regroup(program, kept=frozenset((name,))))
                    found.shared |= shared
                    found.equal |= equal
            steps.append(name)
        found.steps[member.name] = tuple(steps)
    return found


def _free(wish: str, member: str, taken: set[str]) -> str:
    return wish if wish not in taken else fresh(f"{wish}_for_{member}", taken)


class _Cutter:
    def __init__(self, plan: Plan, family: Family):
        self.plan = plan
        self.first = [self._source(model, first) for model, first in enumerate(first_of(plan.models))]
        taken: set[str] = set()
        self.names: dict[int, str] = {}
        for model in dict.fromkeys(self.first):
            self.names[model] = fresh(identifier(plan.models[model].name), taken)
            taken.add(self.names[model])
        self.cuts: dict[int, list[str]] = {model: [] for model in self.names}
        ends = [
            (fragment.model, plan.node_at(fragment.model, cut))
            for member in family.members
            for fragment in member.hybrid.chain.fragments
            for cut in (fragment.start, fragment.end)
        ]
        for model in self.cuts:
            used = {node for owner, node in ends if self.first[owner] == model and node is not None}
            order = {cut.node: k for k, cut in enumerate(plan.cuts[model].cuts)} if plan.cuts else {}
            self.cuts[model] = sorted(used, key=lambda node: order.get(node, len(order)))

    def _source(self, model: int, first: int) -> int:
        """The model whose pieces those of a model are: the same at another input size, where it has the same cuts."""
        nodes = [
            {cut.node for cut in self.plan.cuts[index].cuts} if self.plan.cuts else set() for index in (model, first)
        ]
        return first if nodes[0] <= nodes[1] else model

    def spans(self, member: Member) -> Iterator[_Span]:
        """The pieces of a member, in the order in which it runs them."""
        graph = member.hybrid.network
        parts = member.hybrid.chain.parts()
        start: str | None = None
        uses = iter(member.hybrid.adapters)
        for part, end in zip(parts, _ends(graph, [part.name for part in parts]), strict=True):
            if part.fragment is None:
                use = next(uses)
                if end != start:
                    wish = f"{part.name}_of_{member.name}"
                    yield _Span(wish, fragment(graph, start, end), part.name, f"The adapter {use.name}")
            else:
                for wish, begin, stop, text in self._fragment(graph, part, start, end):
                    yield _Span(wish, fragment(graph, begin, stop), part.name, text, True)
            start = end

    def _fragment(
        self, graph: GraphModule, part: Part, start: str | None, end: str | None
    ) -> Iterator[tuple[str, str | None, str | None, str]]:
        """What lies between two neighbouring cuts of a model: its name, the nodes where it begins and ends, and what it
        is."""
        assert part.fragment is not None
        model = self.first[part.fragment.model]
        cuts = self.cuts[model]
        ends = [self.plan.node_at(part.fragment.model, cut) for cut in (part.fragment.start, part.fragment.end)]
        low = -1 if ends[0] is None else cuts.index(ends[0])
        high = len(cuts) if ends[1] is None else cuts.index(ends[1])
        here = _nodes_of(graph, part.name)
        begin, since = start, low
        for k in range(low + 1, high + 1):
            stop = end if k == high else here.get(cuts[k])
            if stop is None and k < high:  # at another input size the model has no such cut
                continue
            span = self._words(model, cuts, since, k)
            yield f"{self.names[model]}_{since + 2}", begin, stop, span
            begin, since = stop, k

    def _words(self, model: int, cuts: list[str], low: int, high: int) -> str:
        def said(k: int) -> str:
            return next(cut.path or cut.node for cut in self.plan.cuts[model].cuts if cut.node == cuts[k])

        after = f", after {said(low)}" if low >= 0 else ""
        upto = f", up to {said(high)}" if high < len(cuts) else ""
        return f"{self.plan.models[model].name}{after}{upto}" if after or upto else self.plan.models[model].name


def _nodes_of(graph: GraphModule, part: str) -> dict[str, str]:
    """The nodes of a part of a stitched graph, by their names in the model's own graph."""
    if not part:
        return {name: name for name in by_name(graph.graph)}
    origins = ((node.meta.get("origin", ("", "")), node.name) for node in graph.graph.nodes)
    return {origin[1]: name for origin, name in origins if origin[0] == part}


def _ends(graph: GraphModule, parts: list[str]) -> Iterator[str | None]:
    """Of each part of a stitched graph, the node whose value it leaves to the next; an adapter that does nothing has
    the one of the part before. A model as it is ends with its output: None."""
    if parts == [""]:
        yield None
        return
    nodes = [node for node in graph.graph.nodes if node.op not in ("placeholder", "output")]
    if any("origin" not in node.meta for node in nodes):
        raise PipelineError("a member's graph does not tell which node is of which fragment", "Stitch it again.")
    inside: set[Node] = {placeholder(graph.graph)}
    for part in parts:
        inside |= {node for node in nodes if node.meta["origin"][0] == part}
        (left,) = {n for n in inside if not is_scalar(n) and any(u not in inside for u in n.users)}
        yield left.name


def _moved(program: Program, part: str, name: str, title: str) -> Program:
    """The program with its paths under `name` instead of `part`, and weights of its own."""
    memo: dict[int, object] = {}

    def there(path: str) -> str:
        return f"{name}.{path.removeprefix(f'{part}.') if part else path}"

    for node in program.graph.nodes:
        if node.op in ("call_module", "get_attr"):
            node.target = there(str(node.target))
        inner = scopes(node)[1:] if part else scopes(node)
        node.meta["scopes"] = ((name, title), *((there(path), kind) for path, kind in inner))
    leaves = {there(path): copy.deepcopy(leaf, memo) for path, leaf in program.leaves.items()}
    tensors = {there(path): copy.deepcopy(tensor, memo) for path, tensor in program.tensors.items()}
    return replace(program, leaves=leaves, tensors=tensors)
