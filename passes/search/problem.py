"""What is asked of a space, as arrays: amounts along models and over seams, limits, bounds of what is still to come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..data.errors import InputError, unknown
from .space import Repeats, Space
from .states import FREE, States

#: The name of the loss among the amounts of a chain.
LOSS = "loss"


@dataclass(frozen=True, eq=False)
class Problem:
    """The chains of a space that are searched for: all of at most `fragments` fragments within the budget that no other
    is at least as good as in all of `over`.

    over: amounts that are minimised: `loss`, or metrics of the space. budget: the most of each amount.
    apart: fragments of chains that were chosen before, as points entered and left. The longer of a chain and each of
    these has at least `differ` fragments more than they share.

    Arrays have a column for each amount that is minimised, then one for each other that is limited, then one for each
    chain in `apart`, which counts the fragments shared with it.

    Raises:
        InputError: an unknown amount or rule of repeats, no amount, or fewer than one fragment.
    """

    space: Space
    over: Sequence[str] = (LOSS,)
    fragments: int = 3
    budget: Mapping[str, float] | None = None
    repeats: Repeats = "none"
    apart: Sequence[Sequence[tuple[int, int]]] = ()
    differ: int = 1

    def __post_init__(self) -> None:
        known = (LOSS, *self.space.metrics)
        for name in (*self.over, *(self.budget or {})):
            if name not in known:
                raise unknown(name, "amount of a chain", known)
        if self.repeats not in ("none", "forward", "loops"):
            raise unknown(self.repeats, "rule for models that come again", ("none", "forward", "loops"))
        if not self.over or len(set(self.over)) < len(self.over):
            raise InputError(f"a search minimises one amount or several different ones, not {list(self.over)}")
        if self.fragments < 1:
            raise InputError(f"chains have one fragment or more, not {self.fragments}")

    @cached_property
    def amounts(self) -> tuple[str, ...]:
        """Names of the columns that are amounts."""
        return (*self.over, *(name for name in self.budget or {} if name not in self.over))

    @cached_property
    def along(self) -> np.ndarray:
        """[points, columns]: the amount of all of the model before each point."""
        return self._columns(self.space.lost, self.space.work)

    @cached_property
    def across(self) -> np.ndarray:
        """[seams, columns]: the amount of each seam that another follows."""
        return self._columns(self.space.inner, self.space.seam_cost)

    @cached_property
    def last(self) -> np.ndarray:
        """[seams, columns]: the amount of each seam as the last of a chain."""
        return self._columns(self.space.loss, self.space.seam_cost)

    def _columns(self, loss: np.ndarray, costs: np.ndarray) -> np.ndarray:
        shared = [np.zeros(len(loss)) for _ in self.apart]
        named = [loss if name == LOSS else costs[:, self.space.column(name)] for name in self.amounts]
        return np.stack([*named, *shared], axis=1)

    @cached_property
    def limits(self) -> np.ndarray:
        """[columns]: the most of each amount; of shared fragments, what the longest chain may have."""
        budget = self.budget or {}
        return np.array([budget.get(name, np.inf) for name in self.amounts] + list(self.shared_at_most(self.fragments)))

    def shared_at_most(self, fragments: int) -> list[int]:
        """Of each chain in `apart`, how many of its fragments a chain of so many fragments may have."""
        return [max(fragments, len(other)) - self.differ for other in self.apart]

    def shared(self, enters: np.ndarray, leave: np.ndarray) -> np.ndarray:
        """[fragments, chains in apart]: whether the fragment is one of that chain's."""
        found = np.zeros((len(enters), len(self.apart)))
        for column, other in enumerate(self.apart):
            for enter, left in {*other}:
                found[:, column] += (enters == enter) & (leave == left)
        return found

    @cached_property
    def ends(self) -> np.ndarray:
        """[points]: the output of the model of each point."""
        return self.space.last[self.space.model]

    @cached_property
    def seams(self) -> np.ndarray:
        """The seams that a chain can take at all under the rule of repeats."""
        source, target = self.space.source, self.space.target
        useful = (source > self.space.first[self.space.model[source]]) & (target < self.ends[target])
        same = self.space.model[source] == self.space.model[target]
        if self.repeats == "none":
            useful &= ~same
        if self.repeats == "forward":
            useful &= ~same | (target >= source)
        return np.flatnonzero(useful)

    def left(self, states: States, points: np.ndarray) -> States:
        """What chains have used once they leave their models at `points`."""
        if self.repeats == "loops":
            return states
        levels = points if self.repeats == "forward" else np.full(len(points), len(self.space.model))
        return States(
            np.column_stack([states.models, self.space.model[points]]), np.column_stack([states.levels, levels])
        )

    def entered(self, states: States, targets: np.ndarray) -> tuple[np.ndarray, States]:
        """Whether chains may enter at these points; and what they have used of models other than those they enter."""
        here = states.models == self.space.model[targets][:, None]
        allowed = ~(here & (states.levels > targets[:, None])).any(axis=1)
        return allowed, States(states.models, np.where(here, FREE, states.levels))

    def asks(self, targets: np.ndarray) -> States:
        """What the last seams of chains ask of what the chains have used, as states: the earlier a seam enters, the
        more it asks."""
        if self.repeats == "loops":
            return States(np.empty((len(targets), 0), dtype=np.int64), np.empty((len(targets), 0), dtype=np.int64))
        levels = len(self.space.model) - targets if self.repeats == "forward" else np.zeros_like(targets)
        return States(self.space.model[targets][:, None], levels[:, None])

    @cached_property
    def after(self) -> list[np.ndarray]:
        """For each number of further seams from 1 to the most, [points, columns]: the least of each amount on the way
        to the end from a point that is left over a seam next, were each amount the only one and models free to come
        again. Of no seam at all, infinite."""
        over_last = self._over(self.last, self.along[self.ends] - self.along)
        found = [np.full_like(self.along, np.inf), over_last]
        while len(found) < self.fragments:
            found.append(np.minimum(over_last, self._over(self.across, self._before(found[-1]))))
        return found

    def rest(self, seams: int) -> np.ndarray:
        """As `after`, from a point that is entered, with so many further seams at most, and one at least."""
        return self._before(self.after[seams])

    def _over(self, across: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """For points that are left: the least over the seams there. rest: from the points that these enter."""
        least = np.full_like(self.along, np.inf)
        least[:, len(self.amounts) :] = 0  # of fragments that are shared
        source, target = self.space.source[self.seams], self.space.target[self.seams]
        for column in range(len(self.amounts)):
            np.minimum.at(least[:, column], source, across[self.seams, column] + rest[target, column])
        return least

    def _before(self, after: np.ndarray) -> np.ndarray:
        """For points that are entered: the least over all points behind them in the model."""
        total = self.along + after
        rest = np.full_like(total, np.inf)
        for first, last in zip(self.space.first, self.space.last, strict=True):
            least = np.minimum.accumulate(total[last:first:-1], axis=0)[::-1]
            rest[first:last] = least - self.along[first:last]
        return rest
