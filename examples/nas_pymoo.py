"""Chains of few multiply-adds and a good score that run in so much memory, found with pymoo: NSGA-II over ids, which
stitchc draws, crosses and mutates, and pymoo selects."""

from itertools import count

import numpy as np
from pymoo.algorithms.moo.nsga2 import NSGA2
from pymoo.core.crossover import Crossover
from pymoo.core.duplicate import ElementwiseDuplicateElimination
from pymoo.core.mutation import Mutation
from pymoo.core.problem import Problem
from pymoo.core.sampling import Sampling
from pymoo.optimize import minimize

import stitchc


class Chains(Problem):
    def __init__(self, space, memory_bytes):
        super().__init__(n_var=1, n_obj=2, n_ieq_constr=1)
        self.space, self.limit, self.seeds = space, memory_bytes, count()

    def _evaluate(self, x, out, *args, **kwargs):
        cost, score = self.space.cost(x[:, 0], "macs", "memory"), self.space.score(x[:, 0])  # of all at once
        out["F"] = np.column_stack([cost["macs"], -score])
        out["G"] = cost["memory"][:, None] - self.limit


class Draw(Sampling):
    def _do(self, problem, n_samples, **kwargs):
        return np.array(problem.space.sample(n_samples, seed=0), object)[:, None]


class Cross(Crossover):
    def _do(self, problem, x, **kwargs):  # [2 parents, pairs, 1]
        both, cross = (x[:, :, 0].T, x[::-1, :, 0].T), problem.space.crossover
        return np.array([[[cross(*pair, next(problem.seeds))] for pair in pairs] for pairs in both], object)


class Mutate(Mutation):
    def _do(self, problem, x, **kwargs):
        return np.array([[problem.space.mutate(name, next(problem.seeds))] for (name,) in x], object)


class Same(ElementwiseDuplicateElimination):
    def is_equal(self, a, b):
        return a.X[0] == b.X[0]


def search(space, memory_bytes=24 << 10, generations=8, population=24):  # [(multiply-adds, score, id)], a front
    nsga = NSGA2(population, sampling=Draw(), crossover=Cross(2, 2), mutation=Mutate(), eliminate_duplicates=Same())
    found = minimize(Chains(space, memory_bytes), nsga, ("n_gen", generations), seed=0)
    return sorted((int(macs), -less, x[0]) for x, (macs, less) in zip(found.X, found.F, strict=True))


if __name__ == "__main__":
    for macs, score, name in search(stitchc.space("digits/plain", "digits/small")):
        print(f"{macs:>12,} MACs  {score:.4f}  {name}")
