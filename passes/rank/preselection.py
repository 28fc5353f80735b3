"""Which candidates to probe: the best by each of several cheap predictors, none of which is reliable alone."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

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


def distinct(plan: Plan, table: Candidates, rows: np.ndarray) -> np.ndarray:
    """The rows without those that give the same network as another: one with a cut whose value is that of an earlier
    cut, since what lies between them does nothing to it in eval mode. Known where the plan has representations."""
    if not plan.representations:
        return rows
    repeated = [_repeated(plan, model) for model in range(len(plan.models))]
    kept = [
        not repeated[a][i] and not repeated[b][j]
        for a, i, b, j in zip(
            *(c[rows].tolist() for c in (table.front_model, table.front_cut, table.back_model, table.back_cut)),
            strict=True,
        )
    ]
    return rows[np.array(kept, dtype=bool)]


def _repeated(plan: Plan, model: int) -> list[bool]:
    """Of each cut of a model, whether an earlier one has the same value for all images."""
    vectors, cuts = plan.representations[model].vectors, plan.cuts[model].cuts
    seen: set[tuple[bytes, object]] = set()
    found = []
    for vector, cut in zip(vectors, cuts, strict=True):
        key = sha256(vector.cpu().numpy().tobytes()).digest(), (cut.value, tuple((cut.before or {}).items()))
        found.append(bool(vector.any()) and key in seen)
        seen.add(key)
    return found


def depth_match(plan: Plan, table: Candidates, rows: np.ndarray) -> np.ndarray:
    """How nearly the front ends as deep, by the share of its parent's multiply-adds, as the back begins: float64, at
    most 0."""
    macs = np.maximum([whole["macs"] for whole in plan.prices], 1)

    def depth(models: np.ndarray, cuts: np.ndarray) -> np.ndarray:
        return amounts_at(plan, models[rows], cuts[rows], "before", "macs") / macs[models[rows]]

    return -np.abs(depth(table.front_model, table.front_cut) - depth(table.back_model, table.back_cut))


def union(signs: Sequence[np.ndarray], size: int) -> np.ndarray:
    """The `size` first of the best by each predictor, taken in turn: indices, sorted. NaN is worst, among equals the
    first index is better."""
    orders = [np.argsort(-np.nan_to_num(sign, nan=-np.inf), kind="stable") for sign in signs]
    chosen: dict[int, None] = {}
    for turn in zip(*orders, strict=True):
        for index in turn:
            if len(chosen) == size:
                return np.array(sorted(chosen), dtype=np.int64)
            chosen[int(index)] = None
    return np.array(sorted(chosen), dtype=np.int64)
