"""The straight line between models: what a mix of two of them would do at the cost of a third network."""

from __future__ import annotations

from collections.abc import Iterable


class Line:
    """The straight line between the cheapest and the dearest of some networks.

    points: cost and quality of each; those of which either is not known are left out.
    """

    def __init__(self, points: Iterable[tuple[float | None, float | None]]):
        known = sorted((cost, quality) for cost, quality in points if cost is not None and quality is not None)
        self._ends = (known[0], known[-1]) if known and known[0][0] < known[-1][0] else None

    def over(self, cost: float | None, quality: float | None) -> float | None:
        """By how much a quality lies over the line; None beyond its ends, where it says nothing."""
        if self._ends is None or cost is None or quality is None:
            return None
        (low, first), (high, last) = self._ends
        if not low <= cost <= high:
            return None
        return quality - (first + (last - first) * (cost - low) / (high - low))
