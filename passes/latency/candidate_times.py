"""The pass `time-candidates`: the best candidates are stitched and timed, and the choice must meet the budget as
measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..data.budget import format_apart
from ..data.candidates import Candidate
from ..data.errors import Infeasible
from ..data.pass_options import BackendOptions
from ..data.plan import Plan, Timed
from ..pipeline import Pass

if TYPE_CHECKING:
    from torch.fx import GraphModule


@dataclass(frozen=True)
class TimeCandidates(Pass, BackendOptions):
    """Measures the latency of the first `size` candidates of the order: `plan.timed`, each with its prediction. The
    price of those that are chosen is what was measured.

    Under a budget of latency those that miss it when measured are no longer feasible, and the choice is what was chosen
    before and holds it, else the first that does. Where none of the first does, the next are tried, `most` in all.
    backend, device: as of `latency`. Adapters have random weights while they are timed. progress: called with
    (candidates timed, candidates in all).

    Raises:
        Infeasible: none of `most` candidates holds the budget when measured.
    """

    name: ClassVar[str] = "time-candidates"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "cuts", "candidates", "choice")
    ensures: ClassVar[tuple[str, ...]] = ("timed",)
    drops: ClassVar[tuple[str, ...]] = ("hybrids", "rivals", "recommended", "folder")
    changes: ClassVar[tuple[str, ...]] = ("candidates", "choice")

    size: int = 5
    most: int = 20
    device: str = "cpu"
    progress: Callable[[int, int], None] | None = field(default=None, compare=False)

    def run(self, plan: Plan) -> Plan:
        assert plan.candidates is not None
        limit = plan.budget.get("latency", float("inf"))
        timed: list[Timed] = []
        for row in plan.candidates.order[: self.most].tolist():
            if len(timed) >= self.size and any(t.measured_ms <= limit for t in timed):
                break
            timed.append(self._time(plan, row))
            if self.progress:
                self.progress(len(timed), max(self.size, len(timed)))
        held = [t for t in timed if t.measured_ms <= limit]
        if not held:
            least = min(timed, key=lambda t: t.measured_ms).measured_ms
            said, asked = format_apart(least, limit, "latency")
            raise Infeasible(
                f"the first {len(timed)} candidates are predicted to take at most {asked}, but measured none does; the "
                f"least is {said}",
                f"Raise the budget to latency={least * 1.02:.3g}ms, or measure on a quieter machine.",
                {"latency": least},
            )
        table = plan.candidates
        missed = [t.row for t in timed if t.measured_ms > limit]
        feasible = table.feasible.copy()
        feasible[missed] = False
        order = table.order[~np.isin(table.order, missed)]
        measured = {table[t.row].chain: t.measured_ms for t in timed}
        chosen = [c for c in plan.choice if measured.get(c.chain, float("inf")) <= limit] or [table[held[0].row]]
        choice = tuple(
            replace(c, price=c.price | {"latency": measured[c.chain]}) if c.chain in measured else c for c in chosen
        )
        return replace(
            plan, timed=tuple(timed), choice=choice, candidates=replace(table, feasible=feasible, order=order)
        )

    def _time(self, plan: Plan, row: int) -> Timed:
        import torch

        from .backends import on_backend
        from .clock import measure

        assert plan.candidates is not None
        candidate = plan.candidates[row]
        graph = stitched(plan, candidate).to(self.device)
        image = torch.zeros(1, *plan.models[candidate.chain.front.model].input.size, device=self.device)
        found = measure(on_backend(self.backend, graph, image), image, device=self.device, backend=self.backend)
        return Timed(
            row, float(plan.candidates.metric("latency")[row]), found.median_ms, found.iqr_ms, found.runs, found.device,
            found.threads, found.backend,
        )  # fmt: skip


def stitched(plan: Plan, candidate: Candidate) -> GraphModule:
    """The candidate's graph, its adapters as they were made."""
    from ..stitch.join import built, graph_of

    return graph_of(plan, candidate.chain, [built(plan, seam) for seam in candidate.chain.seams()])
