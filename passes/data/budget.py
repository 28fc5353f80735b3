"""Quantities and budgets: `12M`, `60%`, `5ms`, `20MiB`, read, resolved and written.

Metrics: params; macs; flops (2 x macs); latency in milliseconds; memory and size in bytes. One multiply-add is one MAC
and two FLOPs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .errors import QuantityError, did_you_mean
from .values import Price

#: Each metric with the unit that reports write behind its values.
METRICS = {"params": "params", "macs": "MACs", "flops": "FLOPs", "latency": "ms", "memory": "B", "size": "B"}

_COUNT = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_BYTES = {"B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
_MILLISECONDS = {"": 1.0, "ms": 1.0, "us": 1e-3, "s": 1e3}
_UNITS = {
    "params": _COUNT,
    "macs": _COUNT,
    "flops": _COUNT,
    "latency": _MILLISECONDS,
    "memory": _COUNT | _BYTES,
    "size": _COUNT | _BYTES,
}
_EXAMPLE = {"params": "12M", "macs": "600k", "flops": "1.5G", "latency": "5ms", "memory": "64MiB", "size": "20MiB"}
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
        known = [v for v in (amount(price, self.metric) for price in prices) if v is not None]
        if not known:
            raise QuantityError(
                f"{self.value:.0%} of {self.metric}: no model was priced in {self.metric}",
                f"Give an absolute limit, such as {_EXAMPLE[self.metric]}.",
            )
        return self.value * max(known)


def amount(price: Price, metric: str) -> float | None:
    """The value of a metric in a price, None where it was not computed."""
    of = {"latency": price.latency_ms, "memory": price.memory_bytes, "size": price.size_bytes}
    return of[metric] if metric in of else getattr(price, metric)


def parse_quantity(text: str, metric: str) -> Limit:
    """Reads `12M`, `1.5G`, `600k`, `4500`, `60%`, `5ms` or `20MiB` as a limit on `metric`.

    A bare number of `latency` is milliseconds; a bare or plainly suffixed one of `size` and `memory` is bytes.

    Raises:
        QuantityError: an unknown metric, no number, a unit that does not belong to the metric, zero.
    """
    units = _UNITS[check_metric(metric)]
    match = _QUANTITY.fullmatch(text)
    if not match:
        raise QuantityError(f"'{text}' is no quantity of {metric}", f"Write it like {_EXAMPLE[metric]} or 60%.")
    number, unit = float(match[1]), match[2]
    if unit != "%" and unit not in units:
        raise QuantityError(f"'{text}': {metric} is not counted in '{unit}'", _unit_hint(match[1], unit, metric))
    value = number / 100 if unit == "%" else number * units[unit]
    if not (0 < value < math.inf):
        raise QuantityError(f"'{text}': a limit on {metric} must be more than nothing and finite", _try(metric))
    return Limit(metric, value, relative=unit == "%")


def parse_budget(words: Iterable[str], metric: str | None = None) -> dict[str, Limit]:
    """Reads `["12M"]` with a metric, or `["params=12M", "size=60%"]`, into one limit for each metric.

    Raises:
        QuantityError: a word that is no quantity, a metric that is unknown, not stated or given twice.
    """
    limits: dict[str, Limit] = {}
    for word in words:
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


def check_metric(metric: str) -> str:
    """The metric itself.

    Raises:
        QuantityError: it is none.
    """
    if metric not in METRICS:
        near = did_you_mean(metric.lower(), list(METRICS), cutoff=0.5)
        raise QuantityError(f"'{metric}' is no metric", f"{near} Metrics are {', '.join(METRICS)}.".strip())
    return metric


def format_quantity(value: float, metric: str) -> str:
    """A value with its unit, to three digits: "12.0 MFLOPs", "4.09 GMACs", "270 k params", "5.00 ms", "1.04 MiB"."""
    unit = METRICS[check_metric(metric)]
    if unit == "ms":
        return f"{_three_digits(value)} ms"
    step, prefixes = (1024.0, ("", "Ki", "Mi", "Gi", "Ti")) if unit == "B" else (1000.0, ("", "k", "M", "G", "T"))
    power = 0
    while power < len(prefixes) - 1 and float(f"{value:.3g}") >= step:
        value /= step
        power += 1
    number = f"{value:g}" if power == 0 and value == int(value) else _three_digits(value)
    between = " " if unit == "params" and power else ""
    return f"{number} {prefixes[power]}{between}{unit}"


def _three_digits(value: float) -> str:
    rounded = float(f"{value:.3g}")
    return f"{rounded:.{0 if rounded >= 100 else 1 if rounded >= 10 else 2}f}"


def _as_limit(metric: str, value: float | str | Limit) -> Limit:
    if isinstance(value, Limit):
        return value
    return parse_quantity(value if isinstance(value, str) else repr(float(value)), metric)


def _try(metric: str) -> str:
    return f"Try {_EXAMPLE[metric]}, or a share of the larger model: 60%."


def _unit_hint(number: str, unit: str, metric: str) -> str:
    close = [known for known in _UNITS[metric] if known.lower() == unit.lower()]
    if close:
        return f"Capitals matter: try {number}{close[0]}."
    owners = [name for name, units in _UNITS.items() if unit in units]
    if owners:
        return f"'{unit}' is a unit of {' and '.join(owners)}. {_try(metric)}"
    known = ", ".join(u for u in _UNITS[metric] if u)
    return f"Units of {metric} are {known} and %. {_try(metric)}"
