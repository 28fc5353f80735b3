"""The price of an adapter between two values: in closed form where there is one, otherwise counted."""

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
    """The price of an adapter, in parts.

    sums: its amount of every metric that is a sum. widens: the metrics to which the extra cost of the layers that the
    adapter folds into must still be added (see `folded`). entries: the tensors that it puts into the weights file, by
    their keys within the adapter. memory_bytes: see `footprint`. more_bytes: bytes by which it makes the next
    fragment's weights larger. given_bytes: bytes of the value that the next fragment is given.
    """

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
    """The sums of an adapter, with the extra cost of the layers that it folds into. readers: the layers that read the
    cut."""
    if not price.widens:
        return price.sums
    more = widened(readers, back.channels, front.channels)
    return price.sums | {name: price.sums[name] + more[name] for name in price.widens}


@lru_cache(maxsize=1 << 12)
def counted(kind: Kind, front: Value, back: Value, _: tuple[Metric, ...]) -> Price:
    """The price of an adapter, counted on the device "meta". The last argument, the metrics that are sums, is only part
    of the cache key."""
    with torch.device("meta"):
        adapter = kind(front, back).eval()
    return fragment_prices(count(graph_of(adapter), front.shape, _CALLS), []).whole


def graph_of(adapter: Adapter) -> GraphModule:
    """The graph of an adapter. Recording takes ten times as long as torch.fx, which has no shapes. For our own adapters
    both give the same calls; for those of other packages that is not known, so they are recorded."""
    if type(adapter.kind).__module__.startswith(registry.__name__):
        try:
            return symbolic_trace(adapter)
        except TraceError:
            pass
    return record(adapter, adapter.front.shape)
