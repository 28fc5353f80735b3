"""The Pareto front of candidates over two metrics, and its knee."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import metrics
from .candidates import Candidates
from .errors import InputError, did_you_mean

#: The axes of which more is better; of all others less is.
BENEFITS = ("similarity",)


def check_axes(axes: Sequence[str]) -> tuple[str, str]:
    """The two metrics themselves.

    Raises:
        InputError: they are not two different ones of the metrics of budgets and `similarity`.
    """
    known = [*metrics.names(), *BENEFITS]
    for axis in axes:
        if axis not in known:
            near = did_you_mean(axis, known, cutoff=0.5)
            raise InputError(f"'{axis}' is no metric to weigh", f"{near} There are {', '.join(known)}.".strip())
    if len(set(axes)) != 2:
        raise InputError(f"a Pareto front weighs two metrics, not {', '.join(axes)}", "Name two: macs,similarity.")
    first, second = axes
    return first, second


def pareto_front(table: Candidates, axes: Sequence[str], rows: np.ndarray | None = None) -> np.ndarray:
    """The rows that no other is better than in one metric without being worse in the other, best first in the first.

    rows: those that are weighed; the feasible ones by default. Rows where a metric is unknown are left out, and of rows
    that are equal in both the first in the table stands for all.

    Raises:
        InputError: as `check_axes`.
    """
    costs = _costs(table, check_axes(axes))
    weighed = np.flatnonzero(table.feasible) if rows is None else np.asarray(rows)
    weighed = weighed[~np.isnan(costs[:, weighed]).any(axis=0)]
    order = weighed[np.lexsort((weighed, costs[1, weighed], costs[0, weighed]))]
    least = np.minimum.accumulate(np.concatenate([[np.inf], costs[1, order]]))[:-1]
    return order[costs[1, order] < least]


def knee(table: Candidates, axes: Sequence[str], front: np.ndarray) -> int:
    """The row of a front that lies farthest below the line between its ends, both metrics scaled to the front's own
    range: where giving up more of one stops paying in the other. The first of the farthest; of two, the first.

    Raises:
        InputError: as `check_axes`, or an empty front.
    """
    if not len(front):
        raise InputError("an empty front has no knee", "No candidate is known in both metrics.")
    costs = _costs(table, check_axes(axes))[:, front]
    spread = costs.max(axis=1, keepdims=True) - costs.min(axis=1, keepdims=True)
    scaled = (costs - costs.min(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
    # On the line between the ends the two scaled metrics add up to one.
    return int(front[np.argmin(np.round(scaled.sum(axis=0), 12))])


def _costs(table: Candidates, axes: Sequence[str]) -> np.ndarray:
    """float64 [2, rows], less being better."""
    return np.array([table.metric(a).astype(np.float64) * (-1 if a in BENEFITS else 1) for a in axes])
