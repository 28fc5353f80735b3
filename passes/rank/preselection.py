"""Which candidates to probe: the best by each of several cheap predictors, none of which is reliable alone."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from hashlib import sha256
from itertools import zip_longest

import numpy as np

from ..data.candidates import Candidates
from ..data.mac_shares import amounts_at
from ..data.plan import Plan


def pairs_of(table: Candidates, rows: np.ndarray) -> list[np.ndarray]:
    """The rows that stitch the same two cuts, by different adapters, together; in the order of their first."""
    columns = (table.front_model, table.front_cut, table.back_model, table.back_cut)
    found: dict[tuple[int, ...], list[int]] = {}
    for row in rows.tolist():
        found.setdefault(tuple(int(column[row]) for column in columns), []).append(row)
    return [np.array(pair) for pair in found.values()]


def distinct(plan: Plan, table: Candidates, pairs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The pairs without those that give the same network as one before them: their cuts have the same values, since
    what lies between does nothing in eval mode. That is known where the plan has representations."""
    if not plan.representations:
        return list(pairs)
    first = [_first_alike(plan, model) for model in range(len(plan.models))]
    found: dict[tuple[int, ...], np.ndarray] = {}
    for pair in pairs:
        front, back = int(table.front_model[pair[0]]), int(table.back_model[pair[0]])
        leaves, enters = first[front][table.front_cut[pair[0]]], first[back][table.back_cut[pair[0]]]
        found.setdefault((front, leaves, back, enters), pair)
    return list(found.values())


def _first_alike(plan: Plan, model: int) -> list[int]:
    """For each cut of a model the first that has the same value for all images, at the same price."""
    first: dict[tuple[bytes, object], int] = {}
    found = []
    for index, (vector, cut) in enumerate(zip(plan.representations[model].vectors, plan.cuts[model].cuts, strict=True)):
        price = tuple((cut.before or {}).items())
        key = sha256(vector.cpu().numpy().tobytes()).digest(), (cut.value, price)
        found.append(first.setdefault(key, index) if vector.any() else index)
    return found


def depth_match(plan: Plan, table: Candidates, rows: np.ndarray) -> np.ndarray:
    """How nearly the front ends as deep, by the share of its parent's multiply-adds, as the back begins: float64, at
    most 0."""
    macs = np.maximum([whole["macs"] for whole in plan.prices], 1)

    def depth(models: np.ndarray, cuts: np.ndarray) -> np.ndarray:
        return amounts_at(plan, models[rows], cuts[rows], "before", "macs") / macs[models[rows]]

    return -np.abs(depth(table.front_model, table.front_cut) - depth(table.back_model, table.back_cut))


def union(signs: Sequence[np.ndarray], size: int, groups: Sequence[Hashable] = ()) -> np.ndarray:
    """The `size` first of the best by each predictor, taken in turn, of each group in turn: indices, sorted. NaN is
    worst, among equals the first index is better.

    groups: of each index, which group it is of; all are of one where nothing is said."""
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups or [None] * len(signs[0])):
        members.setdefault(group, []).append(index)
    best = [np.argsort(-np.nan_to_num(sign, nan=-np.inf), kind="stable") for sign in signs]
    orders = [order[np.isin(order, inside)] for order in best for inside in members.values()]
    chosen: dict[int, None] = {}
    for turn in zip_longest(*orders):
        for index in turn:
            if len(chosen) == size:
                return np.array(sorted(chosen), dtype=np.int64)
            if index is not None:
                chosen[int(index)] = None
    return np.array(sorted(chosen), dtype=np.int64)
