"""What a network takes, in every metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..passes.data.values import Price
from .notes import heading
from .numbers import NONE, count, significant, size
from .table import table

if TYPE_CHECKING:
    from ..other_counters import Comparison
    from ..passes.cost.conventions import Table
    from ..passes.cost.stages import Stage
    from ..passes.latency.clock import Timing

# metric -> its key in a price, its unit, what it counts
_METRICS = {
    "params": ("params", "numbers", "trainable, shared ones once"),
    "macs": ("macs", "MACs", "multiply-adds, one image"),
    "flops": ("flops", "FLOPs", "two a multiply-add, one image"),
    "size": ("size_bytes", "bytes", "of the weights file"),
    "memory": ("memory_bytes", "bytes", "peak activations, one image"),
    "latency": ("latency_ms", "ms", "one image"),
}


@dataclass(frozen=True)
class CostTable:
    """The metrics of a network. metrics: the ones to show, all by default."""

    name: str
    price: Price
    metrics: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield heading(self.name)
        values = self.price.as_dict()
        rows = table(ascii_only=options.ascii_only)
        rows.add_column("metric", no_wrap=True)
        rows.add_column("value", justify="right", no_wrap=True)
        rows.add_column("exactly", justify="right", no_wrap=True)
        rows.add_column("unit", no_wrap=True)
        rows.add_column("of what", overflow="fold")
        for metric in self.metrics or _METRICS:
            key, unit, what = _METRICS[metric]
            value = values[key]
            if value is not None or metric in self.metrics:
                rows.add_row(
                    metric, _short(value, unit), _exact(value), unit, what if value is not None else "not computed"
                )
        yield rows


def _short(value: float | None, unit: str) -> str:
    if value is None:
        return NONE
    return size(value) if unit == "bytes" else significant(value) if unit == "ms" else count(value)


def _exact(value: float | None) -> str:
    return NONE if value is None else (f"{value:,}" if isinstance(value, int) else f"{value:.3f}")


@dataclass(frozen=True)
class TimingLine:
    """How the latency was measured."""

    timing: Timing

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        t = self.timing
        threads = "1 thread" if t.threads == 1 else f"{t.threads} threads"
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
        for name in ("params", "MACs", "weights", "peak activations"):
            rows.add_column(name, justify="right", no_wrap=True)
        for stage in self.stages:
            rows.add_row(
                stage.path or "(between)", count(stage.params), count(stage.macs), size(stage.weights_bytes),
                size(stage.memory_bytes),
            )  # fmt: skip
        yield rows


@dataclass(frozen=True)
class ConventionTable:
    """Multiply-adds by kind under each convention, and why they differ."""

    counted: Table
    why: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        rows = table(ascii_only=options.ascii_only, title="By convention: multiply-adds of one image")
        rows.add_column("what", no_wrap=True)
        for name in self.counted:
            rows.add_column(name, justify="right", no_wrap=True)
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
        rows.add_column("MACs", justify="right", no_wrap=True)
        rows.add_column("difference", justify="right", no_wrap=True)
        for name, macs in self.compared.macs.items():
            difference = NONE if macs is None or ours is None else f"{macs - ours:+,}" if macs != ours else "0"
            rows.add_row(name, _exact(macs), difference)
        yield rows
        for reason in self.compared.why:
            yield Text(reason)
