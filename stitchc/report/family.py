"""The report of a family: all members in one table, beside the models, the line between them and their rivals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..passes.data import metrics
from ..passes.data.model import own_name
from .notes import Inputs, Notes
from .numbers import Column, percent, points, score, shape, size
from .search import chain_text, sized
from .table import short, table

#: What members were chosen by, in words.
_RULES = {
    "labels": "the mean probability of the right class",
    "accuracy": "the share of right classes",
    "cascade": "expected agreement with the models",
}


@dataclass(frozen=True)
class FamilyTable:
    """record: what the plan.json of a family holds."""

    record: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        rows = networks(self.record)
        shown = [metrics.get(name) for name in ("macs", "params")]
        columns = [Column(metric.unit, [row["cost"][metric.key] for row in rows]) for metric in shown]
        adds = Column(metrics.get("size").unit, [row["adds_bytes"] for row in rows])
        found = table(ascii_only=options.ascii_only, title="The family")
        found.add_column("\nmember", overflow="fold")
        for metric, column in zip(shown, columns, strict=True):
            found.add_column(column.head(metric.column), justify="right", no_wrap=True)
        for name in (adds.head("adds"), "\nscore", "\ntop-1", "over the\nline"):
            found.add_column(name, justify="right", no_wrap=True)
        for row in rows:
            name = f"{row['name']}{' *' if row['dominated_by'] else ''}"
            found.add_row(
                f"({row['network']})" if row["kind"] == "rival" else name,
                *(column(row["cost"][metric.key]) for metric, column in zip(shown, columns, strict=True)),
                adds(row["adds_bytes"] or None), score(row["score"]), percent(top1_of(row)), points(row["over_line"]),
                style="dim" if row["kind"] != "member" else "bold" if row["stitched"] else "",
            )  # fmt: skip
        yield found
        yield from map(Text, self._legend(rows))

    def _legend(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        yield from (f"{row['name']}: {row['network']}" for row in rows if row["stitched"])
        if any(row["kind"] == "rival" for row in rows):
            yield "In brackets: models on smaller images that are no members."
        said = self.record["family"]
        metric = metrics.get(said["metric"])
        whole = said["models_bytes"] + said["members_bytes"]
        yield (
            "adds: what the file holds for a member beyond models and cheaper members. All weights: "
            f"{size(whole)}, {whole / max(said['models_bytes'], 1):.2f} times those of the models."
        )
        yield (
            f"score: {_RULES.get(said['score'], said['score'])}, on {said['score_images']} images of the data that "
            f"nothing was fitted on; members were chosen by it among {said['healed']} chains, on smaller images too, "
            f"the most promising of {said['tried']}."
        )
        measured = next((row["accuracy"] for row in rows if isinstance(row["accuracy"], Mapping)), None)
        if measured:
            yield f"top-1 on {measured['images']} images of {measured['data']}, the same for all."
        if any(row["over_line"] is not None for row in rows):
            yield f"over the line: points of top-1 over the straight line between the models, by {metric.column}."
        ruled = [row for row in rows if row["dominated_by"] and row["kind"] == "member"]
        if ruled:
            yield "*: something takes no more and scores no less:"
            yield from (f"  {row['name']}: {', '.join(row['dominated_by'])}" for row in ruled)


@dataclass(frozen=True)
class BudgetTable:
    """Which member serves each budget that was named; and a sentence where none that was stitched does."""

    record: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        from ..families.record import limits_text

        found = table(ascii_only=options.ascii_only, title="The budgets")
        devices = any(budget["device"] for budget in self.record["budgets"])
        for name in (*(["device"] if devices else []), "budget"):
            found.add_column(name, overflow="fold")
        found.add_column("member", no_wrap=True)
        for budget in self.record["budgets"]:
            of = [budget["device"] or "-"] if devices else []
            found.add_row(*of, limits_text(budget["limits"]), budget["member"] or "none")
        yield found
        yield from (Text(budget["said"]) for budget in self.record["budgets"] if budget["said"])


@dataclass(frozen=True)
class FamilyReport:
    """The parts of the report, in order. record: what plan.json holds."""

    record: Mapping[str, Any]
    folder: Path | None = None

    def parts(self) -> list[RenderableType]:
        """What a terminal prints, one after the other."""
        parts: list[RenderableType] = [Notes(self.record["notes"])] if self.record["notes"] else []
        inputs = {model["name"]: model["input"] for model in self.record["models"]}
        parts += [
            Inputs({name: given for name, given in inputs.items() if own_name(name, inputs) == name}),
            FamilyTable(self.record),
        ]
        if self.record["budgets"]:
            parts.append(BudgetTable(self.record))
        return [*parts, self.verified()]

    def verified(self) -> Text:
        """How far what was written is from what was computed, and where it lies."""
        return Text("\n".join(self._verified()))

    def _verified(self) -> Iterator[str]:
        checked = [member["verified"] for member in self.record["members"] if member.get("verified")]
        if checked:
            worst = max(one["module_max_abs"] for one in checked)
            onnx = [one["onnx_max_abs"] for one in checked if one["onnx_max_abs"] is not None]
            said = f"; its ONNX file by {max(onnx):.1e}" if onnx else ""
            yield f"All {len(checked)} members verified: model.py differs from a graph by {worst:.1e} at most{said}."
        if self.folder is not None:
            yield f"Written to {self.folder}."


def networks(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The members and their rivals from cheap to expensive, each with `name`, `kind`, `network` in words."""
    metric = metrics.get(record["family"]["metric"]).key
    names = dict(zip(models := [m["name"] for m in record["models"]], short(models), strict=True))
    found = [
        member | {
            "kind": "member", "stitched": member["parent"] is None,
            "network": _whole(member["parent"], names) if member["parent"] else _chain(member, names),
        }
        for member in record["members"]
    ]  # fmt: skip
    found += [
        rival | {
            "name": "-", "kind": "rival", "stitched": False, "adds_bytes": None, "dominated_by": [],
            "network": _whole(rival["model"], names),
        }
        for rival in record["rivals"]
    ]  # fmt: skip
    return sorted(found, key=lambda row: row["cost"][metric])


def _whole(name: str, names: Mapping[str, str]) -> str:
    """A model, at its own input size or another."""
    return "the model" if own_name(name, names) == name else sized(name, names)


def _chain(member: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """A chain of models, and the size of its images where that is not the models' own."""
    models = [link["model"] for link in member["chain"] if "model" in link]
    said = chain_text(member["chain"], {name: names.get(own_name(name, names), name) for name in models})
    return f"{said} on {shape(member['input']['size'][1:])}" if own_name(models[0], names) != models[0] else said


def top1_of(row: Mapping[str, Any]) -> float | None:
    """The accuracy of a row of `networks`, None where it was not measured."""
    found = row["accuracy"]
    return found["top1"] if isinstance(found, Mapping) else found
