"""What adapters take between two values: by their closed forms, and counted where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import torch
from torch.fx import GraphModule, symbolic_trace
from torch.fx.proxy import TraceError

from .. import adapters as registry
from ..adapters.base import Adapter, Kind
from ..adapters.footprint import footprint
from ..data import metrics
from ..data.metrics import Metric
from ..data.values import Price, Value
from ..data.weights_file import Entry
from ..trace.record import record
from .calls import Calls
from .count import count
from .fragments import fragment_prices

_CALLS = Calls()  # adapters between many values have calls in common


@dataclass(frozen=True)
class AdapterPrice:
    """sums: of every metric that is one. widens: names of those that still lack what the layers take more that the
    adapter folds into (see `widening`). memory_bytes: see `footprint`. entries: index of what it puts into the file, in
    `AdapterPrices.entries`. more_bytes: that the back's file has by it. given_bytes: of the value that the back is
    given."""

    sums: Price
    widens: frozenset[str]
    memory_bytes: int
    entries: int
    more_bytes: int
    given_bytes: int


class AdapterPrices:
    """What adapters say of pairs of values, each pair asked once. found: the prices so far. entries: lists of tensors
    that adapters put into the file."""

    def __init__(self, names: Sequence[str]):
        self.names = tuple(names)
        self.kinds = [registry.get(name) for name in names]
        self.found: list[AdapterPrice] = []
        self.entries: dict[tuple[Entry, ...], int] = {}
        self._asked: dict[tuple[int, Value, Value], int] = {}

    def __call__(self, kind: int, front: Value, back: Value) -> int:
        """The index in `found`; -1 where the kind cannot join the two, or repeats another."""
        key = (kind, front, back)
        if key not in self._asked:
            price = self._price(self.kinds[kind], front, back)
            self._asked[key] = -1 if price is None else len(self.found)
            self.found += [] if price is None else [price]
        return self._asked[key]

    def _price(self, kind: Kind, front: Value, back: Value) -> AdapterPrice | None:
        price = kind.price(front, back)
        simplest = kind.simplest(front, back)
        if not isinstance(price, Price) or (simplest != kind and simplest.words in self.names):
            return None
        found = footprint(kind, front, back)
        given = 4 * prod(back.shape)
        if kind.folds:  # the back is given the front's channels, and its weights are of other shapes
            given = given // back.channels * front.channels
        missing = frozenset(metric.name for metric in metrics.sums() if metric.name not in price)
        return AdapterPrice(
            (counted(kind, front, back, metrics.sums()) if missing else Price()) | price,
            missing if kind.folds else frozenset(),
            found.memory_bytes,
            self.entries.setdefault(found.entries, len(self.entries)),
            int(price["size"]) if kind.folds else 0,
            given,
        )


@lru_cache(maxsize=1 << 18)
def counted(kind: Kind, front: Value, back: Value, _: tuple[Metric, ...]) -> Price:
    """The adapter of a kind between two values, counted on tensors without numbers; of which metrics, is part of what
    is remembered."""
    with torch.device("meta"):
        adapter = kind(front, back).eval()
    return fragment_prices(count(graph_of(adapter), front.shape, _CALLS), []).whole


def graph_of(adapter: Adapter) -> GraphModule:
    """The graph of an adapter. Recording takes ten times as long as torch.fx, which knows no shapes: what it makes of
    our own adapters has the same calls, of those of others nobody knows."""
    if type(adapter.kind).__module__.startswith(registry.__name__):
        try:
            return symbolic_trace(adapter)
        except TraceError:
            pass
    return record(adapter, adapter.front.shape)
