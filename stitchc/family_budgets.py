"""The budgets that members of a family are wanted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .family_options import MEMBERS
from .passes.data.errors import QuantityError

if TYPE_CHECKING:
    from .family_options import FamilyOptions
    from .passes.data.plan import Plan

#: Of a front, how many budgets are looked at for each member.
FINER = 3
#: A front begins at this share of the cheapest model.
LOWEST = 0.5


@dataclass(frozen=True)
class Wanted:
    """budgets: in the metrics' own units. metric: that networks are compared by. members: for how many budgets these
    stand. most: members at most beside the models, None for any number. stated: whether somebody named them; else they
    are a grid along the front."""

    budgets: tuple[Mapping[str, float], ...]
    metric: str
    members: int
    most: int | None
    stated: bool


def budgets_of(plan: Plan, options: FamilyOptions) -> Wanted:
    """The budgets that were named; without, some at even ratios, from half of the cheapest model to the dearest.

    Raises:
        QuantityError: a metric that does not add up along a chain, or operators that it has no formula for.
    """
    from .passes.search.pool import columns
    from .passes.select import refuse_uncounted

    found = tuple({x.metric: x.resolve(plan.prices) for x in limits} for limits in options.budget)
    metric = next(iter(found[0])) if found else options.metric
    for name in {metric, *(name for budget in found for name in budget)}:
        if name not in columns():
            raise QuantityError(
                f"{name} does not add up along a chain, so a family holds no budget of it",
                "Give budgets of params, macs or flops.",
            )
    if not options.allow_uncounted:
        for budget in found or ({metric: 1.0},):
            refuse_uncounted(plan, budget)
    if found:
        return Wanted(found, metric, len(found), options.members, True)
    costs = [price[metric] for price in plan.prices]
    members = options.members or MEMBERS
    count, low, high = FINER * members, LOWEST * min(costs), max(costs)
    grid = tuple({metric: low * (high / low) ** (k / (count - 1))} for k in range(count))
    return Wanted(grid, metric, members, members, False)
