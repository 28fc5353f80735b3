"""Which of many vectors no other is at least as good as, in every entry, less being better."""

from __future__ import annotations

import numpy as np

#: Lines of the table of a front in each of two directions: more of them cost time to build, fewer let more through.
_LINES = 256
_BLOCK = 512
# Members of a front that vectors are held against where there are too many entries for a table.
_SAMPLE = 64


def nondominated(values: np.ndarray) -> np.ndarray:
    """The rows that no other is at least as good as in every entry; of equal rows, one.

    values: [vectors, entries]. The rows come in the order of `in_order`, or by the first entry where there are two.
    """
    if len(values) < 2:
        return np.arange(len(values))
    if values.shape[1] == 1:
        return np.array([np.argmin(values[:, 0])])
    if values.shape[1] == 2:
        return _staircase(values)
    rows = np.arange(len(values))
    if len(values) > 4 * _BLOCK:  # most are no match for the few best, and need not be sorted
        rows = np.argpartition(_total(values), _BLOCK)
        few, many = rows[:_BLOCK], rows[_BLOCK:]
        rows = np.sort(np.concatenate([few, many[~Front(values[few]).covers(values[many])]]))
    return _in_blocks(values, rows)


def _staircase(values: np.ndarray) -> np.ndarray:
    # A stable sort makes use of runs that are sorted already, as those of a union of fronts are.
    order = np.argsort(values[:, 0], kind="stable")
    second = values[order, 1]
    least = np.minimum.accumulate(second)
    order = order[np.concatenate([[True], second[1:] < least[:-1]])]
    # Of those that share the first entry the last is best.
    return order[np.append(values[order[1:], 0] > values[order[:-1], 0], True)]


def _in_blocks(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    rows = rows[in_order(values[rows])]
    kept = np.empty(0, dtype=np.int64)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        if len(kept):
            block = block[~Front(values[kept]).covers(values[block])]
            block = block[~at_least_as_good(values[kept], values[block]).any(axis=0)]
        better = np.triu(at_least_as_good(values[block], values[block]), 1)
        kept = np.concatenate([kept, block[~better.any(axis=0)]])
    return kept


def in_order(values: np.ndarray) -> np.ndarray:
    """The rows in an order in which each comes behind all others that are at least as good, or equal and before it: by
    a weighted sum of their entries, then entry by entry. Rounding does no harm: a rounded sum never falls when an entry
    rises."""
    return np.lexsort((*values.T[::-1], _total(values)))


def _total(values: np.ndarray) -> np.ndarray:
    spread = values.max(axis=0, initial=-np.inf) - values.min(axis=0, initial=np.inf)
    total = np.zeros(len(values))
    for column, width in zip(values.T, spread, strict=True):
        total += column * (1 / width if width > 0 else 1)
    return total


def at_least_as_good(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """[firsts, seconds]: whether the one is at most the other in every entry. Both are [vectors, entries]."""
    good = np.ones((len(first), len(second)), dtype=bool)
    for mine, other in zip(first.T, second.T, strict=True):
        good &= mine[:, None] <= other[None]
    return good


class Front:
    """A set of vectors as a table that says of many others at once whether one of the set is at least as good.

    Of up to two entries the answer is exact. Of three it is so for fronts of up to 256 vectors, and beyond that, as of
    more entries, it may be "no" in place of "yes".
    """

    def __init__(self, values: np.ndarray):
        self.entries = values.shape[1]
        self.empty = not len(values)
        if self.empty:
            return
        if self.entries == 1:
            self._least = values.min(axis=0)
        elif self.entries == 2:
            order = np.argsort(values[:, 0], kind="stable")
            self._x = values[order, 0]
            self._table = np.concatenate([[np.inf], np.minimum.accumulate(values[order, 1])])
        elif self.entries == 3:
            self._build(values)
        else:
            self._sample = values[in_order(values)[:_SAMPLE]]

    def _build(self, values: np.ndarray) -> None:
        self._x, self._y = _lines(values[:, 0]), _lines(values[:, 1])
        # A vector counts from the first line on that lies at or above it.
        i, j = np.searchsorted(self._x, values[:, 0]), np.searchsorted(self._y, values[:, 1])
        width = len(self._y) + 1
        table = np.full((len(self._x) + 1, width), np.inf)
        np.minimum.at(table, (i + 1, j + 1), values[:, 2])
        np.minimum.accumulate(table, axis=0, out=table)
        np.minimum.accumulate(table, axis=1, out=table)
        self._table, self._width = table.ravel(), width

    def covers(self, values: np.ndarray) -> np.ndarray:
        """[vectors]: whether one of the front is at least as good in every entry. values: [vectors, entries]."""
        if self.empty:
            return np.zeros(len(values), dtype=bool)
        if self.entries == 1:
            return values[:, 0] >= self._least
        if self.entries == 2:
            return values[:, 1] >= self._table[np.searchsorted(self._x, values[:, 0], side="right")]
        if self.entries == 3:
            i = np.searchsorted(self._x, values[:, 0], side="right")
            j = np.searchsorted(self._y, values[:, 1], side="right")
            return values[:, 2] >= self._table[i * self._width + j]
        return np.logical_or.reduce(at_least_as_good(self._sample, values))


def _lines(entries: np.ndarray) -> np.ndarray:
    """Up to 256 of the entries, rising, the highest among them."""
    distinct = np.unique(entries)
    if len(distinct) <= _LINES:
        return distinct
    return distinct[np.linspace(0, len(distinct) - 1, _LINES).astype(np.int64)]
