"""What healing gives: hybrids of trained networks with and without it, on test images.

    python benchmarks/heal.py table --nets nets.py --train DATA --test DATA --out docs/healing.jsonl

`table` stitches the pairs of PAIRS; `images` runs three of them with 8 to 2,048 images; `pareto` those of PARETO, in
the ways of WAYS; `imagenet` its own pairs, on --train and --test images of ImageNet. Each finished row is a line of
--out; rows that are there are passed over, so a run goes on where it was stopped. --seconds stops it after that time.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from stitchc import zoo
from stitchc.evaluate import accuracy
from stitchc.passes import Codegen, Cost, Fit, Heal, Partition, Pipeline, Plan, Select, Stitch, Trace, Verify
from stitchc.passes.errors import StitchError

# (front, its cut, back, its cut)
PAIRS = (
    ("cifar10_resnet56", "layer1.2", "cifar10_resnet20", "layer1.2"),
    ("cifar10_resnet56", "layer1.7", "cifar10_resnet20", "layer1.2"),
    ("cifar10_resnet56", "layer2.2", "cifar10_resnet20", "layer2.0"),
    ("cifar10_resnet56", "layer3.1", "cifar10_resnet20", "layer3.0"),
    ("cifar10_resnet56", "layer1.4", "cifar10_resnet20", "layer2.1"),
    ("cifar10_resnet56", "layer1.0", "cifar10_resnet20", "layer2.0"),
    ("cifar10_resnet20", "layer2.2", "cifar10_resnet56", "layer2.8"),
    ("cifar10_resnet20", "layer2.2", "cifar10_resnet56", "layer2.6"),
    ("cifar10_resnet20", "layer1.2", "cifar10_resnet56", "layer2.8"),
    ("cifar10_tiniest", "l3", "cifar10_resnet20", "layer1.2"),
    ("cifar10_resnet56", "layer1.8", "cifar10_tiniest", "l3"),
    ("cifar10_resnet8_mlperf_tiny", "layer1", "cifar10_resnet20", "layer1.2"),
    ("cifar10_resnet56", "layer1.8", "cifar10_resnet8_mlperf_tiny", "layer1"),
)
CURVE = (PAIRS[0], PAIRS[6], PAIRS[10])
COUNTS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
# What is tried to get a hybrid above the line between its parents: options of `Heal`.
WAYS: dict[str, dict[str, Any]] = {
    "closed form": {"heal_sweeps": 1},
    "default": {},
    "three sweeps": {"heal_sweeps": 3},
    "logits of both": {"heal_target": "both"},
    "logits of the front": {"heal_target": "front"},
    "front's last block": {"heal": "all"},
}
PARETO = (PAIRS[6], PAIRS[7], PAIRS[8], PAIRS[1], PAIRS[2], PAIRS[3], PAIRS[9], PAIRS[10])
IMAGENET = (
    ("in1k_mobilenet_v2_100_qat", "features.6", "in1k_squeezenet1_1_torchvision", "features.5"),
    ("in1k_mobilenet_v2_100_qat", "features.6", "in1k_mobilenetv1_050_qat", "blocks.4"),
    ("in1k_mobilenetv1_050_qat", "blocks.4", "in1k_mobilenet_v2_100_qat", "features.6"),
    ("in1k_mobilenetv1_025", "blocks.4", "in1k_mobilenet_v2_100_qat", "features.6"),
)


@dataclass
class Bench:
    """Networks, images and the record of one run."""

    nets: str
    train: str
    test: str
    out: Path
    stop: float
    models: dict[str, Any]
    traced: dict[tuple[str, str], Plan]

    def model(self, name: str) -> Any:
        if name not in self.models:
            self.models[name] = zoo.load(name if ":" in name else f'{self.nets}:make("{name}")')
        return self.models[name]

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_text().splitlines()] if self.out.exists() else []

    def add(self, row: dict[str, Any]) -> None:
        with self.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), file=sys.stderr, flush=True)

    def wanted(self, **key: Any) -> bool:
        """Whether a row is not in the record yet, and there is time for it."""
        known = any(all(row.get(k) == v for k, v in key.items()) for row in self.rows())
        return not known and time.monotonic() < self.stop

    def joined(self, pair: tuple[str, str, str, str], images: str, adapter: str) -> Plan:
        front, leaves, back, enters = pair
        if (front, back) not in self.traced:
            models = self.model(front), self.model(back)
            self.traced[front, back] = Pipeline([Trace(check=()), Partition()])(Plan(models))
        plan = replace(self.traced[front, back], images=zoo.images(images), seconds={})
        choice = Select(front=leaves, back=enters, adapter=adapter)
        return Pipeline([Cost(adapters=(adapter,), direction="given"), choice, Stitch(), Fit()])(plan)

    def top1(self, network: Any, spec: Any) -> float:
        return round(100 * accuracy(network, spec, zoo.images(self.test), batch=250).top1, 2)

    def parents(self, plan: Plan, test: str) -> list[float]:
        """Top-1 of the two models, measured once."""
        found = []
        for index, model in enumerate(plan.models):
            if self.wanted(what="parent", model=model.source, test=test):
                price = self.price(plan, index)
                top1 = self.top1(plan.graphs[index], model.input)
                self.add({"what": "parent", "model": model.source, "test": test, "top1": top1, **price})
            found += [r["top1"] for r in self.rows() if r["what"] == "parent" and r["model"] == model.source]
        return found

    def price(self, plan: Plan, index: int) -> dict[str, int]:
        return {"macs": plan.prices[index].macs, "params": plan.prices[index].params}


def healed(plan: Plan, **options: Any) -> tuple[Plan, float]:
    start = time.perf_counter()
    plan = Heal(**options)(plan)
    return plan, round(time.perf_counter() - start, 2)


def emitted(plan: Plan) -> float:
    """The largest difference of the generated module from the stitched graph; raises where it is too large."""
    with TemporaryDirectory(prefix="stitchc-heal-") as folder:
        plan = Pipeline([Codegen(folder=Path(folder)), Verify()])(plan)
    assert plan.verified is not None
    return plan.verified.module_max_rel


def table(
    bench: Bench, pairs: list[tuple[str, str, str, str]], images: int, ways: list[str], adapters: list[str]
) -> None:
    for pair in pairs:
        for adapter in adapters:
            todo = [way for way in ["none", *ways] if bench.wanted(what="hybrid", pair=list(pair), adapter=adapter,
                    images=images, way=way) and (adapter == adapters[-1] or way == "none")]  # fmt: skip
            if not todo:
                continue
            start = time.perf_counter()
            fitted = bench.joined(pair, f"{bench.train}limit={images}", adapter)
            fit_s = round(time.perf_counter() - start, 2)
            bench.parents(fitted, bench.test)
            assert fitted.price is not None
            for way in todo:
                plan, seconds = (fitted, fit_s) if way == "none" else healed(fitted, **WAYS[way])
                row = {"what": "hybrid", "pair": list(pair), "adapter": adapter, "images": images, "way": way}
                row |= {"seconds": seconds, "macs": fitted.price.macs, "threads": torch.get_num_threads()}
                row |= {"verified": emitted(plan), "test": bench.test}
                if plan.healing:
                    row |= {"agreement_before": plan.healing.agreement, "agreement": plan.healing.healed_agreement}
                bench.add(row | {"top1": bench.top1(plan.stitched, plan.models[0].input)})


def markdown(rows: list[dict[str, Any]], images: int) -> str:
    """The rows of `table` as a table: top-1 of each hybrid in each way, and the seconds that healing took."""
    parents = {
        row["model"].rpartition('"cifar10_')[2].rstrip('")'): row["top1"] for row in rows if row["what"] == "parent"
    }
    hybrids = [row for row in rows if row["what"] == "hybrid" and row["images"] == images]
    cells = {(tuple(r["pair"]), r["adapter"], r["way"]): r for r in hybrids}
    head = "| hybrid | 1x1 | 3x3 | closed form | seconds | two sweeps | seconds | front, back |"
    lines = [head, "|---|---:|---:|---:|---:|---:|---:|---:|"]
    for pair in dict.fromkeys(pair for pair, _, _ in cells):
        front, leaves, back, enters = (word.removeprefix("cifar10_") for word in pair)
        ways = (("linear", "none"), ("conv3x3", "none"), ("conv3x3", "closed form"), ("conv3x3", "default"))
        found = [cells.get((pair, *way)) for way in ways]
        shown = [f"{r['top1']:.1f}" if r else "" for r in found]
        took = [f"{r['seconds']:.1f}" if r else "" for r in found]
        line = [f"{front} `{leaves}` to {back} `{enters}`", shown[0], shown[1], shown[2], took[2], shown[3], took[3]]
        lines.append(f"| {' | '.join(line)} | {parents.get(front, 0):.1f}, {parents.get(back, 0):.1f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("table", "images", "pareto", "imagenet"))
    parser.add_argument("--nets", required=True, help="a Python file with make(name)")
    parser.add_argument("--vit", help="MODEL words of a ViT for CIFAR-10, for two rows more in the table")
    parser.add_argument("--train", required=True, help="DATA to heal on, without limit")
    parser.add_argument("--test", required=True, help="labelled DATA to measure on")
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--ways", nargs="*", default=["closed form", "default"], choices=WAYS)
    parser.add_argument("--adapters", nargs="*", default=["linear", "conv3x3"], help="the last is healed")
    parser.add_argument("--pairs", type=int, nargs="*", help="only these, by number")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, added to")
    parser.add_argument("--markdown", action="store_true", help="write the table of what is in --out, and no more")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    given = parser.parse_args()
    if given.markdown:
        print(markdown([json.loads(line) for line in given.out.read_text().splitlines()], given.images), end="")
        return
    train = given.train + ("&" if "?" in given.train else "?")
    bench = Bench(given.nets, train, given.test, given.out, time.monotonic() + given.seconds, {}, {})
    known = {"table": PAIRS, "images": CURVE, "pareto": PARETO, "imagenet": IMAGENET}[given.what]
    if given.vit and given.what == "table":
        known += tuple(("cifar10_resnet56", "layer1.8", given.vit, f"blocks.{i}") for i in (1, 3))
    pairs = [known[i] for i in given.pairs] if given.pairs is not None else list(known)
    try:
        for count in COUNTS if given.what == "images" else (given.images,):
            table(bench, pairs, count, given.ways, given.adapters)
    except StitchError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
