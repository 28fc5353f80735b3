"""How long pricing takes after tracing: `python benchmarks/pricing.py [--pool N]`.

Every candidate of resnet50 x swin_t, then of all pairs of a pool of networks, with the adapters of `auto`; one thread.
"""

from __future__ import annotations

import argparse
import time

import torch
import torchvision

from stitchc.passes import Cost, Partition, Pipeline, Plan, Trace
from stitchc.passes.adapters.footprint import footprint
from stitchc.passes.latency.clock import device_name

POOL = (
    *("resnet50", "swin_t", "resnet18", "resnet34", "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small"),
    *("densenet121", "efficientnet_b0", "regnet_y_400mf", "regnet_x_800mf", "convnext_tiny", "vgg11_bn", "alexnet"),
    *("squeezenet1_1", "shufflenet_v2_x1_0", "mnasnet1_0", "googlenet", "vit_b_32", "resnext50_32x4d"),
)


def traced(names: tuple[str, ...]) -> Plan:
    models = [torchvision.models.get_model(name, weights=None).eval() for name in names]
    return Pipeline([Trace(check=()), Partition()])(Plan.of(*models, images=torch.zeros(1, 3, 224, 224)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=int, default=len(POOL))
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{device_name()}, 1 thread, torch {torch.__version__}\n")
    traced(("alexnet", "alexnet"))  # what is imported late is
    Cost()(traced(("alexnet", "resnet18")))
    for names in (POOL[:2], POOL[: given.pool]):
        plan = traced(names)
        footprint.cache_clear()
        start, busy = time.perf_counter(), time.process_time()
        table = Cost(direction="both" if len(names) == 2 else "slow-to-fast")(plan).candidates
        wall, busy = time.perf_counter() - start, time.process_time() - busy
        said = " x ".join(names) if len(names) == 2 else f"all pairs of {len(names)} networks"
        print(f"{said}: {len(table)} candidates, {wall:.2f} s ({busy:.2f} s of processor time)", flush=True)


if __name__ == "__main__":
    main()
