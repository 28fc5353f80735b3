"""Which of many networks make a family: those that serve all budgets best for the bytes that they add. Numbers only."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# What each member costs beside its bytes: of sets that are as good, the smaller one.
_TIE = 1e-9
# Sets whose worth is nearer than this are as good, and that of fewer bytes is taken. The solver tells no finer.
_AS_GOOD = 1e-7
_SLACK = 1e-6


@dataclass(frozen=True)
class Offer:
    """A network that may be a member.

    cost: by metric. score: what it is worth to a budget that it serves. adds: what the file must hold for it beyond
    the weights of the models, each with its bytes; two networks that name the same share it. given: it is a member
    anyhow, as the models themselves are.
    """

    cost: Mapping[str, float]
    score: float
    adds: Mapping[Hashable, int]
    given: bool = False

    def within(self, budget: Mapping[str, float]) -> bool:
        """Whether it meets every limit."""
        return all(self.cost[metric] <= limit for metric, limit in budget.items())


@dataclass(frozen=True)
class Chosen:
    """members: indices of the offers that the family has, those given among them. serving: of each budget the index of
    the best of them within it, None where there is none. worth: the mean score over the budgets, less the price."""

    members: tuple[int, ...]
    serving: tuple[int | None, ...]
    worth: float


def choose(
    offers: Sequence[Offer], budgets: Sequence[Mapping[str, float]], price: float, most: int | None = None,
    room: float = np.inf,
) -> Chosen:  # fmt: skip
    """The set of members that maximises the mean over the budgets of the score of the best member within each, less
    the price of all bytes that the set adds: exactly, as an integer program (facility location with shared costs).

    price: the mean score that a byte must gain. most: members at most, those given not counted. room: bytes that they
    may add at most.
    """
    opened = _solved(offers, budgets, price, most, room) if budgets and offers else frozenset()
    opened = _lighter(offers, opened, budgets, price, room)
    members = tuple(k for k, offer in enumerate(offers) if offer.given or k in opened)
    serving = tuple(serving_of(offers, members, budget) for budget in budgets)
    used = tuple(k for k in members if offers[k].given or k in serving)
    served = [0.0 if k is None else offers[k].score for k in serving]
    worth = float(np.mean(served)) if served else 0.0
    return Chosen(used, serving, worth - price * _held(offers, used))


def serving_of(offers: Sequence[Offer], members: Sequence[int], budget: Mapping[str, float]) -> int | None:
    """The member that a budget is best served by: of the best score, of equals the cheapest."""
    able = [k for k in members if offers[k].within(budget)]
    return min(able, key=lambda k: (-offers[k].score, *(offers[k].cost[m] for m in budget), k), default=None)


def _solved(
    offers: Sequence[Offer], budgets: Sequence[Mapping[str, float]], price: float, most: int | None, room: float
) -> frozenset[int]:
    """The offers that are opened. Columns of the program: an offer is opened; something is held; a budget is served by
    an offer that is better than all that are given."""
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import coo_array

    given = [k for k, offer in enumerate(offers) if offer.given]
    floor = [_score(offers, serving_of(offers, given, budget)) for budget in budgets]
    free = [k for k, offer in enumerate(offers) if not offer.given]
    held = list(dict.fromkeys(name for k in free for name in offers[k].adds))
    sizes = {name: size for k in free for name, size in offers[k].adds.items()}
    served = [
        (b, k) for b, budget in enumerate(budgets) for k in free
        if offers[k].within(budget) and offers[k].score > floor[b]
    ]  # fmt: skip
    if not served:
        return frozenset()
    opened = {k: column for column, k in enumerate(free)}
    holds = {name: len(free) + column for column, name in enumerate(held)}
    gain = np.array(
        [-_TIE] * len(free)
        + [-price * sizes[name] for name in held]
        + [(offers[k].score - floor[b]) / len(budgets) for b, k in served]
    )
    rows: list[dict[int, float]] = []
    limits: list[float] = []
    for column, (_, k) in enumerate(served, len(free) + len(held)):  # served only by what is opened
        rows.append({column: 1.0, opened[k]: -1.0})
        limits.append(0.0)
    for k in free:  # opened only with what it adds
        for name in offers[k].adds:
            rows.append({opened[k]: 1.0, holds[name]: -1.0})
            limits.append(0.0)
    for b in range(len(budgets)):  # once at most
        rows.append({column: 1.0 for column, (of, _) in enumerate(served, len(free) + len(held)) if of == b})
        limits.append(1.0)
    if most is not None:
        rows.append(dict.fromkeys(opened.values(), 1.0))
        limits.append(float(most))
    if np.isfinite(room) and held:
        unit = max(room, 1.0)
        rows.append({holds[name]: sizes[name] / unit for name in held})
        limits.append(room / unit)
    entries = [(r, c, value) for r, row in enumerate(rows) for c, value in row.items()]
    at_row, at_column, values = (np.array(part) for part in zip(*entries, strict=True))
    places = at_row.astype(np.int32), at_column.astype(np.int32)  # the numbers that the solver takes in all versions
    matrix = coo_array((values, places), shape=(len(rows), len(gain))).tocsr()
    done = milp(
        -gain, integrality=np.ones(len(gain)), bounds=Bounds(0, 1),
        constraints=LinearConstraint(matrix, -np.inf, np.array(limits)), options={"mip_rel_gap": 0},
    )  # fmt: skip
    if done.x is None or not (matrix @ done.x <= np.array(limits) + _SLACK).all():
        return _greedy(offers, budgets, price, most, room, given)
    return frozenset(k for k in free if done.x[opened[k]] > 0.5)


def _lighter(
    offers: Sequence[Offer], opened: frozenset[int], budgets: Sequence[Mapping[str, float]], price: float, room: float
) -> frozenset[int]:
    """The same without members, and with others in the place of members, where that is worth as much and adds fewer
    bytes."""
    given = {k for k, offer in enumerate(offers) if offer.given}
    for k in sorted(opened, key=lambda k: -_held(offers, [k])):
        worth = _worth(offers, [*given, *opened], budgets, price)
        if _worth(offers, [*given, *(opened - {k})], budgets, price) >= worth - _AS_GOOD:
            opened -= {k}
    for k in sorted(opened):
        worth, held = _worth(offers, [*given, *opened], budgets, price), _held(offers, [*given, *opened])
        for other in range(len(offers)):
            way = (opened - {k}) | {other}
            if other in given or other in opened or _held(offers, [*given, *way]) >= min(held, room):
                continue
            if _worth(offers, [*given, *way], budgets, price) >= worth - _AS_GOOD:
                opened, k, held = way, other, _held(offers, [*given, *way])
    return opened


def _greedy(
    offers: Sequence[Offer], budgets: Sequence[Mapping[str, float]], price: float, most: int | None, room: float,
    given: Sequence[int],
) -> frozenset[int]:  # fmt: skip
    """One offer after the other, that of the largest gain: where the solver fails."""
    members = list(given)
    while most is None or len(members) - len(given) < most:
        able = [k for k in range(len(offers)) if k not in members and _held(offers, [*members, k]) <= room]
        gains = {k: _worth(offers, [*members, k], budgets, price) for k in able}
        best = max(gains, key=lambda k: gains[k], default=None)
        if best is None or gains[best] <= _worth(offers, members, budgets, price):
            break
        members.append(best)
    return frozenset(members) - frozenset(given)


def _worth(
    offers: Sequence[Offer], members: Sequence[int], budgets: Sequence[Mapping[str, float]], price: float
) -> float:
    served = [_score(offers, serving_of(offers, members, budget)) for budget in budgets]
    return float(np.mean(served)) - price * _held(offers, members) - _TIE * len(members)


def _held(offers: Sequence[Offer], members: Sequence[int]) -> int:
    """The bytes that members add, what they share counted once."""
    return sum({name: size for k in members for name, size in offers[k].adds.items()}.values())


def _score(offers: Sequence[Offer], which: int | None) -> float:
    return 0.0 if which is None else offers[which].score
