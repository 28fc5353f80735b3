"""The report of a compile: what was chosen, what it takes, whether it holds, where it lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..documents import label, plan_document, without_formula
from ..passes.data import metrics
from ..passes.data.budget import format_quantity
from ..passes.data.plan import Plan
from .candidates import CandidateTable
from .chain import ChainLine
from .healing import Polished, Trajectory
from .heatmap import HeatMap
from .notes import Inputs, Notes
from .numbers import amount, percent, score, size
from .parent_table import ParentTable
from .rivals import RivalTable, Winner
from .stages import Stages
from .table import table

#: What each file of an artifact is, in the order in which it is listed.
_FILES = {
    "model.py": "the network: torch and nothing else",
    "model.safetensors": "its weights",
    "model.onnx": "the same in ONNX: input, output, any batch size",
    "plan.json": "what was chosen, what it costs, how it was verified",
    "recipe.toml": "runs this compile again",
    "report.html": "this report, for a browser",
    "README.md": "what it is, from what, under which licences",
}

#: What an ensemble does.
VOTING = "The chains vote: the scores are those of the mean of their probabilities."


@dataclass(frozen=True)
class Choice:
    """The budget, and the stitch that was chosen under it, drawn. record: a plan document."""

    record: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        record = self.record
        for member in record.get("ensemble") or [record]:
            yield ChainLine(member["chain"])
        if record.get("ensemble"):
            yield Text(VOTING)
        said = []
        if record["similarity"] is not None:
            said.append(f"similarity {score(record['similarity'])} ({record['similarity_metric']})")
        if record["candidates"]:
            total, feasible = record["candidates"]["total"], record["candidates"]["feasible"]
            if feasible > 1:
                said.append(f"one of {feasible} feasible of {total} candidates")
        if said:
            yield Text("\n" + ", ".join(said))
        for metric, limit in record["budget"].items():
            reached = record["cost"].get(metrics.get(metric).key)
            now = f"{format_quantity(reached, metric)} of " if reached is not None else ""
            yield Text(f"budget: {now}{format_quantity(limit, metric)} at most")
        if record.get("uncounted"):
            yield Text(f"hybrid: {without_formula(record['uncounted'])}")
        for member in record.get("ensemble") or [record]:
            for link in member["chain"]:
                if "adapter" in link:
                    yield from _adapter_line(link["adapter"])


@dataclass(frozen=True)
class Checks:
    """What verification found. record: the key `verified` of a plan document; against: what all were held against."""

    record: Mapping[str, Any]
    against: str = "the stitched graph"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        found = self.record
        batches = " and ".join(str(batch) for batch in found["batches"])
        yield Text.assemble(("Verified", "bold green"), f" at batch {batches}: largest difference from {self.against}")
        rows = table(ascii_only=options.ascii_only)
        for name in ("", "absolute", "relative"):
            rows.add_column(name, justify="right" if name else "left", no_wrap=True)
        rows.add_row("generated module", _tiny(found["module_max_abs"]), _tiny(found["module_max_rel"]))
        if found["onnx_max_abs"] is not None:
            rows.add_row("ONNX Runtime", _tiny(found["onnx_max_abs"]), _tiny(found["onnx_max_rel"]))
        if found.get("device"):
            rows.add_row(f"the module on {found['device']}", "-", _tiny(found["device_max_rel"]))
        yield rows
        yield Text(f"They agree on the class of {percent(found['argmax_agreement'])} of the images.")


@dataclass(frozen=True)
class Files:
    """What lies in an artifact's folder, and its size."""

    folder: Path

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        rows = table(ascii_only=options.ascii_only, title=f"{self.folder}/")
        rows.add_column("file", no_wrap=True)
        rows.figures("size")
        rows.add_column("what it is", overflow="fold")
        for name, what in _FILES.items():
            path = self.folder / name
            if path.exists():
                rows.add_row(name, size(path.stat().st_size), what)
        yield rows


@dataclass(frozen=True)
class CompileReport:
    """The parts of the report of a compile, in order."""

    plan: Plan
    record: Mapping[str, Any]
    top: int = 10
    folder: Path | None = None

    @classmethod
    def of(cls, plan: Plan, record: Mapping[str, Any] | None = None, **options: Any) -> CompileReport:
        return cls(plan, record or plan_document(plan), **options)

    def parts(self) -> list[RenderableType]:
        """What a terminal prints, one after the other."""
        compared = self.record["recommended"] is not None
        parts: list[RenderableType] = [Winner(self.record)] if compared else []
        parts += [Notes(self.record["notes"])] if self.record["notes"] else []
        inputs = {model["name"]: model["input"] for model in self.record["models"] if model.get("input")}
        parts += [Inputs(inputs)] if inputs else []
        if self.plan.similarity:
            parts.append(heat_map(self.plan))
        if self.plan.stages:
            parts.append(Stages(self.plan))
        if self.plan.candidates:
            parts.append(CandidateTable(self.plan, self.top))
        parts.append(Choice(self.record))
        healed = [one["healing"] for one in self.record.get("ensemble") or [self.record] if one.get("healing")]
        parts += map(Trajectory, healed)
        if self.record.get("polishing"):
            parts.append(Polished(self.record["polishing"]))
        if compared:
            parts.append(RivalTable(self.record))
        if self.record.get("written", "hybrid") == "hybrid":
            parts.append(ParentTable(self.record))
        if self.record["verified"]:
            parts.append(Checks(self.record["verified"]))
        if self.folder:
            parts.append(Files(self.folder))
        return parts


def heat_map(plan: Plan) -> HeatMap:
    """The first pair's similarity matrix, with the paths of the cuts."""
    pair = plan.similarity[0]
    down, across = ([label(cut) for cut in plan.cuts[index].cuts] for index in (pair.a, pair.b))
    return HeatMap(
        pair.matrix,
        down,
        across,
        down=plan.models[pair.a].name,
        across=plan.models[pair.b].name,
        metric=f"{pair.metric}, {pair.images} images",
    )


def _adapter_line(adapter: Mapping[str, Any]) -> Iterator[Text]:
    """What the adapter takes, where that is known."""
    known = [metric for metric in metrics.sums() if adapter.get(metric.key) is not None]
    if not known:
        return
    amounts = ", ".join(f"{amount(adapter[metric.key], metric.unit)} {metric.column}" for metric in known)
    residual = adapter["residual"]
    unexplained = "" if residual is None else f", unexplained variance {percent(residual)}"
    yield Text(f"adapter {adapter['name']}: {amounts}{unexplained}")


def _tiny(value: float | None) -> str:
    return "-" if value is None else ("0" if value == 0 else f"{value:.1e}")
