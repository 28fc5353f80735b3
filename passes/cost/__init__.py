"""The pass `cost`: what the models, the fragments around every cut, and all candidates take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

from .. import adapters as registry
from ..data.plan import Plan
from ..data.values import Cuts
from ..pipeline import Pass


@dataclass(frozen=True)
class Cost(Pass):
    """Prices models, fragments and candidates in params, macs, size and memory, on fake tensors, for one image.

    adapters: by name, `auto` for those it stands for. direction: "slow-to-fast" (the front is the model with more
    multiply-adds), "fast-to-slow", "both", or "given" (the earlier model is the front). Candidates are the pairs of a
    cut of the front with a cut of the back that an adapter can join; three models or more make every two of them.
    What `macs` counts is said in `formulas`; operators that it has no formula for go into `plan.uncounted`.

    Raises:
        InputError: an unknown direction. CutError: an unknown adapter.
    """

    name: ClassVar[str] = "cost"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "cuts")
    adds: ClassVar[tuple[str, ...]] = ("prices", "uncounted", "candidates")

    adapters: tuple[str, ...] = ("linear", "conv3x3")
    direction: str = "slow-to-fast"

    def __call__(self, plan: Plan) -> Plan:
        from .calls import Calls
        from .count import count
        from .fragments import fragment_prices
        from .table import candidates, check_direction, directed_pairs

        direction = check_direction(self.direction)
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
        cuts = tuple(_priced(cuts, part.before, part.after) for cuts, part in zip(plan.cuts, parts, strict=True))
        prices = tuple(part.whole for part in parts)
        return replace(
            plan,
            cuts=cuts,
            prices=prices,
            uncounted=tuple(part.uncounted for part in parts),
            parts=tuple(parts),
            candidates=candidates(cuts, parts, list(directed_pairs(prices, direction)), names),
        )


def _priced(cuts: Cuts, before: tuple, after: tuple) -> Cuts:
    priced = (replace(c, before=b, after=a) for c, b, a in zip(cuts.cuts, before, after, strict=True))
    return replace(cuts, cuts=tuple(priced))
