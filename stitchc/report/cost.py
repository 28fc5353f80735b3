"""What a network takes, in every metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..passes.data import metrics
from ..passes.data.metrics import Unit
from ..passes.data.values import Price
from .notes import heading
from .numbers import NONE, amount, several, significant, size
from .table import table

if TYPE_CHECKING:
    from ..other_counters import Comparison
    from ..passes.cost.conventions import Table
    from ..passes.cost.stages import Stage
    from ..passes.latency.clock import Timing


@dataclass(frozen=True)
class CostTable:
    """The metrics of a network. metrics: the ones to show, all by default."""

    name: str
    price: Price
    metrics: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield heading(self.name)
        rows = table(ascii_only=options.ascii_only)
        rows.add_column("metric", no_wrap=True)
        rows.figures("value", "exactly")
        rows.add_column("unit", no_wrap=True)
        rows.add_column("of what", overflow="fold")
        for name in self.metrics or metrics.names():
            metric, value = metrics.get(name), self.price.get(name)
            if value is not None or name in self.metrics:
                about = metric.about if value is not None else "not computed"
                rows.add_row(name, _short(value, metric.unit), _exact(value), metric.unit.name, about)
        yield rows


def _short(value: float | None, unit: Unit) -> str:
    """Without a unit that has a column of its own."""
    return significant(value) if value is not None and unit.prefixes == "none" else amount(value, unit)


def _exact(value: float | None) -> str:
    return NONE if value is None else (f"{value:,}" if isinstance(value, int) else f"{value:.3f}")


@dataclass(frozen=True)
class TimingLine:
    """How the latency was measured."""

    timing: Timing

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        t = self.timing
        threads = several(t.threads, "thread")
        yield Text(
            f"latency: the median of {t.runs} runs, quartiles {significant(t.iqr_ms)} ms apart; {t.backend}, "
            f"{threads}, {t.device}"
        )


@dataclass(frozen=True)
class StageTable:
    """What each stage takes."""

    stages: Sequence[Stage]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        rows = table(ascii_only=options.ascii_only, title="By stage")
        rows.add_column("module", overflow="fold")
        rows.figures(*(metric.column for metric in metrics.sums()), "weights", "peak activations")
        for stage in self.stages:
            sums = [amount(stage.sums.get(metric.name), metric.unit) for metric in metrics.sums()]
            rows.add_row(stage.path or "(between)", *sums, size(stage.weights_bytes), size(stage.memory_bytes))
        yield rows


@dataclass(frozen=True)
class ConventionTable:
    """Multiply-adds by kind under each convention, and why they differ."""

    counted: Table
    why: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        rows = table(ascii_only=options.ascii_only, title="By convention: multiply-adds of one image")
        rows.add_column("what", no_wrap=True)
        rows.figures(*self.counted)
        kinds = dict.fromkeys(kind for found in self.counted.values() for kind in found)
        for kind in kinds:
            rows.add_row(kind, *(f"{found.get(kind, 0):,}" for found in self.counted.values()))
        rows.add_section()
        rows.add_row("all", *(f"{sum(found.values()):,}" for found in self.counted.values()))
        yield rows
        for reason in self.why:
            yield Text(reason)


@dataclass(frozen=True)
class CounterTable:
    """Multiply-adds by counter, each really run, and why they differ."""

    compared: Comparison

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        ours = self.compared.macs["stitchc"]
        rows = table(ascii_only=options.ascii_only, title="By counter, one image")
        rows.add_column("counter", no_wrap=True)
        rows.figures("MACs", "difference")
        for name, macs in self.compared.macs.items():
            difference = NONE if macs is None or ours is None else f"{macs - ours:+,}" if macs != ours else "0"
            rows.add_row(name, _exact(macs), difference)
        yield rows
        for reason in self.compared.why:
            yield Text(reason)
