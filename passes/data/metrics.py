"""The metrics that networks are priced in: one list, open to others.

A metric defines how its amounts are parsed, written and named, and how they combine over a chain of fragments:

    sum         over the calls of a network's nodes, or over the tensors of its weights, each counted once
    peak        the maximum over time
    file        the bytes of a file: a sum, and a header
    measured    no function of the parts: a pass measures or predicts it
    derived     computed from other amounts of the same network

Another package adds one with `register`, or by an entry point in the group `stitchc.metrics` that names a `Metric`. The
pass `cost` computes every sum, so a metric that is a function of calls needs nothing else:

    register(Metric("reads", "reads_bytes", BYTES, "20MiB", "weights read", "bytes of weights, one image",
                    of_call=lambda call: call.weights_bytes))
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from . import plugins
from .errors import InputError, QuantityError, did_you_mean

if TYPE_CHECKING:
    from .weights_file import Stored

GROUP = "stitchc.metrics"
COMBINATIONS = ("sum", "peak", "file", "measured", "derived")

_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_THOUSANDS = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_BYTES = {"B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}

Amount = TypeVar("Amount")


@dataclass(frozen=True)
class Unit:
    """What a metric is counted in.

    symbol: written behind an amount. name: in tables that have a column for it. suffixes: what a quantity may end in,
    with how many units each stands for; a bare number is always one of units. prefixes: that amounts are written with:
    "decimal" (k, M, G, T), "binary" (Ki, Mi, Gi, Ti), or "none".
    """

    symbol: str
    name: str
    suffixes: Mapping[str, float] = field(hash=False)
    prefixes: str = "none"

    def __post_init__(self) -> None:
        object.__setattr__(self, "suffixes", {"": 1.0, **self.suffixes})


def counted(symbol: str, name: str = "") -> Unit:
    """The unit of a number of things: 12M is twelve million."""
    return Unit(symbol, name or symbol, _THOUSANDS, "decimal")


BYTES = Unit("B", "bytes", _THOUSANDS | _BYTES, "binary")
MILLISECONDS = Unit("ms", "ms", {"ms": 1.0, "us": 1e-3, "s": 1e3})


@dataclass(frozen=True)
class CountedCall:
    """What the pass `cost` knows of one call in a network, for one image.

    target: the class of the layer, or the name of the function or method that is called. macs: multiply-adds.
    weights_bytes: of the stored tensors that it is given. input_bytes: of the other tensors. output_bytes: of the
    memory that it makes for its value; 0 for a view.
    """

    target: str = ""
    macs: int = 0
    weights_bytes: int = 0
    input_bytes: int = 0
    output_bytes: int = 0


@dataclass(frozen=True)
class Metric:
    """One metric.

    name: in budgets and `--metric`. key: in JSON, its name with its unit. example: a quantity of it. title: of its row
    in a report. about: what exactly is counted. combine: one of `COMBINATIONS`.
    of_call, of_tensor: for a sum, one of the two: the amount of one call, or of one stored tensor.
    derive: for a derived metric, its amount, from a mapping with those of other metrics by name. The amounts may be
    numbers or arrays; a KeyError says that one is missing.
    by_formula: whether operators without a formula are missing from it (see `graphs/formulas.py`).
    computed_by: the pass that fills it in. column: a shorter title for the head of a column. phrase: how sentences
    name an exact amount, after the number; "" to leave the metric out of sentences.
    tie: where it stands among the metrics that order equally good candidates, from 1; 0 for none.

    Raises:
        InputError: a name that a budget cannot contain, or fields that contradict each other.
    """

    name: str
    key: str
    unit: Unit
    example: str
    title: str
    about: str
    combine: str = "sum"
    of_call: Callable[[CountedCall], float] | None = None
    of_tensor: Callable[[Stored], float] | None = None
    derive: Callable[[Mapping[str, Any]], Any] | None = None
    by_formula: bool = False
    computed_by: str = "cost"
    column: str = ""
    phrase: str = ""
    tie: int = 0

    def __post_init__(self) -> None:
        if not self.column:
            object.__setattr__(self, "column", self.title)
        if not _NAME.fullmatch(self.name):
            raise InputError(
                f"'{self.name}' is no name for a metric", "Use lower-case letters, digits, '-' and '_': peak-memory."
            )
        if self.combine not in COMBINATIONS:
            near = did_you_mean(self.combine, list(COMBINATIONS)) or f"There are {', '.join(COMBINATIONS)}."
            raise InputError(f"'{self.combine}' is no way in which amounts of {self.name} come together", near)
        if ((self.of_call is None) == (self.of_tensor is None)) == (self.combine == "sum"):
            raise InputError(
                f"the metric {self.name} is a {self.combine}",
                "A sum, and no other, has either of_call (the amount of a call) or of_tensor (of a stored tensor).",
            )
        if (self.derive is None) == (self.combine == "derived"):
            raise InputError(
                f"the metric {self.name} is a {self.combine}",
                "A derived metric, and no other, has a function derive.",
            )

    @property
    def adds_up(self) -> bool:
        """Whether amounts of two fragments add up to that of both."""
        return self.combine in ("sum", "file")

    def amounts(self, calls: Sequence[CountedCall], stored: Sequence[Stored]) -> list[float]:
        """The summands of a metric that is a sum: an amount for each call, or for each stored tensor.

        Raises:
            InputError: the metric's function returns no finite number for one of them.
        """
        if self.of_call:
            return [self._number(self.of_call, call) for call in calls]
        assert self.of_tensor
        return [self._number(self.of_tensor, tensor) for tensor in stored]

    def _number(self, of: Callable[[Any], float], counted: Any) -> float:
        try:
            said: Any = of(counted)
        except Exception as error:  # whatever a foreign function raises
            said = f"{type(error).__name__}: {error}"
        if not isinstance(said, int | float) or not math.isfinite(said):
            raise InputError(f"the metric {self.name} says {said!r} of {counted}, which is no amount")
        return said


_BUILT_IN = {
    metric.name: metric
    for metric in (
        Metric(
            "params", "params", counted("params", "numbers"), "12M", "params", "trainable, shared ones once",
            of_tensor=lambda tensor: tensor.params, phrase="parameters", tie=2,
        ),
        Metric(
            "macs", "macs", counted("MACs"), "600k", "MACs", "multiply-adds, one image",
            of_call=lambda call: call.macs, by_formula=True, phrase="multiply-adds an image", tie=1,
        ),
        Metric(
            "flops", "flops", counted("FLOPs"), "1.5G", "FLOPs", "two a multiply-add, one image",
            combine="derived", derive=lambda amounts: 2 * amounts["macs"], by_formula=True,
        ),
        Metric(
            "size", "size_bytes", BYTES, "20MiB", "weights file", "of the weights file",
            combine="file", column="weights", tie=3,
        ),
        Metric(
            "memory", "memory_bytes", BYTES, "64MiB", "peak activations", "peak activations, one image",
            combine="peak",
        ),
        Metric(
            "latency", "latency_ms", MILLISECONDS, "5ms", "latency", "one image",
            combine="measured", computed_by="latency",
        ),
    )
}  # fmt: skip
_ADDED: dict[str, Metric] = {}


def register(metric: Metric) -> Metric:
    """Makes a metric known, and gives it back.

    Raises:
        InputError: there is another of its name or its key.
    """
    if metric.name in names():
        raise InputError(f"there is a metric {metric.name} already", "Choose another name.")
    _check_key(metric)
    _ADDED[metric.name] = metric
    return metric


def names() -> tuple[str, ...]:
    """Of all metrics, in the order in which documents and reports list them: our own, then those of others. Imports no
    other package."""
    return tuple(dict.fromkeys([*_BUILT_IN, *_ADDED, *plugins.installed(GROUP)]))


def every() -> tuple[Metric, ...]:
    """All metrics, in the order of `names`."""
    return tuple(map(get, names()))


def get(name: str) -> Metric:
    """The metric of a name.

    Raises:
        QuantityError: there is none. InputError: the package that adds it is broken.
    """
    found = _BUILT_IN.get(name) or _ADDED.get(name)
    if found is not None:
        return found
    if name in plugins.installed(GROUP):
        return _loaded(name)
    near = did_you_mean(str(name).lower(), list(names()), cutoff=0.5)
    raise QuantityError(f"'{name}' is no metric", f"{near} Metrics are {', '.join(names())}.".strip())


@cache
def _loaded(name: str) -> Metric:
    """A metric that another package adds."""
    metric = plugins.load(GROUP, name)
    if not isinstance(metric, Metric) or metric.name != name:
        said = f"the metric '{metric.name}'" if isinstance(metric, Metric) else f"a {type(metric).__name__}"
        raise InputError(f"the entry point '{name}' of {GROUP} is {said}", f"It must be a Metric called '{name}'.")
    _check_key(metric)
    return metric


def _check_key(metric: Metric) -> None:
    for known in (*_BUILT_IN.values(), *_ADDED.values()):
        if metric.key == known.key and metric is not known:
            raise InputError(f"the metric {known.name} has the key {known.key} already", "Choose another key.")


def sums() -> tuple[Metric, ...]:
    """Those that are sums over a network."""
    return tuple(metric for metric in every() if metric.combine == "sum")


def counts() -> tuple[Metric, ...]:
    """The metrics that are sums or derived, which narrow tables show."""
    return tuple(metric for metric in every() if metric.combine in ("sum", "derived"))


def ties() -> tuple[Metric, ...]:
    """Those that order equally good candidates, most important first."""
    return tuple(sorted((metric for metric in every() if metric.tie), key=lambda metric: metric.tie))


def amount(name: str, amounts: Mapping[str, Amount]) -> Amount | None:
    """The amount of a metric, from the amounts of one network, or of many as arrays; None where it is not known."""
    metric = get(name)
    if metric.derive is None:
        return amounts.get(name)
    try:
        return metric.derive(amounts)
    except KeyError:
        return None
