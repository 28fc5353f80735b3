"""How long exact search, the grid and the integer program take: `python benchmarks/search.py [exact|grid|milp...]`.

Losses are synthetic; depths, widths and prices are spread as those of networks in registries are. One thread; seconds
are of the processor.
"""

from __future__ import annotations

import argparse
import platform
import resource
import time
from collections.abc import Callable, Sized
from dataclasses import replace

import numpy as np
import scipy

from stitchc.passes.search.exact import diverse, front
from stitchc.passes.search.grid import grid_front
from stitchc.passes.search.milp import solve
from stitchc.passes.search.rules import Rules
from stitchc.passes.search.space import Space

OVER = ("loss", "macs", "params")
FINE = 2.0**-20  # losses are multiples of it, so that their sums are exact


def pool(networks: int, cuts: int, seed: int = 0, share: float = 0.5) -> Space:
    """Networks of 0.3 to 20 G MACs, the cheaper ones worse, with cuts at random depths. Of all pairs of cuts of two
    networks the `share` of those of most similar depth are seams, where going back counts double; the loss of a seam
    grows with the difference in depth, and differs from pair to pair of networks and from seam to seam."""
    rng = np.random.default_rng(seed)
    points = cuts + 2
    macs = np.exp(rng.uniform(np.log(3e8), np.log(2e10), networks))
    params = macs**0.6 * np.exp(rng.normal(3.2, 0.5, networks))
    depth = np.sort(rng.random((networks, points)), axis=1)
    depth[:, 0], depth[:, -1] = 0, 1
    # Compute is spread evenly over depth, parameters stand toward the end.
    spread = np.stack([depth ** rng.uniform(0.8, 1.3, (networks, 1)), depth ** rng.uniform(1.5, 3.5, (networks, 1))], 2)
    work = np.round(spread * np.stack([macs, params], 1)[:, None])
    own = 0.08 * np.log10(2e10 / macs) + rng.uniform(0, 0.04, networks)
    own_loss = exact(depth * own[:, None])
    model = np.repeat(np.arange(networks), points)
    flat, inner = depth.ravel(), np.tile(np.arange(points), networks)
    ahead = flat[None] - flat[:, None]
    between = (inner > 0) & (inner < points - 1)
    allowed = between[:, None] & between[None] & (model[:, None] != model[None])
    gap = np.where(allowed, np.where(ahead >= 0, ahead, -2 * ahead), np.inf)
    source, target = np.nonzero(gap <= np.quantile(gap[allowed], share))
    gap = gap[source, target]
    alike = rng.gamma(2, 0.02, (networks, networks))[model[source], model[target]]
    loss = alike + 0.5 * gap**1.5 + rng.gamma(1.5, 0.02, len(gap))
    # An adapter of 1x1: channels grow and maps shrink with depth.
    channels = np.round(rng.uniform(16, 64, networks)[model] * 16**flat)
    side = np.round(56 / 8**flat)
    weights = channels[source] * channels[target]
    cost = np.stack([weights * side[target] ** 2, weights], 1)
    return Space(
        model,
        work.reshape(-1, 2),
        source,
        target,
        cost,
        exact(loss),
        ("macs", "params"),
        own_loss=own_loss.ravel(),
    )


def exact(losses: np.ndarray) -> np.ndarray:
    return np.round(losses / FINE) * FINE


def smooth(space: Space) -> Space:
    """The same seams with small losses that follow from the places of the cuts alone: as many trade-offs as can be."""
    points = len(space.model) // len(space.first)
    gap = np.abs(space.source % points - space.target % points) / points
    return replace(space, loss=exact(0.004 + 0.1 * gap**1.5))


def scattered(space: Space) -> Space:
    """The same seams with losses that nothing explains."""
    return replace(space, loss=exact(np.random.default_rng(1).uniform(0, 0.3, len(space.loss))))


def library(layers: int, variants: int, kind: str, seed: int = 0) -> list[np.ndarray]:
    """The cost and the loss of each variant of each layer: 4 attentions by 4 feed-forward widths, or more in between. A
    layer loses the more the less of it is left, and some layers matter more than others."""
    rng = np.random.default_rng(seed)
    shares = np.add.outer([100, 70, 40, 15], [300, 200, 120, 0]).ravel().astype(float)
    shares = np.interp(np.linspace(0, 15, variants), np.arange(16), np.sort(shares)[::-1])
    found = []
    for _ in range(layers):
        cost = shares if "same" in kind else shares * rng.uniform(0.8, 1.2, variants)
        cost = np.round(cost) if "whole" in kind else cost
        loss = rng.gamma(1.5) * (1 - cost / 500) ** 1.5 * rng.uniform(0.7, 1.3, variants)
        if "proportion" in kind:
            loss = (500 - cost) * rng.uniform(0.999, 1.001, variants)
        found.append(np.stack([cost, loss], axis=1))
    return found


def timed(work: Callable[..., Sized], *given: object, **options: object) -> tuple[int, float]:
    """How many the work finds, and the seconds that it takes."""
    start = time.process_time()
    return len(work(*given, **options)), time.process_time() - start


def table(*heads: str) -> Callable[..., None]:
    """Prints the head of a table; what it returns prints a row."""

    def row(*cells: object) -> None:
        print("| " + " | ".join(f"{c:.2f}" if isinstance(c, float) else str(c) for c in cells) + " |", flush=True)

    row(*heads)
    print("|" + "---|" * len(heads))
    return row


def exact_tables() -> None:
    row = table("networks", "cuts of each", "seams", "losses", "repeats", "fragments", "chains on the front", "seconds")
    sizes = [(5, 40), (10, 40), (20, 40), (20, 20), (40, 40), (100, 40)]
    kinds = {"by depth": lambda space: space, "smooth": smooth, "scattered": scattered}
    runs = [(size, "by depth", "none", 2) for size in sizes] + [(size, "by depth", "none", 3) for size in sizes[:5]]
    runs += [((20, 40), kind, "none", 3) for kind in ("smooth", "scattered")]
    runs += [((20, 40), "by depth", repeats, 3) for repeats in ("forward", "loops")]
    runs += [(size, "by depth", "none", 4) for size in sizes[:4]] + [((20, 40), "by depth", "loops", 4)]
    for (networks, cuts), kind, repeats, fragments in runs:
        space = kinds[kind](pool(networks, cuts))
        found, seconds = timed(front, space, OVER, fragments=fragments, repeats=repeats)
        row(networks, cuts, len(space.source), kind, repeats, fragments, found, seconds)
    print()
    row = table("20 networks, 40 cuts of each", "fragments", "chains", "seconds")
    space = pool(20, 40)
    budget = {"macs": 2e9, "params": 2e7}
    for fragments in (3, 4):
        limited = {"fragments": fragments, "budget": budget}
        row("loss and MACs", fragments, *timed(front, space, OVER[:2], fragments=fragments))
        row("the best under two limits", fragments, *timed(front, space, OVER[:1], **limited))
        row("five that differ in two fragments, under two limits", fragments, *timed(diverse, space, 5, 2, **limited))


def choices(grid: list[np.ndarray]) -> np.ndarray:
    return grid_front(grid).amounts


def grid_tables() -> None:
    row = table("layers", "variants", "costs", "choices on the front", "seconds")
    any_cost = "any costs"
    for layers, variants, kind in (
        *((80, 16, kind) for kind in ("the same costs in all layers", "whole costs below 500", any_cost)),
        (80, 16, "whole costs below 500, losses in proportion to what is saved"),
        *((size, 16, any_cost) for size in (20, 40, 160)), (80, 64, any_cost),
    ):  # fmt: skip
        row(layers, variants, kind, *timed(choices, library(layers, variants, kind)))


def milp_tables() -> None:
    row = table("networks", "cuts of each", "fragments", "under two limits, and", "loss", "proved", "seconds")
    for networks, cuts in ((5, 20), (10, 40), (20, 40)):
        space = pool(networks, cuts)
        cheapest = [front(space, (metric,))[0].cost[metric] for metric in space.metrics]
        budget = {metric: 4 * least for metric, least in zip(space.metrics, cheapest, strict=True)}
        best = front(space, OVER[:1], budget=budget)[0]
        enter, leave = space.fragments(front(space, OVER[1:2])[0].route)[0]
        rules = {
            "nothing else": Rules(),
            "three networks at least": Rules(models_at_least=3),
            "one switch at most, two networks at least": Rules(switches_at_most=1, models_at_least=2),
            "the networks of the best chain not together": Rules(not_together=(space.models(best.route),)),
            "a fragment of the cheapest chain stays": Rules(keep=((enter, leave),)),
        }
        for name, rule in rules.items():
            start = time.process_time()
            solved = solve(space, rule, budget=budget, seconds=120)
            proved = "yes" if solved.proved else f"no better than {solved.at_least:.4f}"
            row(networks, cuts, 3, name, f"{solved.found.loss:.4f}", proved, time.process_time() - start)


TABLES = {"exact": exact_tables, "grid": grid_tables, "milp": milp_tables}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], help="which tables; all by default")
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, scipy {scipy.__version__}\n")
    for name in given.tables or TABLES:
        TABLES[name]()
        print()
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
