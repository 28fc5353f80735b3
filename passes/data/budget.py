"""Quantities and budgets: `12M`, `60%`, `5ms`, `20MiB`, read, resolved and written in the unit of their metric."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

from . import metrics
from .errors import QuantityError
from .metrics import Metric
from .values import Price

#: How much more each prefix of a unit is than the one before it, and the prefixes.
_PREFIXES = {
    "decimal": (1000.0, ("", "k", "M", "G", "T")),
    "binary": (1024.0, ("", "Ki", "Mi", "Gi", "Ti")),
    "none": (math.inf, ("",)),
}
_QUANTITY = re.compile(r"\s*([0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+)\s*([A-Za-z%]*)\s*")


@dataclass(frozen=True)
class Limit:
    """At most `value` of `metric`; when `relative`, `value` is a share (0.6 for 60 %) of the larger model's."""

    metric: str
    value: float
    relative: bool = False

    def resolve(self, prices: Sequence[Price]) -> float:
        """The limit in the metric's own unit. `prices`: of the whole models; the largest value among them is 100 %.

        Raises:
            QuantityError: a share of a metric that the models were not priced in.
        """
        if not self.relative:
            return self.value
        known = [v for v in (price.get(self.metric) for price in prices) if v is not None]
        if not known:
            raise QuantityError(
                f"{self.value:.0%} of {self.metric}: no model was priced in {self.metric}",
                f"Give an absolute limit, such as {metrics.get(self.metric).example}.",
            )
        return self.value * max(known)

    def text(self) -> str:
        """The limit as `parse_budget` reads it: `macs=60%`, `params=12000000`."""
        amount = f"{self.value * 100:g}%" if self.relative else f"{self.value:.15g}"
        return f"{self.metric}={amount}"


def parse_quantity(text: str, metric: str) -> Limit:
    """Reads `12M`, `1.5G`, `600k`, `4500`, `60%`, `5ms` or `20MiB` as a limit on `metric`.

    A bare number is in the metric's own unit: milliseconds of a latency, bytes of a size.

    Raises:
        QuantityError: an unknown metric, no number, a unit that does not belong to the metric, zero.
    """
    asked = metrics.get(metric)
    suffixes = asked.unit.suffixes
    match = _QUANTITY.fullmatch(text)
    if not match and text in metrics.names():
        example = f"{text}={metrics.get(text).example}"
        raise QuantityError(f"'{text}' is a metric, and no limit on one", f"Write both as one: `budget='{example}'`.")
    if not match:
        raise QuantityError(f"'{text}' is no quantity of {metric}", f"Write it like {asked.example} or 60%.")
    number, suffix = float(match[1]), match[2]
    if suffix != "%" and suffix not in suffixes:
        raise QuantityError(f"'{text}': {metric} is not counted in '{suffix}'", _suffix_hint(match[1], suffix, asked))
    value = number / 100 if suffix == "%" else number * suffixes[suffix]
    if not (0 < value < math.inf):
        raise QuantityError(f"'{text}': a limit on {metric} must be more than nothing and finite", _try(asked))
    if suffix != "%" and value < 1 and asked.combine != "measured":  # every other metric is a whole number
        raise QuantityError(
            f"'{text}': a limit on {metric} of less than one",
            f"Did you mean {100 * value:.10g}%, a share of the larger model?" if not suffix else _try(asked),
        )
    return Limit(metric, value, relative=suffix == "%")


def parse_budget(words: Iterable[str], metric: str | None = None) -> dict[str, Limit]:
    """Reads `["12M"]` with a metric, or `["params=12M", "size=60%"]`, into one limit for each metric.

    Raises:
        QuantityError: a word that is no quantity, a metric that is unknown, not stated or given twice.
    """
    limits: dict[str, Limit] = {}
    for word in words:
        if not isinstance(word, str):
            raise QuantityError(f"a budget is {word!r}", "Write it as text with its metric: 'flops=12M', 'macs=60%'.")
        name, equals, quantity = word.rpartition("=")
        name = name.strip() if equals else metric or ""
        if not name:
            raise QuantityError(
                f"the budget '{word}' does not say of what",
                f"Name the metric: `budget='flops={word}'`, or `metric='flops'` beside it.",
            )
        limit = parse_quantity(quantity, name)
        if name in limits:
            raise QuantityError(f"{name} has two budgets", f"Keep one: `budget='{name}={quantity}'`.")
        limits[name] = limit
    return limits


def as_limits(budget: Mapping[str, float | str | Limit] | Iterable[Limit]) -> tuple[Limit, ...]:
    """A budget in any of its forms, `{"flops": 12e6}`, `{"flops": "60%"}` or limits, as limits.

    Raises:
        QuantityError: as `parse_budget`.
    """
    given = (_as_limit(m, value) for m, value in budget.items()) if isinstance(budget, Mapping) else budget
    limits: dict[str, Limit] = {}
    for limit in given:
        if limit.metric in limits:
            raise QuantityError(f"{limit.metric} has two budgets", "Keep one.")
        limits[limit.metric] = limit
    return tuple(limits.values())


def format_quantity(value: float, metric: str, digits: int = 3) -> str:
    """A value with its unit, to three digits: "12.0 MFLOPs", "4.09 GMACs", "270 k params", "5.00 ms", "1.04 MiB"."""
    unit = metrics.get(metric).unit
    step, prefixes = _PREFIXES[unit.prefixes]
    power = 0
    while power < len(prefixes) - 1 and float(f"{value:.{digits}g}") >= step:
        value /= step
        power += 1
    number = f"{value:g}" if power == 0 < len(prefixes) - 1 and value == int(value) else _to_digits(value, digits)
    between = " " if power and unit.symbol[:1].islower() else ""  # "k params", but "kMACs"
    return f"{number} {prefixes[power]}{between}{unit.symbol}"


def format_apart(value: float, other: float, metric: str) -> tuple[str, str]:
    """Two values as `format_quantity` writes them, to as many digits more as tell them apart: "15.184 kMACs" and
    "15.183 kMACs"."""
    for digits in range(3, 16):
        said = format_quantity(value, metric, digits), format_quantity(other, metric, digits)
        if said[0] != said[1] or value == other:
            break
    return said


def _to_digits(value: float, digits: int) -> str:
    """Never in scientific notation, however small: "0.00300"."""
    rounded = float(f"{value:.{digits}g}")
    before = math.floor(math.log10(abs(rounded))) + 1 if rounded else 1
    return f"{rounded:.{max(0, digits - before)}f}"


def _as_limit(metric: str, value: float | str | Limit) -> Limit:
    if isinstance(value, Limit):
        return value
    if isinstance(value, bool) or not isinstance(value, str | Real):
        raise QuantityError(f"the budget of {metric} is {value!r}", "Write it as a number or text: 12e6, '12M', '60%'.")
    return parse_quantity(value if isinstance(value, str) else repr(float(value)), metric)


def _try(metric: Metric) -> str:
    return f"Try {metric.example}, or a share of the larger model: 60%."


def _suffix_hint(number: str, suffix: str, metric: Metric) -> str:
    close = [known for known in metric.unit.suffixes if known.lower() == suffix.lower()]
    if close:
        return f"Capitals matter: try {number}{close[0]}."
    owners = [other.name for other in metrics.every() if suffix in other.unit.suffixes]
    if owners:
        return f"'{suffix}' is a unit of {' and '.join(owners)}. {_try(metric)}"
    known = ", ".join(suffix for suffix in metric.unit.suffixes if suffix)
    return f"Units of {metric.name} are {known} and %. {_try(metric)}"
