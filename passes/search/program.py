"""The chains of a space as an integer program: a path through layers, one layer for each place of a fragment.

In layer i the program walks the steps of one model, from one point to the next; a seam leads from layer i to layer
i + 1. Layers follow one another and steps run forward, so that no solution can hold a circle beside its path, and no
further constraints are needed to exclude circles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .problem import Problem
from .rules import Rules
from .space import Route

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class Program:
    """The program of a problem with rules, over some of the seams. All variables lie between 0 and 1.

    Variables: `step[i, p]`, the chain's fragment i runs from point p to the next of its model; `seam[i, s]`, seam s is
    taken behind fragment i, where a seam that loses something else as the last of a chain stands for two; `start[m]`,
    model m is entered first; `end[i, m]`, the chain ends behind fragment i in model m; `uses[m]`, model m is in the
    chain; `past[i, p]`, by fragment i the chain has run from point p of its model or from one behind it; `kept[i, k]`,
    fragment i holds the k-th part that is to be kept.
    """

    def __init__(self, problem: Problem, rules: Rules, seams: np.ndarray):
        space = problem.space
        self.problem, self.rules = problem, rules
        self.points, self.models, self.layers = len(space.model), len(space.first), problem.fragments
        # A seam that loses something else as the last of the chain is two: one that another follows, and the last.
        self._apart = len(seams) if space.inner_loss is not None else 0
        self.seams = seams = np.concatenate([seams, seams]) if self._apart else seams
        self.source, self.target = space.source[seams], space.target[seams]
        self._size = 0
        self.step = self._new(self.layers, self.points)
        self.seam = self._new(self.layers - 1, len(seams))
        self.start = self._new(self.models)
        self.end = self._new(self.layers, self.models)
        self.uses = self._new(self.models)
        self.whole = self._size  # up to here variables are whole numbers
        self.past = self._new(self.layers, self.points)
        self.kept = self._new(self.layers, len(rules.keep))
        self.upper = np.ones(self._size)
        self._rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # row, variable, coefficient
        self._low: list[np.ndarray] = []
        self._high: list[np.ndarray] = []
        self._height = 0
        self._path()
        self._repeats()
        self._budget()
        self._rules()

    def _new(self, *shape: int) -> np.ndarray:
        variables = self._size + np.arange(int(np.prod(shape))).reshape(shape)
        self._size += variables.size
        return variables

    def _add(self, terms: list[tuple[np.ndarray, np.ndarray, float]], low: float, high: float, height: int) -> None:
        """Adds `height` rows. terms: rows (from 0 on), variables, and the coefficient of all of them."""
        for row, variable, coefficient in terms:
            row, variable = np.broadcast_arrays(row, variable)
            self._rows.append((row.ravel() + self._height, variable.ravel(), np.full(row.size, coefficient)))
        self._low.append(np.full(height, low))
        self._high.append(np.full(height, high))
        self._height += height

    def _path(self) -> None:
        space = self.problem.space
        rows, inner = np.arange(self.points), np.setdiff1d(np.arange(self.points), space.first)
        self.upper[self.step[:, space.last]] = 0
        self._add([(np.zeros(1, dtype=int), self.start, 1)], 1, 1, 1)
        for layer in range(self.layers):
            entering = [(space.first, self.start, 1.0)] if layer == 0 else [(self.target, self.seam[layer - 1], 1.0)]
            leaving = [(space.last, self.end[layer], 1.0)]
            if layer < self.layers - 1:
                leaving.append((self.source, self.seam[layer], 1.0))
            along = (inner, self.step[layer, inner - 1], 1.0)
            onward = (rows, self.step[layer], -1.0)
            self._add([*entering, along, onward, *((a, b, -1.0) for a, b, _ in leaving)], 0, 0, self.points)
            # What leaves at a point has come along the step before it: no fragment is empty.
            self._add([*leaving, (inner, self.step[layer, inner - 1], -1.0)], -np.inf, 0, self.points)

        if self._apart:
            for layer in range(self.layers - 1):
                one = np.zeros(1, dtype=int)
                last = (one, self.seam[layer, self._apart :], 1.0)
                self._add([last, (one, self.end[layer + 1], -1.0)], 0, 0, 1)

    def _repeats(self) -> None:
        space = self.problem.space
        if self.problem.repeats == "none":
            models = np.arange(self.models)
            entered = [(space.model[self.target], seams, 1.0) for seams in self.seam]
            self._add([(models, self.start, 1.0), *entered], -np.inf, 1, self.models)
        if self.problem.repeats == "forward":
            rows = np.arange(self.points)
            inner = np.setdiff1d(rows, space.last)
            for layer in range(self.layers - 1):
                past = (rows, self.past[layer], -1.0)
                self._add([(rows, self.step[layer], 1.0), past], -np.inf, 0, self.points)
                self._add([(inner, self.past[layer, inner + 1], 1.0), past], -np.inf, 0, self.points)
                self._add([(rows, self.past[layer], 1.0), (rows, self.past[layer + 1], -1.0)], -np.inf, 0, self.points)
                self._add([(rows, self.past[layer], 1.0), (rows, self.step[layer + 1], 1.0)], -np.inf, 1, self.points)

    def amount(self, column: int) -> np.ndarray:
        """[variables]: what each adds to an amount of the chain, a column of the problem."""
        total = np.zeros(self._size)
        total[self.step[:, :-1]] = np.diff(self.problem.along[:, column])
        total[self.seam] = self.problem.across[self.seams, column]
        total[self.seam[:, self._apart :]] = self.problem.last[self.seams[self._apart :], column]
        return total * (self.upper > 0)

    def _budget(self) -> None:
        for column in np.flatnonzero(np.isfinite(self.problem.limits)).tolist():
            amount = self.amount(column)
            scale = max(abs(self.problem.limits[column]), np.abs(amount).max(), 1e-300)
            some = np.flatnonzero(amount)
            self._rows.append((np.full(len(some), self._height), some, amount[some] / scale))
            self._add([], -np.inf, self.problem.limits[column] / scale, 1)

    def _rules(self) -> None:
        rules, space, one = self.rules, self.problem.space, np.zeros(1, dtype=int)
        models = np.arange(self.models)
        entered = [(models, self.start, 1.0), *((space.model[self.target], seams, 1.0) for seams in self.seam)]
        uses = (models, self.uses, -1.0)
        self._add([*entered, uses], 0, np.inf, self.models)
        for entry in entered:
            self._add([entry, uses], -np.inf, 0, self.models)
        self._add([(one, self.uses, 1.0)], rules.models_at_least, np.inf, 1)
        self.upper[self.uses[list(rules.without)]] = 0
        for group in rules.not_together:
            self._add([(one, self.uses[sorted({*group})], 1.0)], -np.inf, len({*group}) - 1, 1)
        if rules.switches_at_most is not None:
            switches = np.flatnonzero(space.model[self.source] != space.model[self.target])
            self._add([(one, self.seam[:, switches], 1.0)], -np.inf, rules.switches_at_most, 1)
        for k, (first, last) in enumerate(rules.keep):
            self._add([(one, self.kept[:, k], 1.0)], 1, np.inf, 1)
            for layer in range(self.layers):
                steps = np.arange(first, last)
                self._add([(steps - first, self.kept[layer, k], 1.0), (steps - first, self.step[layer, steps], -1.0)],
                          -np.inf, 0, len(steps))  # fmt: skip

    def exclude(self, route: Route) -> None:
        """Excludes one chain."""
        model = self.problem.space.models(route)[-1]
        places = {int(seam): place for place, seam in reversed([*enumerate(self.seams)])}
        taken = [self.seam[layer, places[seam]] for layer, seam in enumerate(route.seams)]
        if self._apart and taken:
            taken[-1] = self.seam[len(taken) - 1, places[route.seams[-1]] + self._apart]
        taken += [self.end[len(route.seams), model], self.start[route.model]]
        self._add([(np.zeros(1, dtype=int), np.array(taken), 1.0)], -np.inf, len(taken) - 1, 1)

    def matrix(self) -> tuple[csr_array, np.ndarray, np.ndarray]:
        """The constraints, [rows, variables], with their lower and upper bounds."""
        from scipy.sparse import coo_array

        row, variable, coefficient = (np.concatenate(part) for part in zip(*self._rows, strict=True))
        places = row.astype(np.int32), variable.astype(np.int32)  # the solver in scipy 1.11 takes no others
        matrix = coo_array((coefficient, places), shape=(self._height, self._size)).tocsr()
        return matrix, np.concatenate(self._low), np.concatenate(self._high)

    def route(self, solution: np.ndarray) -> Route:
        """The chain that a solution stands for."""
        model = int(np.argmax(solution[self.start]))
        length = int(np.argmax(solution[self.end].max(axis=1)))
        taken = [int(self.seams[np.argmax(solution[self.seam[layer]])]) for layer in range(length)]
        return Route(model, tuple(taken))
