"""Which unfinished chains can be dropped where models may not come again as one likes.

An unfinished chain that is at least as good as another in every amount does not make the other useless: it may have
used a model that the other still has to come. But a chain goes on over few models more, so a handful of better ones
that have used different models do: however the chain goes on, one of them can go on in the same way.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .dominance import at_least_as_good, in_order, nondominated

_BLOCK = 256
_CHUNK = 256
#: The level of a model that a chain has not used: it may be entered anywhere.
FREE = -1


class States(NamedTuple):
    """What unfinished chains have used. A model can be entered again only at its `level` or later.

    models, levels: [chains, used], integers; what stands for nothing has the level `FREE`.
    """

    models: np.ndarray
    levels: np.ndarray

    def take(self, rows: np.ndarray) -> States:
        """Those of some of the chains."""
        return States(self.models[rows], self.levels[rows])

    def dense(self, models: int) -> np.ndarray:
        """The level of every model: [chains, models]."""
        levels = np.full((len(self.models), models), FREE, dtype=self.levels.dtype)
        rows = np.arange(len(self.models))
        for model, level in zip(self.models.T, self.levels.T, strict=True):
            levels[rows, model] = np.maximum(levels[rows, model], level)
        return levels


def undominated(values: np.ndarray, states: States, models: int, ahead: int) -> np.ndarray:
    """The rows of unfinished chains of which some may be needed; the others can be dropped without loss.

    Chain y is dropped if, of the chains x that are at least as good in every entry, one is free to go on wherever y is;
    or if no `ahead` models together are in the way of all of them, that is, if the `ahead` models that are in the way
    of most of them are in the way of fewer than all. Chains that are dropped may be counted among the x: whatever made
    them useless is better than y too, and comes before it in one fixed order.

    values: [chains, entries], less being better. models: how many there are. ahead: how many more models a chain may
    enter at most.
    """
    if not states.models.shape[1] or not ahead:
        return nondominated(values)
    rows = in_order(values)
    kept = np.empty(0, dtype=np.int64)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        check = _Check(values, states, models, ahead, block)
        for first in range(0, len(kept), _CHUNK):
            check.against(kept[first : first + _CHUNK])
        check.among()
        kept = np.concatenate([kept, check.rows])
    return kept


class _Check:
    """Some chains that are held against others, more and more of them, until they can be dropped."""

    def __init__(self, values: np.ndarray, states: States, models: int, ahead: int, rows: np.ndarray):
        self.values, self.states, self.models, self.ahead = values, states, models, ahead
        self.rows = rows
        self.dense = states.take(rows).dense(models)
        self.better = np.zeros(len(rows), dtype=np.float32)  # how many chains are at least as good
        self.in_the_way = np.zeros((len(rows), models), dtype=np.float32)  # of how many of them each model is

    def against(self, others: np.ndarray) -> None:
        """Holds all against chains that come before every one of them, and drops those that are not needed."""
        if len(self.rows):
            self._count(others, at_least_as_good(self.values[others], self.values[self.rows]))

    def among(self) -> None:
        """Holds each against those of its own that come before it."""
        if len(self.rows):
            values = self.values[self.rows]
            self._count(self.rows, np.triu(at_least_as_good(values, values), 1))

    def _count(self, others: np.ndarray, better: np.ndarray) -> None:
        theirs = self.states.take(others)
        free = better.copy()
        for model, level in zip(theirs.models.T, theirs.levels.T, strict=True):
            blocked = better & (level[:, None] > self.dense[:, model].T)
            free &= ~blocked
            one_hot = np.zeros((len(others), self.models), dtype=np.float32)
            one_hot[np.arange(len(others)), model] = 1
            self.in_the_way += blocked.T.astype(np.float32) @ one_hot
        self.better += better.sum(axis=0, dtype=np.float32)
        worst = np.partition(self.in_the_way, -min(self.ahead, self.models), axis=1)[:, -self.ahead :]
        self._keep(~free.any(axis=0) & (worst.sum(axis=1) >= self.better))

    def _keep(self, mask: np.ndarray) -> None:
        self.rows, self.dense = self.rows[mask], self.dense[mask]
        self.better, self.in_the_way = self.better[mask], self.in_the_way[mask]
