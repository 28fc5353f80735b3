"""Unfinished chains: where they have entered a model, and where they leave it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .states import States

#: Unfinished chains that are made at once, times seams.
_AT_ONCE = 1 << 19


class Labels(NamedTuple):
    """Unfinished chains of one number of fragments, in the order of the points that they have entered.

    values: [labels, columns], less the amount of all of the model before the point. point, seam, parent: [labels]: the
    point entered, the seam taken to it (-1: none), and the label of one fragment fewer. states: of the models before.
    """

    values: np.ndarray
    point: np.ndarray
    seam: np.ndarray
    parent: np.ndarray
    states: States


class Leaving(NamedTuple):
    """Unfinished chains at the points where they leave their models, in the order of these points.

    values: [chains, columns], the whole amounts. label: [chains]. start: [points + 1]: where those of each point stand.
    states: what they have used, of the model that they leave too.
    """

    values: np.ndarray
    label: np.ndarray
    start: np.ndarray
    states: States

    def least(self) -> np.ndarray:
        """[points, columns]: the least of each amount of the chains that leave each point, infinite where none do."""
        least = np.full((len(self.start) - 1, self.values.shape[1]), np.inf)
        some = np.diff(self.start) > 0
        if some.any():
            least[some] = np.minimum.reduceat(self.values, self.start[:-1][some], axis=0)
        return least

    def pairs(self, source: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Every chain with every seam that it can take, not too many at once: indices of both.

        source: [seams]: the point of each.
        """
        start, count = self.start[source], self.start[source + 1] - self.start[source]
        before = np.concatenate([[0], np.cumsum(count)])
        low = 0
        while low < len(source):
            high = max(low + 1, int(np.searchsorted(before, before[low] + _AT_ONCE, side="right")) - 1)
            seams = np.repeat(np.arange(low, high), count[low:high])
            yield start[seams] + np.arange(before[low], before[high]) - before[seams], seams
            low = high
