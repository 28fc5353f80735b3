"""All candidates as one table: every front cut with every back cut and every adapter that can join them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from stitchc.passes import adapters as registry
from stitchc.passes.candidates import Candidates
from stitchc.passes.errors import InputError, did_you_mean
from stitchc.passes.values import Cuts, Price, Value

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


def candidates(
    cuts: Sequence[Cuts], pairs: Sequence[tuple[int, int]], adapters: Sequence[str], chosen: object = None
) -> Candidates:
    """The table of all (front cut, back cut, adapter) over `pairs` of models, in that order; cuts must be priced.

    Pairs of cuts that an adapter cannot join are left out. An adapter is asked once for each pair of distinct values.
    """
    parts = [_block(cuts, front, back, adapters) for front, back in pairs]
    columns = {name: np.concatenate([getattr(p, name) for p in parts] or [np.empty(0)]) for name in _Block.names()}
    rows = len(columns["params"])
    return Candidates(
        adapters=tuple(adapters),
        **{name: column.astype(np.int64 if name in _AMOUNTS else np.int32) for name, column in columns.items()},
        similarity=np.full(rows, np.nan),
        feasible=np.ones(rows, dtype=bool),
        order=np.empty(0, dtype=np.int64),
    )
