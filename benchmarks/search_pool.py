"""How far the estimates of `stitchc search` hold: losses of seams predicted from others, and chains from their seams.

    OMP_NUM_THREADS=1 python benchmarks/search_pool.py [MODEL ...] [--data DATA] [--seams N] [--chains N]

Seams are drawn at random over the whole pool and probed; each is predicted from the others (five parts in turn), with
and without the held-out R2 of a small fit. Chains of three fragments are drawn at random among probed seams, stitched
whole, and compared with the sum of the losses of their seams. Prints the table of docs/searching.md.
"""

import argparse
import random

import numpy as np

from stitchc.passes import Cost, Partition, Pipeline, Plan, Represent, Trace
from stitchc.passes.search.chains import Tree
from stitchc.passes.search.effort import EFFORTS
from stitchc.passes.search.losses import Predictor, Trust, similarities
from stitchc.passes.search.pool import Pool, lost
from stitchc.passes.search.probe import Probe
from stitchc.passes.search.space import Route
from stitchc.search_methods import METHODS
from stitchc.zoo import images, load

DIGITS = ["digits/resnet", "digits/plain", "digits/vit", "digits/convnext"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=DIGITS)
    parser.add_argument("--data", default="digits?limit=512")
    parser.add_argument("--seams", type=int, default=300)
    parser.add_argument("--chains", type=int, default=120)
    given = parser.parse_args()
    passes = [Trace(), Partition(), Cost(adapters=()), Represent()]
    plan = Pipeline(passes)(Plan(tuple(load(words) for words in given.models), images=images(given.data)))
    pool = Pool.of(plan, METHODS["exact"].words.adapters)
    probe, predictor = Probe(pool, EFFORTS["medium"]), Predictor(pool, similarities(plan))
    drawn = np.random.default_rng(0).permutation(len(pool))[: given.seams].tolist()
    probe.measure(drawn)
    print(f"{len(pool)} seams, models alone score {np.round(probe.own, 3).tolist()}")
    tell("loss of a seam, from similarity and depth", predictor.trust(probe.loss, probe.r2))
    probe.compare(drawn)
    tell("loss of a seam, with R2 too", predictor.trust(probe.loss, probe.r2))
    routes = triples(pool, drawn, given.chains)
    expected, scores = [], []
    for route, _, found in Tree(probe).grown(routes):
        ends = [route.model, pool.points[pool.target[route.seams[-1]]][0]]
        expected.append(probe.own.max() - lost(probe.loss[list(route.seams)]) - probe.deficit[ends].sum() / 2)
        scores.append(found.mean())
    sums, seen = np.clip(expected, 0, None), np.array(scores)
    tell("score of a chain of three, from the sum of its seams' losses", Trust.of(sums, seen))
    best = seen >= np.quantile(seen, 0.5)
    tell("the same, the better half of the chains", Trust.of(sums[best], seen[best]))


def triples(pool: Pool, rows: list[int], count: int) -> list[Route]:
    """Chains of three fragments over some seams, drawn at random."""
    draw = random.Random(0)
    follows = [
        Route(pool.points[pool.source[a]][0], (a, b))
        for a in rows
        for b in rows
        if pool.points[pool.target[a]][0] == pool.points[pool.source[b]][0] and pool.source[b] > pool.target[a]
    ]
    return draw.sample(follows, min(count, len(follows)))


def tell(what: str, trust: Trust) -> None:
    print(f"| {what} | {trust.cases} | {trust.rank_correlation:.2f} | {trust.error:.3f} |")


if __name__ == "__main__":
    main()
