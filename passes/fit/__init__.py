"""The pass `fit`: the adapter's weights in closed form, from probe images, without labels or gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

from .. import adapters
from ..data.candidates import Candidate
from ..data.plan import Plan
from ..pipeline import Pass
from ..stitch.join import ends, join
from .closed_form import RIDGES, ROWS, fit_all

# Of several adapters, those with more features than this are not tried: their systems take gigabytes and minutes.
FEATURES = 4608


@dataclass(frozen=True)
class Fit(Pass):
    """Regularised least squares from the front's values to those that the back's own parent has for the same images.

    All adapters of the plan's choice are fitted in one sweep over the images (see `fitting.fit_all`); the one that
    brings the back's output nearest to its own on held-out images stays. What is unexplained at the cut itself would be
    the wrong judge: where the back's value is not negative a ReLU always brings it down, and often harms what follows.

    batch: images a forward pass. ridges: penalties to choose among, relative to the mean variance of a feature.
    rows: positions to use at most.
    """

    name: ClassVar[str] = "fit"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "cuts", "choice", "images")
    adds: ClassVar[tuple[str, ...]] = ("stitched", "chain", "price")

    batch: int = 64
    ridges: tuple[float, ...] = RIDGES
    rows: int = ROWS
    progress: Callable[[int, int], None] | None = field(default=None, compare=False)

    def __call__(self, plan: Plan) -> Plan:
        tried, notes = _tried(plan)
        fitted = fit_all(
            plan,
            tried,
            batch=self.batch,
            ridges=self.ridges,
            rows=self.rows,
            through=len(tried) > 1,
            progress=self.progress,
        )
        best = min(fitted, key=lambda found: found.output_residual or 0.0)
        return join(
            replace(plan, notes=plan.notes + notes),
            best.candidate,
            best.adapter,
            residual=best.residual,
            ridge=best.ridge,
        )


def _tried(plan: Plan) -> tuple[list[Candidate], tuple[str, ...]]:
    """The plan's choice without the adapters that are too large to be tried beside others, and a note on each."""
    features = [adapters.get(c.adapter)(*ends(plan, c)).features for c in plan.choice]
    limit = max(FEATURES, min(features))
    large = [c.adapter for c, count in zip(plan.choice, features, strict=True) if count > limit]
    notes: tuple[str, ...] = ()
    if large:
        advice = f"--adapter {large[0]} takes the time."
        notes = (f"Not tried, having more than {FEATURES:,} inputs here: {', '.join(large)}. {advice}",)
    return [c for c, count in zip(plan.choice, features, strict=True) if count <= limit], notes
