"""The ranked candidates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..documents import label, ranked
from ..passes.data import metrics
from ..passes.data.candidates import Candidate
from ..passes.data.plan import TIMED, Plan
from .numbers import NONE, Column, score, significant
from .table import short, table


@dataclass(frozen=True)
class CandidateTable:
    """The best `top` candidates of a plan, each with the cost of the whole stitched network."""

    plan: Plan
    top: int = 10

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        every = self.plan.candidates
        if every is None or len(every) == 0:
            yield Text("No candidates: no two cuts of these models can be joined.")
            return
        shown = list(ranked(self.plan, self.top))
        feasible = f", {int(every.feasible.sum())} within the budget" if self.plan.budget else ""
        one_way = len({(c.chain.front.model, c.chain.back.model) for c in shown}) == 1
        yield Text(f"Candidates: {len(shown)} of {len(every)}{feasible}", style="bold")
        if one_way:
            front, back = (self._name(end.model) for end in (shown[0].chain.front, shown[0].chain.back))
            yield Text(f"front {front}, back {back}")
        rows = table(ascii_only=options.ascii_only)
        measured = [
            metric
            for metric in metrics.every()
            if metric.combine == "measured" and any(metric.name in c.price for c in shown)
        ]
        counts = metrics.sums() if measured else metrics.counts()  # what is measured takes the room of what is derived
        columns = [(metric, Column(metric.unit, (c.price.get(metric.name) for c in shown))) for metric in counts]
        rows.figures("#")
        for end in ("front cut", "back cut"):
            rows.add_column(end, overflow="fold")
        rows.figures("similarity")
        rows.add_column("adapter", overflow="fold")
        timed = {t.row: t for t in self.plan.timed}
        for metric, column in columns:
            rows.figures(column.head(metric.column).strip())
        for metric in measured:
            what = "predicted" if metric.name == TIMED else metric.column
            rows.figures(f"{what}\n({metric.unit.symbol})")
            if metric.name == TIMED:
                rows.figures(f"measured\n({metric.unit.symbol})")
        probed = any(candidate.score is not None for candidate in shown)
        rows.add_column("score" if probed else "fits", justify="right" if probed else "left", no_wrap=True)
        for rank, candidate in enumerate(shown, 1):
            figures = [column(candidate.price.get(metric.name)) for metric, column in columns]
            for metric in measured:
                figures.append(_figure(candidate.price.get(metric.name)))
                if metric.name == TIMED:
                    found = timed.get(int(every.order[rank - 1])) if len(every.order) else None
                    figures.append(_figure(found.measured_ms if found else None))
            rows.add_row(
                str(rank), self._cut(candidate.front, one_way), self._cut(candidate.back, one_way),
                self._similarity(candidate), candidate.adapter,
                *figures, score(candidate.score) if probed else self._fits(candidate),
            )  # fmt: skip
        yield rows

    def _similarity(self, candidate: Candidate) -> str:
        """The similarity of a candidate as text, with half the width of its confidence interval where there is one."""
        (a, i), (b, j) = sorted((candidate.front, candidate.back))
        for pair in self.plan.similarity:
            if (pair.a, pair.b) == (a, b) and pair.low is not None and pair.high is not None:
                return f"{score(candidate.similarity)}±{score((pair.high[i, j] - pair.low[i, j]) / 2)[1:]}"
        return score(candidate.similarity)

    def _fits(self, candidate: Candidate) -> str:
        if not self.plan.budget:
            return "-"
        return "yes" if candidate.feasible else "no"

    def _cut(self, end: tuple[int, int], one_way: bool) -> str:
        cut = self.plan.cuts[end[0]][end[1]]
        where = f"{cut.index} {label(cut)}"
        return where if one_way else f"{self._name(end[0])} {where}"

    def _name(self, model: int) -> str:
        return short([m.name for m in self.plan.models])[model]


def _figure(value: float | None) -> str:
    return NONE if value is None else significant(value)
