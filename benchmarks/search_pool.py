"""How far the estimates of `stitchc search` hold: losses of seams predicted from others, and chains from their seams.

    OMP_NUM_THREADS=1 python benchmarks/search_pool.py [MODEL ...] [--data DATA] [--seams N] [--chains N]

Seams are drawn at random over the whole pool and probed; each is predicted from the others (five parts in turn), with
and without the held-out R2 of a small fit. Chains of three fragments are drawn at random among probed seams, stitched
whole, and compared with the sum of the losses of their seams. Prints the table of docs/searching_measured.md.
"""

import argparse
import random

import numpy as np

from stitchc.passes import Cost, Partition, Pipeline, Plan, Represent, Trace
from stitchc.passes.search.chains import Tree
from stitchc.passes.search.effort import EFFORTS
from stitchc.passes.search.losses import Predictor, Trust, similarities
from stitchc.passes.search.pool import INNER, Pool
from stitchc.passes.search.probe import Probe
from stitchc.passes.search.space import Route
from stitchc.searches.methods import METHODS, SHARE
from stitchc.zoo import images, load

DIGITS = ["digits/resnet", "digits/plain", "digits/vit", "digits/convnext"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=DIGITS)
    parser.add_argument("--data", default="digits?limit=512")
    parser.add_argument("--seams", type=int, default=300)
    parser.add_argument("--chains", type=int, default=180)
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
    chains(plan, given.chains)


def chains(plan: Plan, count: int) -> None:
    """Chains over seams of which most are promising, as a search meets them, and what the seams' losses say of them."""
    pool = Pool.of(plan, METHODS["exact"].words.adapters, min_share=SHARE)
    probe, predictor = Probe(pool, EFFORTS["medium"]), Predictor(pool, similarities(plan))
    draw = np.random.default_rng(1)
    rows = draw.permutation(len(pool))[:60].tolist()
    probe.measure(rows)
    promising = np.argsort(predictor.predict(probe.loss, probe.r2))[: len(pool) // 10]
    rows = list(dict.fromkeys(rows + draw.permutation(promising)[:90].tolist()))
    probe.measure(rows)
    for fragments in (3, 4):
        routes = drawn_chains(pool, rows, fragments, count)
        expected: dict[float, list[float]] = {1.0: [], INNER: []}
        seen = []
        for route, _, found in Tree(probe).grown(routes):
            loss, last = probe.loss[list(route.seams)], pool.points[pool.target[route.seams[-1]]][0]
            alone = probe.own.max() - probe.deficit[[route.model, last]].sum() / 2
            for share, said in expected.items():
                said.append(float(np.clip(alone - share * loss[:-1].sum() - loss[-1], 0, 1)))
            seen.append(found.mean())
        scores = np.array(seen)
        best = scores >= np.median(scores)
        for share, said in expected.items():
            what = f"chains of {fragments}, {share:g} of what all seams but the last lose"
            tell(what, Trust.of(np.array(said), scores))
            tell(f"{what}, the better half", Trust.of(np.array(said)[best], scores[best]))


def drawn_chains(pool: Pool, rows: list[int], fragments: int, count: int) -> list[Route]:
    """Chains of so many fragments over some seams, drawn at random."""
    draw = random.Random(3)
    found = [Route(pool.points[pool.source[row]][0], (row,)) for row in rows]
    for _ in range(fragments - 2):
        some = draw.sample(found, min(len(found), 400))
        found = [Route(a.model, (*a.seams, b)) for a in some for b in rows if follows(pool, a.seams[-1], b)]
    return draw.sample(found, min(count, len(found)))


def follows(pool: Pool, a: int, b: int) -> bool:
    """Whether seam b can be the next after seam a."""
    same = pool.points[pool.target[a]][0] == pool.points[pool.source[b]][0]
    return same and pool.source[b] > pool.target[a]


def tell(what: str, trust: Trust) -> None:
    rank, error = ("-" if x is None else f"{x:.3f}" for x in (trust.rank_correlation, trust.error))
    print(f"| {what} | {trust.cases} | {rank} | {error} |")


if __name__ == "__main__":
    main()
