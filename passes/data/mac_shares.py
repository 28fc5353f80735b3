"""How much of a stitched network each parent gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .candidates import Candidates
from .plan import Plan
from .values import Cut


def smaller_share(plan: Plan, table: Candidates) -> np.ndarray:
    """Of each row, the share of the whole's MACs that the smaller of its two fragments has."""
    before = of_each_row(plan, table.front_model, table.front_cut, lambda cut: (cut.before or {}).get("macs", 0))
    after = of_each_row(plan, table.back_model, table.back_cut, lambda cut: (cut.after or {}).get("macs", 0))
    return np.minimum(before, after) / np.maximum(table.metric("macs"), 1)


def of_each_row(plan: Plan, models: np.ndarray, cuts: np.ndarray, number: Callable[[Cut], int]) -> np.ndarray:
    """A number of the cut that each row names: int64 [rows]."""
    numbers = np.zeros((len(plan.cuts), max(len(c) for c in plan.cuts)), dtype=np.int64)
    for model in np.unique(models):
        numbers[model, : len(plan.cuts[model])] = [number(cut) for cut in plan.cuts[model].cuts]
    return numbers[models, cuts]
