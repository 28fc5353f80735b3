"""The pass `vote`: several hybrids as one network, whose members vote."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ..data.budget import format_apart
from ..data.errors import Infeasible, InputError
from ..data.hybrid import Hybrid
from ..data.plan import Plan
from ..data.values import Price
from ..pipeline import Pass

if TYPE_CHECKING:
    from torch.fx import GraphModule


@dataclass(frozen=True)
class Vote(Pass):
    """Makes one hybrid of the plan's hybrids: each runs on the image, and the scores are the logarithms of the mean of
    their probabilities. Nothing is shared: it takes what its members take together. One alone stays as it is.

    Raises:
        InputError: members that want other inputs, or whose scores are not of as many classes. Infeasible: the members
            together are beyond the budget.
    """

    name: ClassVar[str] = "vote"
    requires: ClassVar[tuple[str, ...]] = ("hybrids",)
    changes: ClassVar[tuple[str, ...]] = ("hybrids",)
    drops: ClassVar[tuple[str, ...]] = ("rivals", "recommended", "folder")

    def run(self, plan: Plan) -> Plan:
        if len(plan.hybrids) == 1:
            return plan
        from ..cost.chains import price_of_graph

        _check(plan)
        first = plan.hybrids[0]
        graph = voting([one.network for one in plan.hybrids])
        price = price_of_graph(graph, plan.input_of(first.chain).size)
        _hold(plan, price)
        members = tuple(
            replace(one, name=f"member{k}", graph=None) for k, one in enumerate(plan.hybrids, start=1)
        )  # fmt: skip
        return plan.with_hybrid(Hybrid("hybrid", first.chain, price, first.adapters, members=members, graph=graph))


def voting(members: list[GraphModule]) -> GraphModule:
    """The graph of networks that vote. Its weights are copies; members are called member1, member2 and so on in it."""
    from ..graphs.compose import Part, side_by_side
    from ..graphs.conventions import result
    from ..trace.record import record
    from .joint import Joint

    classes = result(members[0].graph).meta["shape"][-1]
    parts = [Part(f"member{k}", f"Member{k}", graph) for k, graph in enumerate(members, start=1)]
    return side_by_side(parts, Part("vote", "Vote", record(Joint(), (len(members), classes))))


def _check(plan: Plan) -> None:
    from ..graphs.conventions import result

    wanted = {replace(plan.input_of(one.chain), assumed=()) for one in plan.hybrids}
    if len(wanted) > 1:
        sizes = " and ".join(sorted("x".join(map(str, spec.size)) for spec in wanted))
        raise InputError(
            f"the chains that are to vote begin in models that want other inputs ({sizes}, or other pixels)",
            "One image is shown to all members: take chains that begin in models of one input.",
        )
    outputs = {result(one.network.graph).meta["shape"][1:] for one in plan.hybrids}
    if len(outputs) > 1 or len(next(iter(outputs))) != 1:
        said = " and ".join(sorted("x".join(map(str, shape)) for shape in outputs))
        raise InputError(
            f"the chains that are to vote give scores of other shapes ({said})", "Members tell the same classes apart."
        )


def _hold(plan: Plan, price: Price) -> None:
    over = {m: limit for m, limit in plan.budget.items() if m in price and price[m] > limit}
    if over:
        told = " and ".join(" of ".join(format_apart(price[m], limit, m)) for m, limit in over.items())
        raise Infeasible(
            f"{len(plan.hybrids)} members together take {told}",
            "An ensemble takes the sum of its members: raise the budget, or take fewer or smaller chains.",
            {m: price[m] for m in over},
        )
