"""The page of a family: its members by what they take and reach, and each as a chain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...passes.data import metrics
from ..family import BudgetTable, FamilyReport, FamilyTable, networks, top1_of
from ..family_tune import training_parts
from ..notes import Notes
from ..numbers import amount, percent, several, size
from .charts import PointsChart, point
from .compiled import ending
from .diagram import Diagram
from .markup import Html, join, tag
from .section import Section
from .verdict import tiles

_CHART = (
    "Members that were stitched (hybrid), the models, which are members too (parent), and models on smaller images."
)


def family_sections(record: Mapping[str, Any], recipe: str) -> Iterator[Section]:
    """record: what the plan.json of a family holds. recipe: the text of recipe.toml."""
    notes = [Notes(record["notes"])] if record["notes"] else []
    if "family" in record:  # not of one that was written by the passes alone
        yield Section("Verdict", [FamilyVerdict(record)])
        budgets = [BudgetTable(record)] if record["budgets"] else []
        yield Section("The family", [members_chart(record), FamilyTable(record), *budgets, *notes])
    if record.get("tuned"):
        yield Section("Training", [part for one in record["tuned"] for part in training_parts(one)])
    stitched = [member for member in record["members"] if member["parent"] is None]
    drawn = [part for member in stitched for part in (tag("h3", member["name"]), Diagram(record | member))]
    if drawn:
        yield Section("The members", drawn, "Each as the chain that it runs, from cheap to expensive.")
    yield Section("Verification", [FamilyReport(record).verified()])
    yield from ending(record, recipe)


@dataclass(frozen=True)
class FamilyVerdict:
    """What a family gives, in a sentence and some figures. record: what its plan.json holds."""

    record: Mapping[str, Any]

    def html(self) -> Html:
        """The sentence, and a tile a figure."""
        members = self.record["members"]
        stitched = sum(member["parent"] is None for member in members)
        said = f"{several(len(members), 'network')} in one file, {stitched} of them stitched"
        return join(tag("p", said, class_="headline"), tiles(self._figures()))

    def _figures(self) -> Iterator[tuple[str, str, str]]:
        said = self.record["family"]
        metric = metrics.get(said["metric"])
        members = sorted(self.record["members"], key=lambda member: member["cost"][metric.key])
        for which, member in (("smallest", members[0]), ("largest", members[-1])):
            found = top1_of(member)
            reached = f"{metric.column}, top-1 {percent(found)}" if found is not None else metric.column
            yield f"the {which}: {member['name']}", amount(member["cost"][metric.key], metric.unit), reached
        whole = said["models_bytes"] + said["members_bytes"]
        yield "all weights", size(whole), f"{whole / max(said['models_bytes'], 1):.2f} times those of the models"


def members_chart(record: Mapping[str, Any]) -> PointsChart:
    """The members and their rivals, by the metric of the family's budgets."""
    points = []
    for row in networks(record):
        kind = "rival" if row["kind"] == "rival" else "hybrid" if row["stitched"] else "parent"
        name = row["network"] if kind == "rival" else row["name"]
        points.append(point(name, kind, row | {"accuracy": top1_of(row)}))
    return PointsChart(points, _CHART, metrics.get(record["family"]["metric"]).key)
