"""The chains that a plan document tells of: one, or those that vote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...documents import healing_record
from ...passes.data.chain import Chain
from ...passes.data.plan import Plan


@dataclass(frozen=True)
class Member:
    """A chain. title: "" of one that stands alone. links: as a plan document has them. cost: of the whole, by the keys
    of metrics. chain: in the indices of the plan, None where no plan is at hand. healing: of a plan document."""

    title: str
    links: Sequence[Mapping[str, Any]]
    cost: Mapping[str, Any]
    chain: Chain | None = None
    healing: Mapping[str, Any] | None = None

    @property
    def adapters(self) -> list[Mapping[str, Any]]:
        """Those of the seams, in order."""
        return [link["adapter"] for link in self.links if "adapter" in link]


def members(record: Mapping[str, Any], plan: Plan | None = None) -> list[Member]:
    """The chains of a plan document. plan: the one that it was made of."""
    voting = record.get("ensemble")
    if not voting:
        return [Member("", record["chain"], record["cost"], _chain(plan), record.get("healing"))]
    hybrids = plan.hybrids[0].members if plan is not None and plan.hybrids else ()
    found = []
    for k, one in enumerate(voting):
        hybrid = hybrids[k] if k < len(hybrids) else None
        chain = hybrid.chain if hybrid else None
        healing = healing_record(plan, hybrid.healing) if plan and hybrid and hybrid.healing else None
        found.append(Member(one["name"], one["chain"], one["cost"], chain, healing))
    return found


def _chain(plan: Plan | None) -> Chain | None:
    if plan is None:
        return None
    return plan.hybrids[0].chain if plan.hybrids else plan.choice[0].chain if plan.choice else None
