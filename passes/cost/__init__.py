"""The pass `cost`: prices of the models, of the fragments around every cut, and of all candidates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, ClassVar

from .. import adapters as registry
from ..data.model import first_of, shares_of
from ..data.pass_options import DirectionOptions
from ..data.plan import Plan
from ..data.values import Cuts
from ..pipeline import Pass

if TYPE_CHECKING:
    from .fragments import FragmentPrices


@dataclass(frozen=True)
class Cost(Pass, DirectionOptions):
    """Prices models, fragments and candidates for one image, on tensors without data: in all metrics that are sums, the
    size of the weights file and peak memory.

    adapters: by name, `auto` for those it stands for. direction: "slow-to-fast" (the front is the model with more
    multiply-adds), "fast-to-slow", "both", or "given" (the earlier model is the front). Candidates are the pairs of a
    cut of the front with a cut of the back that an adapter can join; three models or more make every two of them, and
    one is paired with itself, with what lies between the two cuts left out. Models that earlier ones are at another
    input size are paired as those are, where they are at nearly the same share of it. mixed_sizes: each of them also
    gives the front of backs at their own size.
    What `macs` counts is said in `graphs/formulas.py`; operators that it has no formula for go into `plan.uncounted`.

    Raises:
        InputError: an unknown direction. CutError: an unknown adapter.
    """

    name: ClassVar[str] = "cost"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "cuts")
    ensures: ClassVar[tuple[str, ...]] = ("prices", "parts", "uncounted", "candidates")
    drops: ClassVar[tuple[str, ...]] = (
        "budget",
        "choice",
        "timed",
        "stages",
        "hybrids",
        "rivals",
        "recommended",
        "folder",
    )
    changes: ClassVar[tuple[str, ...]] = ("cuts",)

    adapters: tuple[str, ...] = ("linear", "conv3x3")
    mixed_sizes: bool = True

    def run(self, plan: Plan) -> Plan:
        from .calls import Calls
        from .count import count
        from .fragments import fragment_prices
        from .table import candidates, directed_pairs

        names = tuple(dict.fromkeys(name for word in self.adapters for name in registry.expand(word)))
        calls = Calls()  # shared: models of a pool have blocks in common
        parts = [
            fragment_prices(
                count(graph, model.input.size, calls),
                [cut.node for cut in cuts.cuts],
                [4 * prod(cut.value.shape) for cut in cuts.cuts],  # adapters give float32
            )
            for graph, model, cuts in zip(plan.graphs, plan.models, plan.cuts, strict=True)
        ]
        cuts = tuple(_priced(cuts, part) for cuts, part in zip(plan.cuts, parts, strict=True))
        prices = tuple(part.whole for part in parts)
        pairs = directed_pairs(
            prices, self.direction, first_of(plan.models), shares_of(plan.models), mixed=self.mixed_sizes
        )
        return replace(
            plan,
            cuts=cuts,
            prices=prices,
            uncounted=tuple(part.uncounted for part in parts),
            parts=tuple(parts),
            candidates=candidates(cuts, parts, list(pairs), names),
        )


def _priced(cuts: Cuts, part: FragmentPrices) -> Cuts:
    around = zip(cuts.cuts, part.before, part.after, part.uncounted_before, part.uncounted_after, strict=True)
    return replace(
        cuts,
        cuts=tuple(
            replace(cut, before=before, after=after, uncounted_before=left_out, uncounted_after=left_out_after)
            for cut, before, after, left_out, left_out_after in around
        ),
    )
