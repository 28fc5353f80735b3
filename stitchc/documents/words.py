"""What all documents say in the same way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..passes.data.values import Price, listed
from ..wording import as_flags

if TYPE_CHECKING:
    from ..passes.data.metrics import Metric
    from ..passes.data.plan import Plan
    from ..passes.data.values import Cut

#: The version of all documents.
SCHEMA = 1


def notes(plan: Plan) -> list[str]:
    """What a report must say first: the plan's own notes, then each model's, and what its price leaves out."""
    said = [*map(as_flags, plan.notes), *(f"{model.name}: {note}" for model in plan.models for note in model.notes)]
    priced = zip(plan.models, plan.uncounted, strict=False)
    return said + [f"{model.name}: {without_formula(uncounted)}" for model, uncounted in priced if uncounted]


def without_formula(uncounted: Mapping[str, int]) -> str:
    """What is to be said beside MACs and FLOPs that lack some operators."""
    return f"MACs and FLOPs leave out operators that have no formula: {listed(uncounted)}."


def label(cut: Cut) -> str:
    """A cut by the module whose output it is or, within a module, by its node: so it is told apart from others."""
    return cut.path if cut.path and cut.path in cut.paths else cut.node


def number(value: float | None) -> float | None:
    """JSON has no NaN."""
    return None if value is None or math.isnan(value) else float(value)


def amounts(price: Price, asked: Iterable[Metric]) -> dict[str, float | None]:
    """What something takes of each metric, in its own unit, by the key that documents have for it."""
    return {metric.key: price.get(metric.name) for metric in asked}
