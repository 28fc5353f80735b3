"""Values of a graph as data: what crosses a cut, and where the cut is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod

from . import metrics
from .errors import QuantityError
from .notebook import InNotebook


@dataclass(frozen=True)
class Value:
    """A tensor that crosses a cut, described without its batch axis (which is always axis 0).

    shape: without batch. layout: "NCHW" (maps), "NHWC" (maps, channels last), "NLC" (tokens), "NC" (a vector).
    tokens: how many prefix tokens (class, distillation, registers) stand before the pixels of an NLC value.
    grid: (height, width) of the pixels; None for NC, and for tokens that are laid out on no grid.
    widens: (params, MACs) that one more channel would add to the layers that read the value; None where others than
    convolutions without groups and Linear layers read it.
    """

    shape: tuple[int, ...]
    layout: str
    tokens: int = 0
    grid: tuple[int, int] | None = None
    widens: tuple[int, int] | None = None

    @property
    def channels(self) -> int:
        """Features of a position."""
        return self.shape[0] if self.layout == "NCHW" else self.shape[-1]

    @property
    def pixels(self) -> int:
        """Positions that share the channels, prefix tokens not counted; 1 for a vector."""
        if self.layout == "NLC":
            return self.shape[0] - self.tokens
        return prod(self.grid) if self.grid else 1


class Price(Mapping[str, float]):
    """The price of a network or a part of one: a frozen mapping from the names of metrics to amounts (see `metrics`).

    A metric that was not computed is absent: `price.get("latency")` is None then. Derived metrics are not stored but
    computed on access: `price["flops"]`. `+` and `-` keep the metrics that add up and that both have; peaks do not add
    up, so they are absent from a sum.

    Raises:
        QuantityError: a name that is no metric, or one that is derived.
    """

    __slots__ = ("_amounts",)

    def __init__(self, amounts: Mapping[str, float | None] | None = None, /, **more: float | None):
        given = {**(amounts or {}), **more}
        for name in given:
            if metrics.get(name).derive is not None:
                raise QuantityError(f"{name} is derived from other metrics", "Give those.")
        self._amounts = {name: amount for name, amount in given.items() if amount is not None}

    def __getitem__(self, name: str) -> float:
        amount = metrics.amount(name, self._amounts)
        if amount is None:
            raise KeyError(name)
        return amount

    def __iter__(self) -> Iterator[str]:
        return iter(self._amounts)

    def __len__(self) -> int:
        return len(self._amounts)

    def __hash__(self) -> int:
        return hash(frozenset(self._amounts.items()))

    def __repr__(self) -> str:
        return f"Price({', '.join(f'{name}={amount!r}' for name, amount in self._amounts.items())})"

    def __or__(self, other: Mapping[str, float | None]) -> Price:
        """With the amounts of `other` in place of its own; without those that are None there."""
        return Price(self._amounts, **other)

    def __add__(self, other: Price) -> Price:
        return Price({name: self[name] + other[name] for name in self._additive(other)})

    def __sub__(self, other: Price) -> Price:
        return Price({name: self[name] - other[name] for name in self._additive(other)})

    def _additive(self, other: Price) -> list[str]:
        return [name for name in self if name in other and metrics.get(name).adds_up]

    def ordering(self) -> tuple[float, ...]:
        """A key that orders networks from cheap to expensive, by the metrics of `metrics.ties`."""
        return tuple(self.get(metric.name, 0) for metric in metrics.ties())

    def as_dict(self) -> dict[str, float | None]:
        """The `cost` object of a JSON document: every metric under its key, None where it is not known."""
        return {metric.key: self.get(metric.name) for metric in metrics.every()}


def listed(uncounted: Mapping[str, int]) -> str:
    """Operators without a formula as text: "erfinv (1), fft_r2c (2)"."""
    return ", ".join(f"{name} ({times})" for name, times in sorted(uncounted.items()))


def added(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Operators and how often they are called, over several parts."""
    return dict(sum(map(Counter, counts), Counter()))


@dataclass(frozen=True)
class Cut:
    """A value that alone crosses from all that comes before it to all that comes after.

    index: from 0 in graph order. node: the fx node. path: the outermost module, plain containers aside, whose output
    the value is, else the module that encloses it. paths: every module whose output it is, innermost first.
    before, after: the price of the fragment up to here, and from here on. uncounted_before, uncounted_after: the calls
    in these of operators that have no formula, by name, which no price holds. All filled by the pass `cost`.
    """

    index: int
    node: str
    path: str
    value: Value
    paths: tuple[str, ...] = ()
    before: Price | None = None
    after: Price | None = None
    uncounted_before: Mapping[str, int] = field(default_factory=dict)
    uncounted_after: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Rejected:
    """A value that is no cut: its fx node, the path of the module whose output it is, and the reason."""

    node: str
    path: str
    reason: str


@dataclass(frozen=True)
class Cuts(InNotebook):
    """The cuts of one graph under one rule, in graph order; and the values that are none, which were rejected."""

    rule: str
    cuts: tuple[Cut, ...]
    rejected: tuple[Rejected, ...] = ()

    def __len__(self) -> int:
        return len(self.cuts)

    def __getitem__(self, index: int) -> Cut:
        return self.cuts[index]
