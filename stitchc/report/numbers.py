"""Numbers as a reader wants them: three significant digits and a unit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..passes.data.metrics import Metric, Unit

_DECIMAL = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_BINARY = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))
NONE = "-"  # what was not computed


def significant(value: float, digits: int = 3) -> str:
    """`value` with so many significant digits, never in scientific notation from 0.001 to a million."""
    if value == 0:
        return "0"
    before = math.floor(math.log10(abs(float(f"{value:.{digits}g}")))) + 1
    return f"{value:.{max(0, digits - before)}f}" if -3 < before <= 6 else f"{value:.{digits - 1}e}"


def count(value: float | None) -> str:
    """A number of things: `12.3 M`, `4.5 k`, `678`."""
    if value is None:
        return NONE
    factor, prefix = _prefix(value, _DECIMAL)
    if factor == 1:
        return f"{value:.0f}"
    return f"{significant(value / factor)} {prefix}"


def _prefix(value: float, prefixes: Sequence[tuple[float, str]]) -> tuple[float, str]:
    """The largest that a value is at least one of, to the digits that are shown: 999,600 is 1.00 M."""
    shown = {factor: float(f"{value / factor:.3g}") for factor, _ in prefixes}
    return next((pair for pair in prefixes if abs(shown[pair[0]]) >= 1), prefixes[-1])


def several(number: int, what: str) -> str:
    """A number with its noun: `1 epoch`, `2 epochs`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def size(value: float | None) -> str:
    """Bytes: `312 KiB`."""
    if value is None:
        return NONE
    factor, unit = _prefix(value, _BINARY)
    return f"{significant(value / factor) if factor > 1 else f'{value:.0f}'} {unit}"


def amount(value: float | None, unit: Unit) -> str:
    """What a metric takes: `12.3 M`, `312 KiB`, `12.3 ms`. The unit of a number of things is left out."""
    if value is None:
        return NONE
    if unit.prefixes == "none":
        return f"{significant(value)} {unit.symbol}"
    return size(value) if unit.prefixes == "binary" else count(value)


def percent(share: float | None, digits: int = 1) -> str:
    """A fraction: `97.4 %`."""
    return NONE if share is None or math.isnan(share) else f"{100 * share:.{digits}f} %"


def points(share: float | None) -> str:
    """The difference of two fractions in percentage points: `+1.2`, `−0.4`."""
    return NONE if share is None else f"{100 * share:+.1f}".replace("-", "−")


def duration(seconds: float) -> str:
    """`0.8 s`, `12 s`, `3 min 20 s`."""
    if seconds < 60:
        return f"{significant(seconds, 2)} s" if seconds >= 0.1 else "< 0.1 s"
    return f"{int(seconds // 60)} min {int(seconds % 60)} s"


def score(value: float | None) -> str:
    """A similarity: `0.873`."""
    return NONE if value is None or math.isnan(value) else f"{value:.3f}"


class Column:
    """One unit for a whole column, so that its figures can be compared at a glance. `prefix` goes into the head."""

    def __init__(self, unit: Unit, values: Iterable[float | None]):
        scale = {"decimal": _DECIMAL, "binary": _BINARY, "none": ((1, unit.symbol),)}[unit.prefixes]
        top = max((abs(v) for v in values if v is not None), default=0)
        self.whole = unit.prefixes != "none"
        self.factor, self.prefix = next((pair for pair in scale if top >= pair[0]), scale[-1])

    def __call__(self, value: float | None) -> str:
        if value is None:
            return NONE
        if not self.whole:
            return significant(value)
        return f"{value:.0f}" if self.factor == 1 else f"{value / self.factor:.2f}"

    def head(self, name: str) -> str:
        return f"{name}\n({self.prefix})" if self.prefix else f"{name}\n"


class Costs:
    """Columns of metrics, each in one unit. A metric that no row has an amount of has no column.

    costs: of each row, amounts by the keys of the metrics.
    """

    def __init__(self, asked: Iterable[Metric], costs: Sequence[Mapping[str, Any]]):
        amounts = [(metric, [cost.get(metric.key) for cost in costs]) for metric in asked]
        self._columns = [
            (metric, Column(metric.unit, found))
            for metric, found in amounts
            if any(value is not None for value in found)
        ]

    @property
    def heads(self) -> list[str]:
        """The head of each column."""
        return [column.head(metric.column) for metric, column in self._columns]

    def __call__(self, cost: Mapping[str, Any]) -> list[str]:
        """The figures of a row."""
        return [column(cost.get(metric.key)) for metric, column in self._columns]


def shape(sizes: Iterable[int]) -> str:
    """A shape as text: `3×32×32`."""
    return "×".join(str(s) for s in sizes)
