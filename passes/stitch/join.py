"""The graph of a chain with given adapters. What `stitch` makes first and `fit` makes again."""

from __future__ import annotations

from collections.abc import Sequence

from torch.fx import GraphModule

from .. import adapters as registry
from ..adapters.base import Adapter
from ..cost.chains import seam_price
from ..data.candidates import Candidate
from ..data.chain import Chain, Fragment, Seam
from ..data.hybrid import AdapterUse, Hybrid
from ..data.plan import Plan
from ..data.values import Value
from ..graphs.compose import Part, compose
from ..graphs.fold import fold
from ..graphs.placement import device_of
from ..trace.record import record


def ends(plan: Plan, seam: Seam) -> tuple[Value, Value]:
    """The value at the cut that is left, and the one that the next fragment expects."""
    return plan.value_at(seam.leaves), plan.value_at(seam.enters)


def built(plan: Plan, seam: Seam) -> Adapter:
    """The adapter of a seam before it is fitted, on the device of the fragment behind it: its weights are random, from
    the plan's seed."""
    return registry.built(seam.adapter, *ends(plan, seam), plan.seed).to(device_of(plan.graphs[seam.enters.model]))


def folded(back: GraphModule, enters: str, adapter: Adapter) -> GraphModule:
    """A graph with the adapter's matrix in the layers that read the value at `enters`, if its kind folds."""
    return fold(back, enters, adapter.matrix) if adapter.kind.folds else back


def graph_of(plan: Plan, chain: Chain, adapters: Sequence[Adapter]) -> GraphModule:
    """The graph of a chain. Its weights are copies; its parts have the names that the chain gives them.

    adapters: one for each seam; or fewer, for the beginning of the chain, which ends with the value at the first seam
    that has none.
    """
    ahead = iter(adapters)
    parts: list[Part] = []
    before: Adapter | None = None
    for part in chain.parts():
        title = part.name.capitalize()
        if part.fragment is not None:
            parts.append(_fragment(plan, part.name, title, part.fragment, before))
            continue
        before = next(ahead, None)
        if before is None:
            break
        parts.append(Part(part.name, title, record(before, before.front.shape)))
    return compose(parts)


def _fragment(plan: Plan, name: str, title: str, fragment: Fragment, before: Adapter | None) -> Part:
    graph = plan.graphs[fragment.model]
    start, end = (plan.node_at(fragment.model, cut) for cut in (fragment.start, fragment.end))
    if before is not None and start is not None:
        graph = folded(graph, start, before)
    return Part(name, title, graph, start, end)


def join(plan: Plan, candidate: Candidate, adapters: Sequence[Adapter], uses: Sequence[AdapterUse] = ()) -> Hybrid:
    """The candidate as a network. uses: what is known of each adapter's fit; of none where it was not fitted."""
    known = uses or [adapter_use(plan, seam) for seam in candidate.chain.seams()]
    graph = graph_of(plan, candidate.chain, adapters)
    return Hybrid("hybrid", candidate.chain, candidate.price, tuple(known), graph=graph)


def adapter_use(plan: Plan, seam: Seam, residual: float | None = None, ridge: float | None = None) -> AdapterUse:
    """What the adapter of a seam takes, and how well it was fitted."""
    return AdapterUse(registry.get(seam.adapter).notation, seam_price(plan, seam), residual, ridge)
