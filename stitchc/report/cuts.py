"""The cuts of one model, and the values that are none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..passes.data import metrics
from ..passes.data.model import Model
from ..passes.data.values import Cuts, Price, Rejected
from .notes import heading
from .numbers import Column, amount, shape
from .table import table


@dataclass(frozen=True)
class CutTable:
    """What `stitchc inspect` shows: each cut with its shape and the cost of what lies before and after it."""

    model: Model
    cuts: Cuts
    price: Price

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        price, found = self.price, len(self.cuts)
        yield heading(self.model.name, f"input {shape(self.model.input.size)}")
        known = [metric for metric in metrics.counts() if metric.name in price]
        yield Text(", ".join(f"{amount(price[metric.name], metric.unit)} {metric.column}" for metric in known))
        yield Text(f"{found} cuts by the rule {self.cuts.rule}, {found + 1} fragments\n")
        columns = [(metric, Column(metric.unit, [price.get(metric.name)])) for metric in metrics.sums()]
        rows = table(ascii_only=options.ascii_only)
        rows.figures("\n#")
        rows.add_column("\npath", overflow="fold")
        rows.add_column("\nnode", overflow="fold")
        rows.add_column("\nlayout", no_wrap=True)
        rows.add_column("\nshape", no_wrap=True)
        for metric, column in columns:
            for side in ("before", "after"):
                rows.figures(f"{metric.column}\n{side}" + _behind(column))
        for cut in self.cuts.cuts:
            around = [cut.before or Price(), cut.after or Price()]
            tokens = f" +{cut.value.tokens}" if cut.value.tokens else ""
            rows.add_row(
                str(cut.index), cut.path or "(top)", cut.node, cut.value.layout + tokens, shape(cut.value.shape),
                *(column(part.get(metric.name)) for metric, column in columns for part in around),
            )  # fmt: skip
        yield rows


@dataclass(frozen=True)
class RejectedTable:
    """What `stitchc inspect --why` adds: each value that is no cut, and the reason."""

    rejected: Sequence[Rejected]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        if not self.rejected:
            yield Text("Every value is a cut.")
            return
        rows = table(ascii_only=options.ascii_only, title=f"Not a cut: {len(self.rejected)}")
        rows.add_column("path", overflow="fold", max_width=24)
        rows.add_column("node", overflow="fold", max_width=24)
        rows.add_column("why", overflow="fold")
        for value in self.rejected:
            rows.add_row(value.path, value.node, value.reason)
        yield rows


def _behind(column: Column) -> str:
    return f"\n({column.prefix})" if column.prefix else ""
