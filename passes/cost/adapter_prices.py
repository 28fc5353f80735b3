"""What an adapter takes between two values: by its closed form, and counted where there is none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import torch
from torch.fx import GraphModule, symbolic_trace
from torch.fx.proxy import TraceError

from .. import adapters as registry
from ..adapters.base import Adapter
from ..adapters.footprint import footprint
from ..adapters.kind import Kind
from ..data import metrics
from ..data.metrics import Metric
from ..data.values import Price, Value
from ..data.weights_file import Entry
from ..trace.record import record
from .calls import Calls
from .count import NodeCost, count
from .fragments import fragment_prices
from .widening import widened

_CALLS = Calls()  # adapters between many values have calls in common


@dataclass(frozen=True)
class AdapterPrice:
    """sums: of every metric that is one. widens: names of those that still lack what the layers take more that the
    adapter folds into (see `folded`). entries: the tensors that it puts into the weights file, by their keys within the
    adapter. memory_bytes: see `footprint`. more_bytes: what the fragment behind it puts into the file more by it.
    given_bytes: of the value that this fragment is given."""

    sums: Price
    widens: frozenset[str]
    entries: tuple[Entry, ...]
    memory_bytes: int
    more_bytes: int
    given_bytes: int


def adapter_price(kind: Kind, front: Value, back: Value) -> AdapterPrice | str:
    """The price of joining two values, or why the kind cannot."""
    price = kind.price(front, back)
    if not isinstance(price, Price):
        return price
    sums = metrics.sums()
    missing = frozenset(metric.name for metric in sums if metric.name not in price)
    whole = counted(kind, front, back, sums) | price if missing else price
    found = footprint(kind, front, back)
    given = 4 * prod(back.shape)
    if kind.folds:  # the back is given the front's channels, and its weights are of other shapes
        given = given // back.channels * front.channels
    return AdapterPrice(
        sums=Price({metric.name: whole[metric.name] for metric in sums}),
        widens=missing if kind.folds else frozenset(),
        entries=found.entries,
        memory_bytes=found.memory_bytes,
        more_bytes=int(price["size"]) if kind.folds else 0,
        given_bytes=given,
    )


def folded(price: AdapterPrice, readers: tuple[NodeCost, ...], front: Value, back: Value) -> Price:
    """The sums of an adapter, with what the layers take more that it folds into. readers: those that read the cut."""
    if not price.widens:
        return price.sums
    more = widened(readers, back.channels, front.channels)
    return price.sums | {name: price.sums[name] + more[name] for name in price.widens}


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
