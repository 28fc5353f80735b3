"""Predicted latency of stitches against measured: `python benchmarks/latency.py [--pairs N] [--each N]`.

Six pairs of networks, with random weights, and five candidates of each, drawn at random; one thread. Prints a line for
each candidate, then the median error and the rank correlation.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys

import numpy as np
import torch
import torchvision

from stitchc.passes import Cost, Latency, Partition, Pipeline, Plan, Trace
from stitchc.passes.latency.candidate_times import stitched
from stitchc.passes.latency.clock import device_name, measure

PAIRS = (
    ("resnet18", "mobilenet_v2"),
    ("resnet50", "resnet18"),
    ("swin_t", "resnet18"),
    ("densenet121", "mobilenet_v3_large"),
    ("efficientnet_b0", "resnet34"),
    ("convnext_tiny", "regnet_y_400mf"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=len(PAIRS))
    parser.add_argument("--each", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(given.seed)
    print(f"{device_name()}, 1 thread, torch {torch.__version__}\n")
    print(f"{'candidate':<66} {'predicted':>10} {'measured':>10} {'error':>7}")
    predicted, measured = [], []
    for names in PAIRS[: given.pairs]:
        models = [getattr(torchvision.models, name)(weights=None).eval() for name in names]
        plan = Plan.of(*models, images=torch.zeros(1, 3, 224, 224))
        plan = Pipeline([Trace(check=()), Partition(), Cost(direction="both"), Latency()])(plan)
        table = plan.candidates
        for row in rng.sample(range(len(table)), given.each):
            candidate = table[row]
            timing = measure(stitched(plan, candidate), torch.zeros(1, 3, 224, 224))
            predicted.append(candidate.price["latency"])
            measured.append(timing.median_ms)
            (a, i), (b, j) = candidate.front, candidate.back
            said = f"{names[a]} {plan.cuts[a][i].node} {candidate.adapter} {names[b]} {plan.cuts[b][j].node}"
            error = predicted[-1] / measured[-1] - 1
            print(f"{said[:66]:<66} {predicted[-1]:>7.2f} ms {measured[-1]:>7.2f} ms {error:>+7.1%}", flush=True)
    errors = [abs(p / m - 1) for p, m in zip(predicted, measured, strict=True)]
    ranks = [np.argsort(np.argsort(numbers)) for numbers in (predicted, measured)]
    print(f"\nmedian error {statistics.median(errors):.1%}, rank correlation {np.corrcoef(*ranks)[0, 1]:.3f}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
