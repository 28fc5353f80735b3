"""All candidates as one table: every front cut with every back cut and every adapter that can join them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from math import prod
from typing import NamedTuple

import numpy as np

from .. import adapters as registry
from ..adapters.footprint import footprint
from ..adapters.kind import Kind
from ..data.candidates import Candidates
from ..data.values import Cuts, Price, Value
from ..data.weights_file import Entry
from .fragments import FragmentPrices
from .sizes import Side, file_sizes

# Where an adapter cannot join two values; one that is folded into the back may take less than nothing.
_NONE = np.iinfo(np.int64).min


def directed_pairs(prices: Sequence[Price], direction: str) -> Iterator[tuple[int, int]]:
    """(front, back) indices of models: every two of them, ordered by multiply-adds as `direction` says.

    "slow-to-fast": the front is the one with more. "given": the earlier one, as it is wherever both have as many.
    """
    for a, b in combinations(range(len(prices)), 2):
        slower, faster = (a, b) if prices[a].macs >= prices[b].macs else (b, a)
        if direction == "given" or prices[a].macs == prices[b].macs:
            yield a, b
        else:
            yield (faster, slower) if direction == "fast-to-slow" else (slower, faster)
        if direction == "both":
            yield (b, a) if prices[a].macs == prices[b].macs else (faster, slower)


def candidates(
    cuts: Sequence[Cuts], parts: Sequence[FragmentPrices], pairs: Sequence[tuple[int, int]], adapters: Sequence[str]
) -> Candidates:
    """The table of all (front cut, back cut, adapter), pair of models after pair. parts: prices around the cuts.

    Where an adapter cannot join two values there is no row, nor where it would repeat another of `adapters`.
    An adapter is asked once for each pair of distinct values.
    """
    ask = Adapters(adapters)
    rows = [_rows(pair, cuts, parts, ask) for pair in pairs]
    indices = np.concatenate([r.indices for r in rows] or [np.empty((5, 0))], axis=1).astype(np.int32)
    amounts = np.concatenate([r.amounts for r in rows] or [np.empty((4, 0))], axis=1).astype(np.int64)
    front_model, front_cut, back_model, back_cut, adapter = indices
    params, macs, size_bytes, memory_bytes = amounts
    return Candidates(
        adapters=tuple(adapters),
        front_model=front_model,
        front_cut=front_cut,
        back_model=back_model,
        back_cut=back_cut,
        adapter=adapter,
        params=params,
        macs=macs,
        size_bytes=size_bytes,
        memory_bytes=memory_bytes,
        latency_ms=np.full(len(params), np.nan),
        similarity=np.full(len(params), np.nan),
        feasible=np.ones(len(params), dtype=bool),
        order=np.empty(0, dtype=np.int64),
    )


class Adapters:
    """What adapters say of pairs of values, each pair asked once. entries: lists of what they put into the file."""

    def __init__(self, names: Sequence[str]):
        self.names = tuple(names)
        self.kinds = [registry.get(name) for name in names]
        self.said: dict[tuple[int, Value, Value], tuple[int, ...]] = {}
        self.entries: dict[tuple[Entry, ...], int] = {}

    def __call__(self, kind: int, front: Value, back: Value) -> tuple[int, ...]:
        """(params, macs, bytes of memory, index of its `entries`, bytes that the back's file has more by it, bytes of
        the value that the back is given), or `_NONE` six times where it cannot join the two or repeats another."""
        key = (kind, front, back)
        if key not in self.said:
            self.said[key] = self._ask(self.kinds[kind], front, back)
        return self.said[key]

    def _ask(self, kind: Kind, front: Value, back: Value) -> tuple[int, ...]:
        price = kind.price(front, back)
        simplest = kind.simplest(front, back)
        if not isinstance(price, Price) or (simplest != kind and simplest.words in self.names):
            return (_NONE,) * 6
        found = footprint(kind, front, back)
        index = self.entries.setdefault(found.entries, len(self.entries))
        given = 4 * prod(back.shape)
        if kind.folds:  # the back is given the front's channels, and its weights are of other shapes
            given = given // back.channels * front.channels
        more = price.size_bytes if kind.folds else 0
        return price.params, price.macs, found.memory_bytes, index, more, given


class _Rows(NamedTuple):
    """indices: [5, rows], as the first columns of `Candidates`. amounts: int64 [4, rows]: params, macs, bytes of the
    weights file, bytes of memory."""

    indices: np.ndarray
    amounts: np.ndarray


def _rows(pair: tuple[int, int], cuts: Sequence[Cuts], parts: Sequence[FragmentPrices], ask: Adapters) -> _Rows:
    (a, b), (front, back) = pair, (parts[model] for model in pair)
    joint = _joints([c.value for c in cuts[a].cuts], [c.value for c in cuts[b].cuts], ask)
    i, j, k = np.nonzero(joint[0] != _NONE)  # front cut, back cut, adapter
    params, macs, memory, which, more, given = joint[:, i, j, k]
    used, which = np.unique(which, return_inverse=True)
    lists = list(ask.entries)
    between = Side.each([lists[index] for index in used]).under("adapter.")
    image = front.peaks.image
    amounts = [
        _column(front.before, "params")[i] + params + _column(back.after, "params")[j],
        _column(front.before, "macs")[i] + macs + _column(back.after, "macs")[j],
        file_sizes((between, which), (back.back, j), (front.front, i)) + more,
        np.maximum.reduce(
            [front.peaks.before[i], image + front.peaks.held[i] + memory, image + given + back.peaks.after[j]]
        ),
    ]
    return _Rows(np.stack([np.full(len(i), a), i, np.full(len(i), b), j, k]), np.stack(amounts))


def _joints(front: Sequence[Value], back: Sequence[Value], ask: Adapters) -> np.ndarray:
    """int64 [6, front cuts, back cuts, adapters]: what the adapters say."""
    fronts, backs = ({value: i for i, value in enumerate(dict.fromkeys(side))} for side in (front, back))
    distinct = np.full((6, len(fronts), len(backs), len(ask.kinds)), _NONE, dtype=np.int64)
    for (x, i), (y, j), k in product(fronts.items(), backs.items(), range(len(ask.kinds))):
        distinct[:, i, j, k] = ask(k, x, y)
    return distinct[np.ix_(range(6), [fronts[v] for v in front], [backs[v] for v in back], range(len(ask.kinds)))]


def _column(prices: Sequence[Price], name: str) -> np.ndarray:
    return np.array([getattr(price, name) for price in prices], dtype=np.int64)
