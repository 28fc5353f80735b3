"""The members of a family, a row each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..evaluate import Accuracy
from ..passes.data import metrics
from ..passes.data.values import Price
from .numbers import amount, percent
from .table import table

if TYPE_CHECKING:
    from ..passes.data.hybrid import Verified


@dataclass(frozen=True)
class MemberCosts:
    """What each member takes. metrics: the ones to show, all that are known by default."""

    prices: Mapping[str, Price]
    metrics: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        told = self.metrics or [
            name for name in metrics.names() if any(name in price for price in self.prices.values())
        ]
        rows = table(ascii_only=options.ascii_only)
        rows.add_column("member", overflow="fold")
        rows.figures(*(metrics.get(name).column for name in told))
        for member, price in self.prices.items():
            rows.add_row(member, *(amount(price.get(name), metrics.get(name).unit) for name in told))
        yield rows


@dataclass(frozen=True)
class MemberAccuracies:
    """Top-1 and top-5 of each member."""

    found: Mapping[str, Accuracy]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        rows = table(ascii_only=options.ascii_only)
        rows.add_column("member", overflow="fold")
        rows.figures("top-1", "top-5")
        for member, accuracy in self.found.items():
            rows.add_row(member, percent(accuracy.top1), percent(accuracy.top5))
        yield rows
        one = next(iter(self.found.values()))
        yield Text(f"on {one.images} images of {one.data}")


@dataclass(frozen=True)
class MemberChecks:
    """What verification found of each member."""

    found: Mapping[str, Verified]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        one = next(iter(self.found.values()))
        batches = " and ".join(map(str, one.batches))
        yield Text.assemble(
            ("Verified", "bold green"), f" at batch {batches}: largest difference from the member's modules alone"
        )
        rows = table(ascii_only=options.ascii_only)
        rows.add_column("member", overflow="fold")
        rows.figures("switched to", "ONNX Runtime", "same class")
        for member, verified in self.found.items():
            onnx = "-" if verified.onnx_max_abs is None else f"{verified.onnx_max_abs:.1e}"
            rows.add_row(member, f"{verified.module_max_abs:.1e}", onnx, percent(verified.argmax_agreement))
        yield rows
