"""A family's members cut into what they do between two cuts.

Every model is cut wherever a fragment of any member begins or ends. A member is then a sequence: of each fragment what
lies between its cuts, and its adapters.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch.fx import GraphModule, Node

from ..data.chain import Part
from ..data.errors import PipelineError
from ..data.family import Family, Member
from ..data.model import first_of
from ..data.plan import Plan
from ..graphs.compose import fragment
from ..graphs.conventions import by_name, is_scalar, placeholder
from .names import fresh, identifier
from .pieces import Span


def spans_of(plan: Plan, family: Family, first: Mapping[str, GraphModule]) -> dict[str, list[Span]]:
    """What each member does, in order. The parents come first: what is as a model has it bears that model's name alone.

    first: what some members do with their images before anything else.

    Raises:
        PipelineError: a member's graph does not tell which of its nodes are of which fragment.
    """
    cutter = _Cutter(plan, family)
    found = {}
    for member in sorted(family.members, key=lambda one: one.parent is None):
        spans = list(cutter.spans(member))
        if member.name in first:
            about = f"Images as the family takes them, made into what {member.name} takes"
            spans.insert(0, Span(f"input_of_{member.name}", first[member.name], "", "input", about))
        found[member.name] = spans
    return found


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

    def spans(self, member: Member) -> Iterator[Span]:
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
                    yield Span(wish, fragment(graph, start, end), part.name, part.name, f"The adapter {use.name}")
            else:
                for wish, begin, stop, text in self._fragment(graph, part, start, end):
                    yield Span(wish, fragment(graph, begin, stop), part.name, part.name, text)
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
