"""How much of a stitched network each parent gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .candidates import Candidates
from .plan import Plan
from .values import Cut, Price


def smaller_share(plan: Plan, table: Candidates) -> np.ndarray:
    """Of each row, the share of the whole's MACs that the smaller of its two fragments has."""
    before = of_each_row(plan, table.front_model, table.front_cut, lambda cut: cut.before, "macs")
    after = of_each_row(plan, table.back_model, table.back_cut, lambda cut: cut.after, "macs")
    return np.minimum(before, after) / np.maximum(table.metric("macs"), 1)


def of_each_row(
    plan: Plan, models: np.ndarray, cuts: np.ndarray, side: Callable[[Cut], Price | None], metric: str, unknown: int = 0
) -> np.ndarray:
    """What lies on one side of the cut that each row names takes: int64 [rows]. unknown: where it has no price."""
    amounts = np.zeros((len(plan.cuts), max(len(c) for c in plan.cuts)), dtype=np.int64)
    for model in np.unique(models):
        prices = [side(cut) or Price() for cut in plan.cuts[model].cuts]
        amounts[model, : len(prices)] = [price.get(metric, unknown) for price in prices]
    return amounts[models, cuts]
