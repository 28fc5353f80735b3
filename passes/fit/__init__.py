"""The pass `fit`: the adapter's weights in closed form, from probe images, without labels or gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from ..adapters.base import Adapter
from ..data.chain import Chain, Seam
from ..data.pass_options import MemoryOptions
from ..data.plan import Plan
from ..pipeline import Pass
from ..stitch.join import adapter_use, graph_of, join
from .closed_form import RIDGES, ROWS, Fitted, fit_all
from .limits import tried
from .normal_equations import Prefix


@dataclass(frozen=True)
class Fit(Pass, MemoryOptions):
    """Regularised least squares from the values at a cut to those that the next fragment's own parent has there.

    Seam after seam, on what the chain so far gives for the probe images. All adapters that the plan's choice leaves
    open at a seam are fitted in one sweep over the images (see `closed_form.fit_all`); the one that brings the output
    of the next fragment's parent nearest to its own on held-out images stays. The residual at
    the cut itself would mislead: where the back's values are never negative, a ReLU always lowers it, and often makes
    the output worse.

    batch: images a forward pass. ridges: penalties to choose among, relative to the mean variance of a feature.
    rows: positions to use at most. max_memory: bytes that fitting may take beside the networks, None for 2 GiB.
    progress: called with (images done, images in all sweeps).

    Raises:
        InputError: the normal equations of the only adapter take more than that.
    """

    name: ClassVar[str] = "fit"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "cuts", "choice", "images")
    ensures: ClassVar[tuple[str, ...]] = ("hybrids",)
    drops: ClassVar[tuple[str, ...]] = ("rivals", "recommended", "folder")

    batch: int = 64
    ridges: tuple[float, ...] = RIDGES
    rows: int = ROWS
    progress: Callable[[int, int], None] | None = field(default=None, compare=False)

    def run(self, plan: Plan) -> Plan:
        choice, fitted, notes = list(plan.choice), list[Fitted](), plan.notes
        for k in range(len(choice[0].chain.adapters)):
            seams = dict.fromkeys(candidate.chain.seams()[k] for candidate in choice)
            best, said = self._best(plan, choice[0].chain, list(seams), [one.adapter for one in fitted])
            choice = [candidate for candidate in choice if candidate.chain.adapters[k] == best.seam.adapter]
            fitted.append(best)
            notes += said
        uses = [adapter_use(plan, one.seam, one.residual, one.ridge) for one in fitted]
        hybrid = join(plan, choice[0], [one.adapter for one in fitted], uses)
        return replace(plan, notes=notes).with_hybrid(hybrid)

    def _best(
        self, plan: Plan, chain: Chain, seams: Sequence[Seam], before: Sequence[Adapter]
    ) -> tuple[Fitted, tuple[str, ...]]:
        """The best of the adapters that may stand at the next seam, and what is to be said of those not tried."""
        kept, left_out = tried(plan, seams, self.max_memory)
        found = fit_all(
            plan,
            kept or seams,  # which is refused, with what it would take
            prefix=Prefix(graph_of(plan, chain, before), chain.front.model) if before else None,
            batch=self.batch,
            ridges=self.ridges,
            rows=self.rows,
            max_memory=self.max_memory,
            through=len(kept) > 1,
            progress=self.progress,
        )
        notes = (f"Not tried, having too many inputs here: {', '.join(left_out)}.",) if left_out else ()
        return min(found, key=lambda one: one.output_residual or 0.0), notes
