"""The size of the weights file of every candidate, exact to the byte.

A file of a stitched network holds, dtype by dtype, the tensors of the adapter, of the back and of the front, each in
the order of their names (see `weights_file`). Each entry of the header says where its data begins and ends, and so
takes as many digits as lie before it: with offsets o + e[k], where o is what lies before the part and e[k] the end of
its k-th tensor within it,

    digits of all begins and ends = 2 sum_k digits(o + e[k]) + digits(o) - digits(o + e[n]).

A number gains a digit at each power of ten, so the sum is found by counting the ends above each power: a binary search
in a sorted list, for all candidates of two models at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data.weights_file import RANK, Entry, with_header

_POWERS = 10 ** np.arange(1, 16, dtype=np.int64)


@dataclass(frozen=True)
class DtypeEntries:
    """Tensors of one dtype, in several selections. Arrays by selection: how many, their bytes, where they start in
    `ends`, which holds the ends of each selection's tensors, one selection after the other. So that it is one sorted
    list, `above`, which is more than any end, is added to all of a selection for each one before it."""

    counts: np.ndarray
    totals: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    above: int

    @classmethod
    def of(cls, sizes: np.ndarray, chosen: np.ndarray) -> DtypeEntries:
        """sizes: int64 [tensors], in order. chosen: bool [tensors, selections]."""
        totals, counts = sizes @ chosen, chosen.sum(axis=0)
        above = int(totals.max(initial=0)) + 1
        ends = np.cumsum(sizes[:, None] * chosen, axis=0).T + above * np.arange(len(counts))[:, None]
        return cls(counts, totals, np.concatenate([[0], np.cumsum(counts)[:-1]]), ends[chosen.T], above)

    def digits(self, which: np.ndarray, offset: np.ndarray) -> np.ndarray:
        """Digits of all data offsets, begins and ends, of the tensors of selection `which`, when `offset` bytes lie
        before them."""
        count, total = self.counts[which], self.totals[which]
        found = np.zeros(np.broadcast_shapes(which.shape, offset.shape), dtype=np.int64)
        if not len(self.ends) or not found.size:
            return found
        for power in _POWERS[offset.max() + self.above >= _POWERS]:
            if power <= offset.min():
                found += count
                continue
            lower = np.clip(power - offset, 0, self.above)
            below = np.searchsorted(self.ends, self.above * which + lower) - self.starts[which]
            found += count - np.minimum(below, count)
        both = 2 * (found + count) + _digits(offset) - _digits(offset + total)
        return np.where(count > 0, both, 0)


@dataclass(frozen=True)
class FileEntries:
    """The tensors of the fronts of one model, of its backs or of adapters in a weights file; one selection for each.

    header_bytes: bytes of their entries in the header but for the offsets. parts: the tensors by the rank of their
    dtype.
    """

    header_bytes: np.ndarray
    parts: dict[int, DtypeEntries]

    @classmethod
    def of(cls, entries: Sequence[Entry], chosen: np.ndarray) -> FileEntries:
        """chosen: bool [entries, selections]."""
        order = sorted(range(len(entries)), key=lambda i: (RANK[entries[i].dtype], entries[i].name))
        ranks = np.array([RANK[entries[i].dtype] for i in order], dtype=np.int64)
        header_bytes = np.array([entries[i].header_bytes for i in order], dtype=np.int64)
        sizes = np.array([entries[i].data_bytes for i in order], dtype=np.int64)
        chosen = chosen[order]
        parts = {int(r): DtypeEntries.of(sizes[ranks == r], chosen[ranks == r]) for r in np.unique(ranks)}
        return cls(header_bytes @ chosen, parts)

    @classmethod
    def each(cls, lists: Sequence[Sequence[Entry]]) -> FileEntries:
        """One selection for each list."""
        owner = np.repeat(np.arange(len(lists)), [len(entries) for entries in lists])
        return cls.of([entry for entries in lists for entry in entries], owner[:, None] == np.arange(len(lists)))

    def under(self, prefix: str) -> FileEntries:
        """The same with `prefix` before every key."""
        counts = sum((part.counts for part in self.parts.values()), start=np.zeros_like(self.header_bytes))
        return FileEntries(self.header_bytes + len(prefix) * counts, self.parts)


def file_sizes(*sides: tuple[FileEntries, np.ndarray]) -> np.ndarray:
    """Bytes of each of several files: int64 [files]. Each side, in the order of their keys, with the selection of it
    that each file has."""
    header_bytes = offset = np.zeros(len(sides[0][1]), dtype=np.int64)
    for rank in sorted({rank for side, _ in sides for rank in side.parts}):
        for side, which in sides:
            if rank in side.parts:
                header_bytes = header_bytes + side.parts[rank].digits(which, offset)
                offset = offset + side.parts[rank].totals[which]
    header_bytes = header_bytes + sum(side.header_bytes[which] for side, which in sides)
    return offset + with_header(header_bytes)


def _digits(number: np.ndarray) -> np.ndarray:
    return 1 + np.searchsorted(_POWERS, number, side="right")
