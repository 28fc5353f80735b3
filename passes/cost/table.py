"""All candidates as one table: every front cut with every back cut and every adapter that can join them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from .. import adapters as registry
from ..candidates import Candidates
from ..errors import InputError, did_you_mean
from ..values import Cuts, Price, Value

_NONE = np.iinfo(np.int64).min

DIRECTIONS = ("slow-to-fast", "fast-to-slow", "both", "given")


def check_direction(direction: str) -> str:
    """The direction itself.

    Raises:
        InputError: it is none.
    """
    if direction not in DIRECTIONS:
        near = did_you_mean(direction, list(DIRECTIONS))
        raise InputError(f"'{direction}' is no direction", f"{near} Directions are {', '.join(DIRECTIONS)}.".strip())
    return direction


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


def candidates(cuts: Sequence[Cuts], pairs: Sequence[tuple[int, int]], adapters: Sequence[str]) -> Candidates:
    """The table of all (front cut, back cut, adapter), pair of models after pair; the cuts must be priced.

    Where an adapter cannot join two values there is no row, nor where it would repeat another of `adapters`.
    An adapter is asked once for each pair of distinct values.
    """
    parts = [_Rows.of(pair, cuts, adapters) for pair in pairs] or [_Rows.empty()]
    indices = np.concatenate([part.indices for part in parts], axis=1).astype(np.int32)
    amounts = np.concatenate([part.amounts for part in parts], axis=1)
    front_model, front_cut, back_model, back_cut, adapter = indices
    params, macs, size_bytes = amounts
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
        similarity=np.full(len(params), np.nan),
        feasible=np.ones(len(params), dtype=bool),
        order=np.empty(0, dtype=np.int64),
    )


@dataclass(frozen=True)
class _Rows:
    """indices: [5, rows], as the first columns of `Candidates`. amounts: int64 [3, rows]: params, macs, bytes."""

    indices: np.ndarray
    amounts: np.ndarray

    @classmethod
    def empty(cls) -> _Rows:
        return cls(np.empty((5, 0), dtype=np.int64), np.empty((3, 0), dtype=np.int64))

    @classmethod
    def of(cls, pair: tuple[int, int], cuts: Sequence[Cuts], adapters: Sequence[str]) -> _Rows:
        front, back = (cuts[model].cuts for model in pair)
        if not front or not back or not adapters:
            return cls.empty()
        joint = _adapter_amounts([c.value for c in front], [c.value for c in back], adapters)
        before = _amounts(c.before for c in front)[:, :, None, None]
        after = _amounts(c.after for c in back)[:, None, :, None]
        rows = np.nonzero(joint[0] != _NONE)  # front cut, back cut, adapter
        front_model, back_model = (np.full(len(rows[0]), model) for model in pair)
        return cls(
            indices=np.stack([front_model, rows[0], back_model, rows[1], rows[2]]),
            amounts=(before + joint + after)[(slice(None), *rows)],
        )


def _adapter_amounts(front: Sequence[Value], back: Sequence[Value], adapters: Sequence[str]) -> np.ndarray:
    """[3, front cuts, back cuts, adapters]: params, macs and bytes of the adapter, `_NONE` where it cannot join them.
    One that is folded into the back may take less than nothing."""
    fronts, backs = ({value: i for i, value in enumerate(dict.fromkeys(side))} for side in (front, back))
    distinct = np.full((3, len(fronts), len(backs), len(adapters)), _NONE, dtype=np.int64)
    for (x, i), (y, j), (k, name) in product(fronts.items(), backs.items(), enumerate(adapters)):
        kind = registry.get(name)
        price = kind.price(x, y)
        simplest = kind.simplest(x, y).words
        if isinstance(price, Price) and (simplest == name or simplest not in adapters):
            distinct[:, i, j, k] = price.params, price.macs, price.size_bytes
    return distinct[np.ix_(range(3), [fronts[v] for v in front], [backs[v] for v in back], range(len(adapters)))]


def _amounts(prices: Iterable[Price | None]) -> np.ndarray:
    """int64 [3, prices]: params, macs, bytes."""
    return np.array([(p.params, p.macs, p.size_bytes) for p in prices if p is not None], dtype=np.int64).T
