"""The pass `stitch`: the chosen fragments, joined by adapters, as one graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..data.chain import Chain
from ..data.errors import PipelineError
from ..data.plan import Plan
from ..pipeline import Pass


@dataclass(frozen=True)
class Stitch(Pass):
    """Joins the plan's first choice. The adapters' weights are random, from the plan's seed, until `fit` or a training
    sets them.

    chain: the chain to stitch instead of a choice made before: a `Chain`, or text such as
    "A:..layer2.1 / conv3x3 / B:layer2.0..layer3.1 / C:layer3.2.." (see `stated`). It becomes the plan's choice.
    adapter: for the seams where the text names none.

    Raises:
        CutError: a chain that cannot be made. PipelineError: nothing was chosen and no chain was given.
    """

    name: ClassVar[str] = "stitch"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "cuts")
    ensures: ClassVar[tuple[str, ...]] = ("hybrids",)
    drops: ClassVar[tuple[str, ...]] = ("rivals", "recommended", "folder")
    changes: ClassVar[tuple[str, ...]] = ("choice",)

    chain: Chain | str | None = None
    adapter: str = "auto"

    def run(self, plan: Plan) -> Plan:
        from .join import built, join

        if self.chain is not None:
            from .stated import stated

            plan = replace(plan, choice=stated(plan, self.chain, self.adapter))
        if not plan.choice:
            raise PipelineError("nothing was chosen to be stitched", "Put `Select` before, or give a chain.")
        candidate = plan.choice[0]
        return plan.with_hybrid(join(plan, candidate, [built(plan, seam) for seam in candidate.chain.seams()]))
