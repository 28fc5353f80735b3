"""A Pareto front of candidates, and its knee."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..documents import label
from ..passes.data import metrics
from ..passes.data.pareto import BENEFITS
from ..passes.data.plan import Plan
from .numbers import amount, score
from .table import short, table


@dataclass(frozen=True)
class ParetoTable:
    """rows: of the plan's candidates, those of the front. knee: the one to take where nothing else decides."""

    plan: Plan
    axes: Sequence[str]
    rows: Sequence[int]
    knee: int | None
    top: int = 20

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        assert self.plan.candidates is not None
        shown = self._shown()
        columns = [self._column(axis, shown) for axis in self.axes]
        named = " and ".join(name for name, _ in columns)
        title = f"Pareto front over {named}: {len(shown)} of {len(self.rows)}"
        yield Text(title, style="bold")
        rows = table(ascii_only=options.ascii_only)
        for end in ("front cut", "back cut"):
            rows.add_column(end, overflow="fold")
        rows.add_column("adapter", overflow="fold")
        rows.figures(*(name for name, _ in columns))
        rows.add_column("", no_wrap=True)
        names = short([model.name for model in self.plan.models])
        for k, row in enumerate(shown):
            candidate = self.plan.candidates[row]
            ends = [f"{names[m]} {label(self.plan.cuts[m][i])}" for m, i in (candidate.front, candidate.back)]
            figures = [values[k] for _, values in columns]
            rows.add_row(*ends, candidate.adapter, *figures, "knee" if row == self.knee else "")
        yield rows

    def _shown(self) -> list[int]:
        """All, or as many as the table has lines, evenly spread and with the knee."""
        if len(self.rows) <= self.top:
            return list(self.rows)
        step = (len(self.rows) - 1) / (self.top - 1)
        places = {round(i * step) for i in range(self.top)}
        return [row for i, row in enumerate(self.rows) if i in places or row == self.knee]

    def _column(self, axis: str, rows: Sequence[int]) -> tuple[str, list[str]]:
        """The name of an axis, and its figures."""
        assert self.plan.candidates is not None
        values = [self.plan.candidates.metric(axis)[row].item() for row in rows]
        if axis in BENEFITS:
            return axis, [score(value) for value in values]
        metric = metrics.get(axis)
        return metric.column, [amount(value, metric.unit) for value in values]
