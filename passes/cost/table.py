"""All candidates as one table: every front cut with every back cut and every adapter that can join them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from typing import NamedTuple

import numpy as np

from .. import adapters as registry
from ..adapters.kind import Kind
from ..data import metrics
from ..data.candidates import Candidates
from ..data.values import Cuts, Price, Value
from .adapter_prices import AdapterPrice, adapter_price, folded
from .fragments import FragmentPrices
from .sizes import FileEntries, file_sizes

#: What two networks see may differ by so much, as shares of their own sizes, if they are to be stitched at both.
_AS_LARGE = 0.1


def directed_pairs(
    prices: Sequence[Price], direction: str, first: Sequence[int] = (), shares: Sequence[float] = (), mixed: bool = True
) -> Iterator[tuple[int, int]]:
    """(front, back) indices of models: every two of them, ordered by multiply-adds as `direction` says.

    "slow-to-fast": the front is the one with more. "given": the earlier one, as it is wherever both have as many.
    A single model is paired with itself.
    first, shares: of each model, the first one that it is at another input size (see `data.model.first_of`), and its
    height as a share of that one's. Two that are at nearly the same share of their own sizes are paired as those are,
    and, where sizes may be mixed, each gives the front of what is at its own size.
    """
    given = [k for k, own in enumerate(first or range(len(prices))) if own == k]
    others = {own: [k for k, its in enumerate(first) if its == own != k] for own in given}
    for front, back in _given_pairs(prices, direction, given):
        yield front, back
        if mixed:
            yield from ((k, back) for k in others[front])
        if front != back:
            both = product(others[front], others[back])
            yield from ((k, j) for k, j in both if abs(shares[k] - shares[j]) < _AS_LARGE)


def _given_pairs(prices: Sequence[Price], direction: str, given: Sequence[int]) -> Iterator[tuple[int, int]]:
    if len(given) == 1:
        yield given[0], given[0]
    for a, b in combinations(given, 2):
        slower, faster = (a, b) if prices[a]["macs"] >= prices[b]["macs"] else (b, a)
        if direction == "given" or prices[a]["macs"] == prices[b]["macs"]:
            yield a, b
        else:
            yield (faster, slower) if direction == "fast-to-slow" else (slower, faster)
        if direction == "both":
            yield (b, a) if prices[a]["macs"] == prices[b]["macs"] else (faster, slower)


def candidates(
    cuts: Sequence[Cuts], parts: Sequence[FragmentPrices], pairs: Sequence[tuple[int, int]], adapters: Sequence[str]
) -> Candidates:
    """The table of all (front cut, back cut, adapter), pair of models after pair. parts: prices around the cuts.

    Where an adapter cannot join two values there is no row, nor where it would repeat another of `adapters`.
    An adapter is priced once for each pair of distinct values. Of a model with itself the back begins behind the cut at
    which the front ends: what lies between is left out.
    """
    ask = Adapters(adapters)
    rows = [_rows(pair, cuts, parts, ask) for pair in pairs]
    indices = np.concatenate([np.empty((5, 0)), *(r.indices for r in rows)], axis=1).astype(np.int32)
    front_model, front_cut, back_model, back_cut, adapter = indices
    return Candidates(
        adapters=tuple(adapters),
        front_model=front_model,
        front_cut=front_cut,
        back_model=back_model,
        back_cut=back_cut,
        adapter=adapter,
        amounts={name: np.concatenate([r.amounts[name] for r in rows]) for name in (rows[0].amounts if rows else ())},
        similarity=np.full(len(adapter), np.nan),
        feasible=np.ones(len(adapter), dtype=bool),
        order=np.empty(0, dtype=np.int64),
    )


class Adapters:
    """Prices of adapters between pairs of values, each pair computed once. found: the prices so far."""

    def __init__(self, names: Sequence[str]):
        self.names = tuple(names)
        self.kinds = [registry.get(name) for name in names]
        self.found: list[AdapterPrice] = []
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
        price = adapter_price(kind, front, back)
        if isinstance(price, str):
            return None
        simplest = kind.simplest(front, back)
        return None if simplest != kind and simplest.notation in self.names else price


class _Rows(NamedTuple):
    """indices: [5, rows], as the first columns of `Candidates`. amounts: its columns of metrics."""

    indices: np.ndarray
    amounts: dict[str, np.ndarray]


def _rows(pair: tuple[int, int], cuts: Sequence[Cuts], parts: Sequence[FragmentPrices], ask: Adapters) -> _Rows:
    (a, b), (front, back) = pair, (parts[model] for model in pair)
    fronts, backs = ([cut.value for cut in cuts[model].cuts] for model in pair)
    found = _price_indices(fronts, backs, ask)
    if a == b:
        found[np.tril_indices(len(fronts))] = -1
    i, j, k = np.nonzero(found >= 0)  # front cut, back cut, adapter
    used, which = np.unique(found[i, j, k], return_inverse=True)
    joined = [ask.found[index] for index in used]
    amounts = {
        metric.name: _column(front.before, metric.name)[i]
        + _column([price.sums for price in joined], metric.name)[which]
        + _column(back.after, metric.name)[j]
        for metric in metrics.sums()
    }
    for row in np.flatnonzero(np.array([len(price.widens) > 0 for price in joined], dtype=bool)[which]):
        price = joined[which[row]]
        whole = folded(price, back.readers[j[row]], fronts[i[row]], backs[j[row]])
        for name in price.widens:
            amounts[name][row] += whole[name] - price.sums[name]
    entries = {entries: index for index, entries in enumerate(dict.fromkeys(price.entries for price in joined))}
    between = FileEntries.each(list(entries)).under("adapter.")
    listed, more, memory, given = (
        np.array([(entries[p.entries], p.more_bytes, p.memory_bytes, p.given_bytes) for p in joined], dtype=np.int64)
        .reshape(-1, 4)[which]
        .T
    )
    image = front.peaks.image
    amounts["size"] = file_sizes((between, listed), (back.back, j), (front.front, i)) + more
    amounts["memory"] = np.maximum.reduce(
        [front.peaks.before[i], image + front.peaks.held[i] + memory, image + given + back.peaks.after[j]]
    )
    return _Rows(np.stack([np.full(len(i), a), i, np.full(len(i), b), j, k]), amounts)


def _price_indices(front: Sequence[Value], back: Sequence[Value], ask: Adapters) -> np.ndarray:
    """int64 [front cuts, back cuts, adapters]: the index of each adapter's price, -1 where there is none."""
    fronts, backs = ({value: i for i, value in enumerate(dict.fromkeys(side))} for side in (front, back))
    distinct = np.full((len(fronts), len(backs), len(ask.kinds)), -1, dtype=np.int64)
    for (x, i), (y, j), k in product(fronts.items(), backs.items(), range(len(ask.kinds))):
        distinct[i, j, k] = ask(k, x, y)
    return distinct[np.ix_([fronts[v] for v in front], [backs[v] for v in back], range(len(ask.kinds)))]


def _column(prices: Sequence[Price], name: str) -> np.ndarray:
    amounts = [price[name] for price in prices]
    return np.array(amounts) if amounts else np.zeros(0, dtype=np.int64)
