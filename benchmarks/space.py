"""What `stitchc.space` is worth to a search: chains priced a second, and how much of a front Optuna finds.

    python benchmarks/space.py cost   [--models digits/resnet digits/plain digits/vit digits/convnext]
    python benchmarks/space.py front  [--models digits/plain digits/small] [--share 0.2] [--seeds 5]

`cost` prices chains of at most three fragments, drawn at random, from their ids, on one thread, and holds some against
the price of each alone. `front` scores every chain of two fragments, which takes a minute or more; then the same space
is searched anew, by a random draw and by examples/nas_optuna.py with and without what stitchc knows, each scoring what
it asks for. Prints tables in Markdown.
"""

import argparse
import platform
import sys
import time
from pathlib import Path

import numpy as np
import optuna
import torch

import stitchc
from stitchc.passes.cost.chains import price_of
from stitchc.passes.stitch.stated import stated

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
import nas_optuna

# Scores this close are the same: chains are fitted in other company, and sums are rounded otherwise.
SAME = 1e-4


def cost(models: list[str], count: int) -> None:
    space = stitchc.space(*models, fragments=3, adapters=("identity", "linear", "conv3x3", "fused"))
    ids = space.sample(count)
    space.cost(ids[:1])  # tables of fragments and adapters are made once
    print(f"| chains of {len(space):,} | metrics | seconds | chains a second |\n|---|---|---:|---:|")
    for of in (("macs", "params"), space.metrics):
        start = time.process_time()
        found = space.cost(ids, *of)
        seconds = time.process_time() - start
        print(f"| {count:,} | {', '.join(of)} | {seconds:.2f} | {count / seconds:,.0f} |")
    for k in range(0, count, max(count // 500, 1)):
        price = price_of(space.plan, stated(space.plan, ids[k])[0].chain)
        assert all(found[metric][k] == price[metric] for metric in space.metrics), ids[k]
    print("\nEach of 500 of them costs what it costs alone, to the unit.")


def front(models: list[str], share: float, seeds: int) -> None:
    adapters = ("linear", "conv3x3")
    space = stitchc.space(*models, adapters=adapters)
    ids, start = list(space), time.process_time()
    exact = nas_optuna.front(figured(space, ids))
    print(f"{len(ids)} chains, scored in {time.process_time() - start:.0f} s; {len(exact)} points on their front:\n")
    print("| MACs | score | chain |\n|---:|---:|---|")
    print("\n".join(f"| {cost:,} | {score:.4f} | `{name}` |" for cost, score, name in exact))
    print(f"\n| search of {share:.0%} | points found, by seed | seconds |\n|---|---|---:|")
    for title, run in (("a random draw", drawn), ("NSGA-II", alone), ("NSGA-II and what stitchc knows", helped)):
        counts, start = [], time.process_time()
        for seed in range(seeds):
            figures = list(run(stitchc.space(*models, adapters=adapters), share, seed).values())
            assert len(figures) <= share * len(ids)
            counts.append(sum(any(c <= a and s >= b - SAME for c, s in figures) for a, b, _ in exact))
        seconds = (time.process_time() - start) / seeds
        print(f"| {title} | {', '.join(map(str, counts))} of {len(exact)} | {seconds:.0f} |", flush=True)


def figured(space, ids: list[str]) -> dict[str, tuple[int, float]]:
    costs, scores = space.cost(ids, "macs")["macs"].tolist(), space.score(ids).tolist()
    return dict(zip(ids, zip(costs, scores, strict=True), strict=True))


def drawn(space, share: float, seed: int) -> dict:
    return figured(space, space.sample(int(share * len(space)), seed))


def alone(space, share: float, seed: int) -> dict:
    return nas_optuna.search(space, share, seed, known=False)


def helped(space, share: float, seed: int) -> dict:
    return nas_optuna.search(space, share, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("cost", "front"))
    parser.add_argument("--models", nargs="+")
    parser.add_argument("--count", type=int, default=100_000, help="of chains to price")
    parser.add_argument("--share", type=float, default=0.2, help="of the chains that a search may score")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print(f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}, "
          f"Optuna {optuna.__version__}, {platform.processor() or platform.machine()}, one thread.\n")  # fmt: skip
    if given.what == "cost":
        cost(given.models or ["digits/resnet", "digits/plain", "digits/vit", "digits/convnext"], given.count)
    else:
        front(given.models or ["digits/plain", "digits/small"], given.share, given.seeds)


if __name__ == "__main__":
    main()
