"""The page of a family: its members by what they take and reach, and each as a chain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...passes.data import metrics
from ..family import BudgetTable, FamilyReport, FamilyTable, networks, top1_of
from ..notes import Notes
from .charts import PointsChart, point
from .compiled import ending
from .diagram import Diagram
from .markup import tag
from .section import Section

_CHART = (
    "Members that were stitched (hybrid), the models, which are members too (parent), and models on smaller images."
)


def family_sections(record: Mapping[str, Any], recipe: str) -> Iterator[Section]:
    """record: what the plan.json of a family holds. recipe: the text of recipe.toml."""
    notes = [Notes(record["notes"])] if record["notes"] else []
    budgets = [BudgetTable(record)] if record["budgets"] else []
    yield Section("The family", [members_chart(record), FamilyTable(record), *budgets, *notes])
    stitched = [member for member in record["members"] if member["parent"] is None]
    drawn = [part for member in stitched for part in (tag("h3", member["name"]), Diagram(record | member))]
    if drawn:
        yield Section("The members", drawn, "Each as the chain that it runs, from cheap to expensive.")
    yield Section("Verification", [FamilyReport(record).verified()])
    yield from ending(record, recipe)


def members_chart(record: Mapping[str, Any]) -> PointsChart:
    """The members and their rivals, by the metric of the family's budgets."""
    points = []
    for row in networks(record):
        kind = "rival" if row["kind"] == "rival" else "hybrid" if row["stitched"] else "parent"
        name = row["network"] if kind == "rival" else row["name"]
        points.append(point(name, kind, row | {"accuracy": top1_of(row)}))
    return PointsChart(points, _CHART, metrics.get(record["family"]["metric"]).key)
