"""How much of a stitched network each parent gives."""

from __future__ import annotations

from typing import Literal

import numpy as np

from .candidates import Candidates
from .plan import Plan


def smaller_share(plan: Plan, table: Candidates) -> np.ndarray:
    """Of each row, the share of the whole's MACs that the smaller of its two fragments has."""
    before = amounts_at(plan, table.front_model, table.front_cut, "before", "macs")
    after = amounts_at(plan, table.back_model, table.back_cut, "after", "macs")
    return np.minimum(before, after) / np.maximum(table.metric("macs"), 1)


def amounts_at(
    plan: Plan, models: np.ndarray, cuts: np.ndarray, side: Literal["before", "after"], metric: str, unknown: int = 0
) -> np.ndarray:
    """What lies on one side of the cut that each row names takes in a metric: int64 [rows]. unknown: where the cuts
    were not priced."""
    numbers = np.zeros((len(plan.cuts), max(len(c) for c in plan.cuts)), dtype=np.int64)
    for model in np.unique(models):
        prices = [getattr(cut, side) for cut in plan.cuts[model].cuts]
        numbers[model, : len(prices)] = [unknown if price is None else price.get(metric, unknown) for price in prices]
    return numbers[models, cuts]
