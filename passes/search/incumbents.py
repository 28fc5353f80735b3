"""The best whole chains that a search has found so far."""

from __future__ import annotations

import numpy as np

from .dominance import Front, nondominated

#: Chains that are taken in before they are compared with one another.
_PENDING = 1 << 14


class Best:
    """The best whole chains so far, and the way back to their seams."""

    def __init__(self, objectives: int):
        self.objectives = objectives
        self.values = np.empty((0, self.objectives))
        self.ways = np.empty((0, 3), dtype=np.int64)  # fragments before the last seam, the label there, the last seam
        self.front = Front(self.values)
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []

    def covers(self, values: np.ndarray) -> np.ndarray:
        """[chains]: whether a chain that was found is at least as good in all that is minimised."""
        return self.front.covers(values[:, : self.objectives])

    def offer(self, values: np.ndarray, before: int, labels: np.ndarray, seams: np.ndarray) -> None:
        """Takes in whole chains that meet every limit; those that are no better than others are left out."""
        ways = np.column_stack([np.full(len(labels), before), labels, seams])
        self._pending.append((values[:, : self.objectives], ways))
        if sum(len(ways) for _, ways in self._pending) > _PENDING:
            self.settle()

    def settle(self) -> None:
        """Compares all that was offered."""
        values = np.concatenate([self.values, *(values for values, _ in self._pending)])
        ways = np.concatenate([self.ways, *(ways for _, ways in self._pending)])
        rows = nondominated(values)
        self.values, self.ways, self._pending = values[rows], ways[rows], []
        self.front = Front(self.values)
