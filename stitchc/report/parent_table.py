"""The network of an artifact beside the models that it was made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..passes.data import metrics
from ..passes.data.model import own_name
from .numbers import NONE, amount, percent, points
from .table import for_columns, table

#: So many models have columns of shares too, and so many columns by their names.
_COMPARED, _NAMED = 2, 4


def _title(record: Mapping[str, Any]) -> str:
    if any("adapter" in link for link in record["chain"]) or record.get("ensemble"):
        return "hybrid"
    return "tuned" if record.get("tuned") else "this one"


@dataclass(frozen=True)
class ParentTable:
    """What the parents take and reach, what the network does, and that as a share of each parent, where they are few.
    The network is the hybrid where fragments were stitched, else a model: tuned, or this one.

    record: a plan document.
    """

    record: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        parents, hybrid = as_given(self.record["models"]), self.record["cost"]
        rows = table(ascii_only=options.ascii_only)
        rows.add_column("", no_wrap=True)
        names, legend = for_columns([parent["name"] for parent in parents], _NAMED)
        compared = len(names) <= _COMPARED
        if legend:
            yield Text("\n".join(legend) + "\n")
        for name in names:
            rows.add_column(name, justify="right", overflow="fold", no_wrap=not compared)
        rows.add_column(_title(self.record), justify="right", style="bold", no_wrap=True)
        for name in names if compared else ():
            rows.add_column(f"of {name}", justify="right", overflow="fold")
        for metric in metrics.every():
            taken = hybrid.get(metric.key)
            if taken is None:
                continue
            given = [parent.get(metric.key) for parent in parents]
            shown = [amount(value, metric.unit) for value in (*given, taken)]
            rows.add_row(metric.title, *shown, *(_share(taken, value) for value in given if compared))
        found = self.record["accuracy"]
        if found or any(parent["accuracy"] is not None for parent in parents):
            top1 = found["top1"] if found else None
            gaps = [gap(top1, parent["accuracy"]) for parent in parents if compared]
            rows.add_row("top-1 accuracy", *(percent(p["accuracy"]) for p in parents), percent(top1), *gaps)
        yield rows
        if found:
            yield Text(f"Accuracy on {found['images']} images of {found['data']}.")
        elif any(parent["accuracy"] is not None for parent in parents):
            yield Text("The parents' accuracy is what their records state; that of this network was not measured.")


def as_given(models: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The models of a record without those that are others at another input size."""
    names = [model["name"] for model in models]
    return [model for model in models if own_name(model["name"], names) == model["name"]]


def _share(hybrid: float | None, parent: float | None) -> str:
    return NONE if hybrid is None or not parent else percent(hybrid / parent, 0)


def gap(hybrid: float | None, parent: float | None) -> str:
    """The difference of two accuracies in percentage points, as text."""
    return NONE if hybrid is None or parent is None else f"{points(hybrid - parent)} points"
