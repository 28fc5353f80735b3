"""The pass `stitch`: the chosen fragments, joined by an adapter, as one graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from .. import adapters
from ..data.plan import Plan
from ..pipeline import Pass
from .join import ends, join


@dataclass(frozen=True)
class Stitch(Pass):
    """Joins the plan's first choice. The adapter's weights are seeded noise until `fit` or a training sets them."""

    name: ClassVar[str] = "stitch"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "cuts", "choice")
    adds: ClassVar[tuple[str, ...]] = ("stitched", "chain", "price")

    def __call__(self, plan: Plan) -> Plan:
        candidate = plan.choice[0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(plan.seed)
            adapter = adapters.get(candidate.adapter)(*ends(plan, candidate))
        return join(plan, candidate, adapter)
