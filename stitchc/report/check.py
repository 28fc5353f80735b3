"""How far many models came: counts by step, then the failures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..check.record import STEPS, Checked
from ..check.summary import passed_of, summary
from .notes import heading
from .numbers import several
from .table import table


@dataclass(frozen=True)
class CheckReport:
    """Of every library and step, how many models passed it of how many that tried; each failure with its reason."""

    models: Sequence[Checked]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        failures = [m for m in self.models if m.failed]
        yield heading(several(len(self.models), "model"), f"{len(self.models) - len(failures)} pass every step tried")
        found = summary(self.models)
        rows = table(ascii_only=options.ascii_only)
        rows.add_column("step", no_wrap=True)
        rows.figures(*found)
        for step in STEPS:
            rows.add_row(step, *(passed_of(counts["steps"][step]) or "-" for counts in found.values()))
        yield rows
        if not failures:
            return
        yield Text()
        told = table(ascii_only=options.ascii_only, title=f"Failed: {len(failures)}")
        told.add_column("model", overflow="fold", max_width=36)
        told.add_column("step", no_wrap=True)
        told.add_column("why", overflow="fold")
        for model in failures:
            told.add_row(model.model, model.failed, model.reason)
        yield told
