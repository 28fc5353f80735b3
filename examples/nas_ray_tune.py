"""A search with Ray Tune: the chain of the best score within a budget of multiply-adds, tried in several processes.

    python examples/nas_ray_tune.py digits/plain digits/small

Chains beyond the budget are never tried: prices are known before anything is stitched, and stitchc names the rest.
"""

import sys

from ray import tune

import stitchc

ADAPTERS = ("linear", "conv3x3")


def trial(config, models):
    """One process scores many chains: what they share is computed once."""
    space = stitchc.space(*models, adapters=ADAPTERS)
    for name, score in zip(config["chains"], space.score(config["chains"]).tolist(), strict=True):
        tune.report({"score": score, "chain": name, "macs": space.cost(name, "macs")["macs"]})


def search(models, macs, groups=2, each=16):
    """The best (score, id) of so many groups of chains that take at most so many multiply-adds."""
    space = stitchc.space(*models, adapters=ADAPTERS)
    ids = space.sample(len(space), seed=0)
    within = [name for name, cost in zip(ids, space.cost(ids, "macs")["macs"], strict=True) if cost <= macs]
    parts = [within[start : start + each] for start in range(0, min(len(within), groups * each), each)]
    tuner = tune.Tuner(
        tune.with_parameters(trial, models=models),
        param_space={"chains": tune.grid_search(parts)},
        tune_config=tune.TuneConfig(metric="score", mode="max", max_concurrent_trials=2),
    )
    best = tuner.fit().get_best_result(scope="all")
    frame = best.metrics_dataframe
    row = frame.loc[frame["score"].idxmax()]
    return float(row["score"]), str(row["chain"])


if __name__ == "__main__":
    print(*search(sys.argv[1:], macs=1_000_000))
