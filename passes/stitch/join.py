"""The stitched graph of one candidate with one adapter. What `stitch` makes first and `fit` makes again."""

from __future__ import annotations

from dataclasses import replace

from torch.fx import GraphModule

from ..adapters.base import Adapter
from ..data.candidates import Candidate
from ..data.plan import AdapterUse, Fragment, Plan
from ..data.values import Price, Value
from ..graphs.compose import Part, compose
from ..graphs.fold import fold
from ..trace.record import record


def ends(plan: Plan, candidate: Candidate) -> tuple[Value, Value]:
    """The value at the front's cut, and the one that the back expects."""
    (front, front_cut), (back, back_cut) = candidate.front, candidate.back
    return plan.cuts[front][front_cut].value, plan.cuts[back][back_cut].value


def folded(back: GraphModule, enters: str, adapter: Adapter) -> GraphModule:
    """The back's graph, with the adapter's matrix in the layers that read the value at `enters` if that is its kind."""
    return fold(back, enters, adapter.matrix) if adapter.kind.folds else back


def join(
    plan: Plan, candidate: Candidate, adapter: Adapter, *, residual: float | None = None, ridge: float | None = None
) -> Plan:
    """The plan with the candidate's fragments joined by `adapter` in `stitched`, and `chain` and `price` to match."""
    (front, front_cut), (back, back_cut) = candidate.front, candidate.back
    leaves = plan.cuts[front][front_cut].node
    enters = plan.cuts[back][back_cut].node
    stitched = compose(
        [
            Part("front", "Front", plan.graphs[front], end=leaves),
            Part("adapter", "Adapter", record(adapter, adapter.front.shape)),
            Part("back", "Back", folded(plan.graphs[back], enters, adapter), start=enters),
        ]
    )
    price = adapter.kind.price(*ends(plan, candidate))
    assert isinstance(price, Price), price
    return replace(
        plan,
        stitched=stitched,
        chain=(
            Fragment(front, None, leaves),
            AdapterUse(adapter.name, price, residual, ridge),
            Fragment(back, enters, None),
        ),
        price=candidate.price,
    )
