"""The pass `shorten`: which layers of one model to leave out, where nothing else has to change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from ..data import metrics
from ..data.candidates import Candidate
from ..data.chain import Chain, Fragment
from ..data.plan import Plan
from ..pipeline import Pass, Pipeline
from .spans import Span, least_loss

#: What joins the two values around layers that are left out: they have one shape.
ADAPTER = "identity"
# How metrics combine whose amount over a chain is that of its fragments, but for a file's header.
_ADDING_UP = ("sum", "derived", "file")


@dataclass(frozen=True)
class Shorten(Pass):
    """Chooses a chain of fragments of one model: the model without the layers of some spans. A span lies between two
    values of one shape, so that what reads the second can be given the first, and no adapter is needed.

    Of all ways to meet the budget, the one that loses least: the sum over its spans of 1 - s, with s the similarity of
    the two values on the probe images. What is left is healed afterwards, so a scaled or rotated value loses little,
    and that is what CKA does not see. The choice is exact for the amounts that add up (see `spans`); its whole price is
    checked against every budget.

    otherwise: the passes that choose where the budget cannot be met in this way, or depends on a metric that does not
    add up.
    """

    name: ClassVar[str] = "shorten"
    requires: ClassVar[tuple[str, ...]] = ("cuts", "prices", "parts", "similarity", "choice")
    drops: ClassVar[tuple[str, ...]] = ("timed", "stages", "hybrids", "rivals", "recommended", "folder")
    changes: ClassVar[tuple[str, ...]] = ("choice", "candidates")

    otherwise: Sequence[Pass] = ()

    def run(self, plan: Plan) -> Plan:
        found = self._chosen(plan)
        return replace(plan, choice=(found,)) if found else Pipeline(self.otherwise)(plan)

    def _chosen(self, plan: Plan) -> Candidate | None:
        from ..cost.chains import price_of

        needed = _needed(plan)
        if len(plan.models) != 1 or not needed:
            return None
        for spans in least_loss(_spans(plan, needed), tuple(needed.values())):
            chain = _without(spans)
            price = price_of(plan, chain)
            if all(price[metric] <= limit for metric, limit in plan.budget.items()):
                return Candidate(chain, math.nan, price, True)
        return None


def _needed(plan: Plan) -> dict[str, float]:
    """What must be saved of each metric of the budget; nothing where one of them does not add up over fragments."""
    whole = plan.prices[0]
    if any(metrics.get(metric).combine not in _ADDING_UP for metric in plan.budget):
        return {}
    return {metric: whole[metric] - limit for metric, limit in plan.budget.items()}


def _spans(plan: Plan, needed: Mapping[str, float]) -> list[Span]:
    """Every span between two values of one shape, with what leaving it out saves and loses."""
    cuts, parts = plan.cuts[0].cuts, plan.parts[0].spans
    similarity = plan.similarity[0].matrix
    ends = [
        index
        for index, cut in enumerate(cuts)
        if index + 1 == len(cuts) or cuts[index + 1].value != cut.value or cuts[index + 1].before != cut.before
    ]
    files = [metric for metric in metrics.every() if metric.combine == "file"]
    found = []
    for place, first in enumerate(ends):
        for last in ends[place + 1 :]:
            if cuts[first].value != cuts[last].value or math.isnan(similarity[first, last]):
                continue
            piece = parts.piece(first, last)
            stored = sum(entry.data_bytes for entry in piece.entries)
            amounts = piece.sums | {metric.name: stored for metric in files}
            saved = tuple(metrics.amount(metric, amounts) or 0 for metric in needed)
            found.append(Span(first, last, saved, max(0.0, 1 - float(similarity[first, last]))))
    return found


def _without(spans: Sequence[Span]) -> Chain:
    starts = [None, *(span.last for span in spans)]
    ends = [*(span.first for span in spans), None]
    fragments = tuple(Fragment(0, start, end) for start, end in zip(starts, ends, strict=True))
    return Chain(fragments, (ADAPTER,) * len(spans))
