"""Peak memory and time of healing at 224 pixels: the front of one torchvision network, the back of another, both
without weights, on noise that is taken for pictures.

    python benchmarks/heal_memory.py resnet50 layer2 swin_t features.3 --images 64
"""

import argparse
import json
import resource
import time

import torch
from torchvision import models

from stitchc.passes import Cost, Fit, Heal, Partition, Pipeline, Plan, Select, Stitch, Trace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("front")
    parser.add_argument("leaves")
    parser.add_argument("back")
    parser.add_argument("enters")
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--sweeps", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    given = parser.parse_args()
    torch.manual_seed(0)
    networks = [getattr(models, name)(weights=None).eval() for name in (given.front, given.back)]
    images = torch.randn(given.images, 3, 224, 224)
    plan = Pipeline([
        Trace(check=()), Partition(), Cost(adapters=("linear",), direction="given"),
        Select(front=given.leaves, back=given.enters, adapter="linear"), Stitch(), Fit(batch=given.batch),
    ])(Plan.of(*networks, images=images))  # fmt: skip
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    wall, busy = time.perf_counter(), time.process_time()
    heal = Heal(heal_sweeps=given.sweeps)
    plan = Heal(heal_sweeps=given.sweeps, options=type(heal.options)(batch=given.batch))(plan)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    healing = plan.hybrid.healing
    assert healing is not None
    print(json.dumps({
        "front": given.front, "back": given.back, "images": given.images, "sweeps": given.sweeps,
        "blocks": len(healing.blocks), "peak_gib_before": round(before / 2**20, 2),
        "peak_gib": round(after / 2**20, 2), "seconds": round(time.perf_counter() - wall, 1),
        "processor_seconds": round(time.process_time() - busy, 1), "threads": torch.get_num_threads(),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
