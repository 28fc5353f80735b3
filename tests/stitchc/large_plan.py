"""A plan of the size that two networks for ImageNet give."""

from dataclasses import replace

import numpy as np
from conftest import make_plan, price

from stitchc.passes.data.candidates import Candidates
from stitchc.passes.data.plan import PairSimilarity, Stage
from stitchc.passes.data.values import Cut, Cuts, Value

CUTS, CANDIDATES = 100, 6000


def large_plan():
    """A plan of the size that two networks for ImageNet give, with stages."""
    plan = make_plan()
    random = np.random.default_rng(0)

    def cuts(prefix: str) -> Cuts:
        made = [
            Cut(k, f"{prefix}_{k}", path, Value((64, 14, 14), "NCHW", grid=(14, 14)), (path,),
                price(1000 * k, 10**6 * k), price(10**6 - 1000 * k, 10**8 - 10**6 * k))
            for k, path in enumerate(f"{prefix}.{k // 4}.part{k % 4}" for k in range(CUTS))
        ]  # fmt: skip
        return Cuts("single-tensor", tuple(made))

    matrix = random.random((CUTS, CUTS))
    front, back = random.integers(0, CUTS, (2, CANDIDATES)).astype(np.int32)
    front[0], back[0] = 3, 7
    macs = random.integers(10**6, 10**9, CANDIDATES)
    score = np.where(np.arange(CANDIDATES) < 300, random.random(CANDIDATES), np.nan)
    feasible = macs < 5 * 10**8
    feasible[0] = True
    table = Candidates(
        ("linear", "conv3x3"), np.zeros(CANDIDATES, np.int32), front, np.ones(CANDIDATES, np.int32), back,
        random.integers(0, 2, CANDIDATES).astype(np.int32),
        {"params": macs // 100, "macs": macs, "size": macs // 25, "memory": macs // 50}, matrix[front, back], feasible,
        np.flatnonzero(feasible), "cascade", score,
    )  # fmt: skip
    (hybrid,) = plan.hybrids
    chosen = table[0]
    return replace(
        plan, cuts=(cuts("blocks"), cuts("features")), similarity=(PairSimilarity(0, 1, "cka", 512, matrix),),
        prices=(price(10**6, 10**8), price(10**6, 10**8)), candidates=table, budget={"macs": 5e8}, choice=(chosen,),
        hybrids=(replace(hybrid, chain=chosen.chain),),
        stages=(Stage("shortlist", 0, 3000, 300), Stage("probe", 32, 300, 10), Stage("healed", 256, 10, 1)),
    )  # fmt: skip
