"""The adapters of several chains. Chains that begin alike share the adapters of that beginning, fitted once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from ..data.chain import Chain, Fragment, Seam
from ..data.hybrid import Hybrid
from ..data.plan import Plan
from ..data.values import Price
from ..fit.closed_form import Fitted, fit_all
from ..fit.normal_equations import Prefix
from ..stitch.join import adapter_use, graph_of

#: An adapter, and what it is fitted on: the fragments before it, and the seams up to its own.
Beginning = tuple[tuple[Fragment, ...], tuple[Seam, ...]]


def beginnings(chain: Chain) -> Iterator[Beginning]:
    """Of each adapter of a chain, in order."""
    seams = chain.seams()
    yield from ((chain.fragments[: k + 1], seams[: k + 1]) for k in range(len(seams)))


def hybrids(
    plan: Plan, chains: Sequence[tuple[Chain, Price]], max_memory: int | None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Hybrid]:  # fmt: skip
    """Each chain with its adapters fitted on all images of the plan, seam after seam on what the chain so far gives."""
    known: dict[Beginning, Fitted] = {}
    asked = {one: chain for chain, _ in chains for one in beginnings(chain)}
    for ones in _together(asked):
        before = [known[one].adapter for one in beginnings(asked[ones[0]]) if len(one[1]) < len(ones[0][1])]
        chain = asked[ones[0]]
        prefix = Prefix(graph_of(plan, chain, before), chain.front.model) if before else None
        made = fit_all(plan, [one[1][-1] for one in ones], prefix=prefix, max_memory=max_memory)
        known |= zip(ones, made, strict=True)
        if progress:
            progress(len(known), len(asked))
    return [_hybrid(plan, chain, price, [known[one] for one in beginnings(chain)]) for chain, price in chains]


def _together(asked: dict[Beginning, Chain]) -> list[list[Beginning]]:
    """Adapters that can be fitted in one sweep over the images, first seams first: those that no adapter stands before,
    and those behind one and the same beginning."""
    groups: dict[object, list[Beginning]] = {}
    for one in sorted(asked, key=lambda one: len(one[1])):
        fragments, seams = one
        groups.setdefault((fragments, seams[:-1]) if seams[:-1] else None, []).append(one)
    return list(groups.values())


def _hybrid(plan: Plan, chain: Chain, price: Price, fitted: Sequence[Fitted]) -> Hybrid:
    uses = tuple(adapter_use(plan, one.seam, one.residual, one.ridge) for one in fitted)
    return Hybrid("hybrid", chain, price, uses, graph=graph_of(plan, chain, [one.adapter for one in fitted]))
