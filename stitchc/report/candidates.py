"""The ranked candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..documents import label, ranked
from ..passes.data import metrics
from ..passes.data.candidates import Candidate
from ..passes.data.metrics import Metric
from ..passes.data.model import own_name
from ..passes.data.plan import TIMED, Plan
from .numbers import NONE, Column, score, significant
from .table import Rows, for_columns, short, table


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
            names = short([model.name for model in self.plan.models])
            front, back = (names[end.model] for end in (shown[0].chain.front, shown[0].chain.back))
            yield Text(f"front {front}, back {back}")
        elif legend := self._names()[1]:
            yield Text(", ".join(legend))
        yield self._rows(shown, one_way, options.ascii_only)

    def _names(self) -> tuple[list[str], list[str]]:
        """What each model is called in a row, a letter in the place of a long name; and what the letters stand for. One
        at another input size is called as the model itself, with the size behind."""
        every = [model.name for model in self.plan.models]
        own = [own_name(name, every) for name in every]
        given = list(dict.fromkeys(own))
        names, legend = for_columns(given)
        called = dict(zip(given, names, strict=True))
        return [called[one] + name[len(one) :] for one, name in zip(own, every, strict=True)], legend

    def _rows(self, shown: Sequence[Candidate], one_way: bool, ascii_only: bool) -> Rows:
        """A row for each candidate. one_way: all have the same front model and the same back model."""
        measured = [m for m in metrics.every() if m.combine == "measured" and any(m.name in c.price for c in shown)]
        counts = metrics.sums() if measured else metrics.counts()  # what is measured takes the room of what is derived
        columns = [(metric, Column(metric.unit, (c.price.get(metric.name) for c in shown))) for metric in counts]
        probed = any(candidate.score is not None for candidate in shown)
        names = None if one_way else self._names()[0]
        rows = table(ascii_only=ascii_only)
        rows.figures("#")
        for end in ("front cut", "back cut"):
            rows.add_column(end, overflow="fold")
        rows.figures("similarity")
        rows.add_column("adapter", overflow="fold")
        rows.figures(*(column.head(metric.column).strip() for metric, column in columns))
        for metric in measured:
            what = ("predicted", "measured") if metric.name == TIMED else (metric.column,)
            rows.figures(*(f"{word}\n({metric.unit.symbol})" for word in what))
        rows.add_column("score" if probed else "fits", justify="right" if probed else "left", no_wrap=True)
        for rank, candidate in enumerate(shown, 1):
            rows.add_row(
                str(rank), self._cut(candidate.front, names), self._cut(candidate.back, names),
                self._similarity(candidate), candidate.adapter,
                *(column(candidate.price.get(metric.name)) for metric, column in columns),
                *self._measured(rank, candidate, measured),
                score(candidate.score) if probed else self._fits(candidate),
            )  # fmt: skip
        return rows

    def _measured(self, rank: int, candidate: Candidate, measured: Sequence[Metric]) -> Iterator[str]:
        """The figures of a candidate in metrics that are measured: of the latency what was predicted, and what was
        measured, of those that were."""
        assert self.plan.candidates is not None
        order, timed = self.plan.candidates.order, {one.row: one for one in self.plan.timed}
        for metric in measured:
            yield _figure(candidate.price.get(metric.name))
            if metric.name == TIMED:
                found = timed.get(int(order[rank - 1])) if len(order) else None
                yield _figure(found.measured_ms if found else None)

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

    def _cut(self, end: tuple[int, int], names: Sequence[str] | None) -> str:
        cut = self.plan.cuts[end[0]][end[1]]
        where = f"{cut.index} {label(cut)}"
        return f"{names[end[0]]} {where}" if names else where


def _figure(value: float | None) -> str:
    return NONE if value is None else significant(value)
