"""What healing gives: hybrids of trained networks with and without it, on test images.

    python benchmarks/heal.py table --nets nets.py --train DATA --test DATA --out docs/healing.jsonl

`table` stitches the pairs of PAIRS in the ways of TABLE; `curve` three of them with 8 to 2,048 images; `pareto` those
of PARETO, and two of them in the ways of WAYS; `imagenet` its own pairs, on --train and --test images of ImageNet.
Every hybrid comes from `stitchc.compile`, verified and with its ONNX file. Each finished row is a line of --out; rows
that are there are passed over, so a run goes on where it was stopped. --seconds stops it after that time. --markdown
prints what is in --out, --figure draws the rows of `pareto`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

import stitchc
from stitchc import zoo
from stitchc.passes.data.errors import StitchError

Pair = tuple[str, str, str, str]  # front, its cut, back, its cut

R56, R20, R8, TINIEST = "cifar10_resnet56", "cifar10_resnet20", "cifar10_resnet8_mlperf_tiny", "cifar10_tiniest"
PAIRS: tuple[Pair, ...] = (
    (R56, "layer1.2", R20, "layer1.2"),
    (R56, "layer1.7", R20, "layer1.2"),
    (R56, "layer2.2", R20, "layer2.0"),
    (R56, "layer3.1", R20, "layer3.0"),
    (R56, "layer1.4", R20, "layer2.1"),
    (R56, "layer1.0", R20, "layer2.0"),
    (R20, "layer2.2", R56, "layer2.8"),
    (R20, "layer2.2", R56, "layer2.6"),
    (R20, "layer1.2", R56, "layer2.8"),
    (TINIEST, "l3", R20, "layer1.2"),
    (R56, "layer1.8", TINIEST, "l2"),
    (R56, "layer1.8", TINIEST, "l3"),
    (R8, "layer1", R20, "layer1.2"),
    (R56, "layer1.8", R8, "layer1"),
)
VIT = ((R56, "layer2.8", "blocks.1"), (R56, "layer3.2", "blocks.3"))
CURVE = (PAIRS[0], PAIRS[6], PAIRS[10])
COUNTS = (8, 16, 32, 64, 128, 256, 512, 1024, 2048)
PARETO = (PAIRS[6], PAIRS[7], PAIRS[8], PAIRS[1], PAIRS[2], PAIRS[3], PAIRS[9], PAIRS[10])
V2, SQUEEZE = "in1k_mobilenet_v2_100_qat", "in1k_squeezenet1_1_torchvision"
V1_50, V1_25 = "in1k_mobilenetv1_050_qat", "in1k_mobilenetv1_025"
# Cut by where the maps are 28x28 and 14x14, in both networks.
IMAGENET: tuple[Pair, ...] = (
    (V2, "features.6", SQUEEZE, "features.5"),
    (SQUEEZE, "features.7", V2, "features.6"),
    (V2, "features.6", V1_50, "blocks.4"),
    (V1_50, "blocks.4", V2, "features.6"),
    (V1_25, "blocks.4", V2, "features.6"),
)

# How a pair is stitched: options of `stitchc.compile`, and for how many epochs it is tuned then.
Way = dict[str, Any]
TABLE: dict[str, Way] = {
    "1x1": {"adapter": "linear", "heal": "none"},
    "3x3": {"adapter": "conv3x3", "heal": "none"},
    "closed form": {"adapter": "conv3x3", "heal_sweeps": 1},
    "two sweeps": {"adapter": "conv3x3"},
    "default": {},
    "tuned": {"epochs": 1},
}
# What is tried to get a hybrid above the line between its parents.
WAYS: dict[str, Way] = {
    "closed form": {"heal_sweeps": 1},
    "three sweeps": {"heal_sweeps": 3},
    "own parent alone": {"heal_target": "back"},
    "classifier toward both": {"heal_target": "both"},
    "classifier toward the front's": {"heal_target": "front"},
    "mirror images": {"heal_flips": True},
    "front's last block": {"heal": "all"},
    "smaller adapter": {"adapter": "conv3x3"},
    "tuned": {"epochs": 1},
}


@dataclass
class Bench:
    """Networks, images and the record of one run."""

    nets: str
    train: str
    test: str
    labelled: int
    out: Path
    stop: float

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_text().splitlines()] if self.out.exists() else []

    def wanted(self, **key: Any) -> bool:
        """Whether a row is not in the record yet, and there is time for it."""
        return time.monotonic() < self.stop and not any(key.items() <= row.items() for row in self.rows())

    def add(self, row: dict[str, Any]) -> None:
        with self.out.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), file=sys.stderr, flush=True)

    def words(self, name: str) -> str:
        return name if ":" in name else f'{self.nets}:make("{name}")'

    def parent(self, name: str) -> None:
        if self.wanted(what="parent", model=name, test=self.test):
            top1 = 100 * stitchc.evaluate(self.words(name), self.test).top1
            macs = stitchc.cost(self.words(name)).prices[0]["macs"]
            self.add({"what": "parent", "model": name, "test": self.test, "top1": round(top1, 2), "macs": macs})

    def hybrid(self, what: str, pair: Pair, images: int, way: str, options: Way) -> None:
        key = {"what": what, "pair": list(pair), "images": images, "way": way, "test": self.test}
        if not self.wanted(**key):
            return
        front, leaves, back, enters = pair
        for name in (front, back):
            self.parent(name)
        options = dict(options)
        epochs = options.pop("epochs", 0)
        with TemporaryDirectory(prefix="stitchc-heal-") as scratch:
            folder = Path(scratch) / "hybrid"
            plan = stitchc.compile(
                self.words(front), self.words(back), front=leaves, back=enters, out=folder, onnx=not epochs,
                data=f"{self.train}limit={images}", probe_images=images, **options,
            )  # fmt: skip
            hybrid = plan.hybrid
            assert hybrid.price is not None and hybrid.verified is not None
            row = key | {
                "adapter": hybrid.adapters[0].name,
                "macs": hybrid.price["macs"],
                "seconds": round(plan.seconds.get("heal", 0.0), 2), "threads": torch.get_num_threads(),
                "verified": hybrid.verified.module_max_rel, "onnx": hybrid.verified.onnx_max_rel,
            }  # fmt: skip
            if healing := hybrid.healing:
                row |= {"agreement_before": healing.agreement, "agreement": healing.healed_agreement}
            if epochs:
                labelled = zoo.images(f"{self.train}limit={self.labelled}")
                stitchc.tune(folder, labelled, epochs=epochs, out=Path(scratch) / "tuned")
                folder, row["labelled"] = Path(scratch) / "tuned", self.labelled
            self.add(row | {"top1": round(100 * stitchc.evaluate(folder, self.test).top1, 2)})


def short(name: str) -> str:
    return "ViT" if ":" in name else name.removeprefix("cifar10_").removeprefix("in1k_")


def named(pair: Pair | list[str]) -> str:
    return f"{short(pair[0])} `{pair[1]}` to {short(pair[2])} `{pair[3]}`"


def markdown(rows: list[dict[str, Any]], what: str, test: str | None = None) -> str:
    """The rows of one kind, on one set of test images, as a table: a line a pair, top-1 in percent and the seconds of
    healing."""
    parents = {(row["model"], row["test"]): row["top1"] for row in rows if row["what"] == "parent"}
    found = [row for row in rows if row["what"] == what and test in (None, row["test"])]
    across = list(dict.fromkeys((r["images"], r["way"]) for r in found))
    if what == "curve":
        across.sort()
    cells = {(tuple(r["pair"]), r["images"], r["way"]): r for r in found}
    several = len({images for images, _ in across}) > 1
    titles = [f"{way}, {images:,}" if several and what != "curve" else str(images if several else way)
              for images, way in across]  # fmt: skip
    lines = [f"| hybrid | {' | '.join(titles)} | front, back |", "|---|" + "---:|" * (len(across) + 1)]
    for pair in dict.fromkeys(tuple(r["pair"]) for r in found):
        shown = []
        for key in across:
            row = cells.get((pair, *key))
            shown.append(
                "" if row is None else f"{row['top1']:.1f}" + (f" ({row['seconds']:.0f} s)" * bool(row["seconds"]))
            )
        test = next(r["test"] for r in found if tuple(r["pair"]) == pair)
        ends = ", ".join(f"{parents[name, test]:.1f}" for name in (pair[0], pair[2]))
        lines.append(f"| {named(pair)} | {' | '.join(shown)} | {ends} |")
    return "\n".join(lines) + "\n"


def figure(rows: list[dict[str, Any]], path: Path) -> None:
    """Top-1 against multiply-adds: the parents, the lines between them, and the hybrids of `pareto`."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "stitchc"
    import matplotlib.pyplot as plt

    hybrids = [row for row in rows if row["what"] == "pareto"]
    parents = {row["model"]: row for row in rows if row["what"] == "parent" and row["test"] == hybrids[0]["test"]}
    picture, axes = plt.subplots(figsize=(7, 4.5), constrained_layout=True)
    for a, b in dict.fromkeys(tuple(sorted((row["pair"][0], row["pair"][2]))) for row in hybrids):
        axes.plot([parents[n]["macs"] / 1e6 for n in (a, b)], [parents[n]["top1"] for n in (a, b)], ":", color="grey")
    for name in {name for row in hybrids for name in (row["pair"][0], row["pair"][2])}:
        axes.plot(parents[name]["macs"] / 1e6, parents[name]["top1"], "ks")
        axes.annotate(short(name), (parents[name]["macs"] / 1e6, parents[name]["top1"]), (4, 5),
                      textcoords="offset points")  # fmt: skip
    for images, marker in zip(sorted({row["images"] for row in hybrids}), "ox", strict=False):
        chosen = [row for row in hybrids if row["images"] == images and row["way"] == "default"]
        axes.plot(
            [r["macs"] / 1e6 for r in chosen], [r["top1"] for r in chosen], marker, label=f"healed, {images:,} images"
        )
    axes.set(xlabel="multiply-adds of one image (MMACs)", ylabel="top-1 (%)")
    axes.legend()
    picture.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("table", "curve", "pareto", "imagenet"))
    parser.add_argument("--nets", help="a Python file with make(name)")
    parser.add_argument("--vit", help="MODEL words of a ViT for CIFAR-10, for rows more in the table")
    parser.add_argument("--train", help="DATA to heal on, without limit")
    parser.add_argument("--test", help="labelled DATA to measure on")
    parser.add_argument("--images", type=int, nargs="*", help="to heal on")
    parser.add_argument("--labelled", type=int, default=10_000, help="images of --train for what is tuned")
    parser.add_argument("--ways", nargs="*", help="only these")
    parser.add_argument("--pairs", type=int, nargs="*", help="only these, by number")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, added to")
    parser.add_argument(
        "--markdown",
        action="store_true",
        help="print what is in --out (of --test), no more",
    )
    parser.add_argument("--figure", type=Path, help="draw what is in --out, and no more")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    given = parser.parse_args()
    if given.markdown or given.figure:
        rows = [json.loads(line) for line in given.out.read_text().splitlines()]
        if given.figure:
            figure(rows, given.figure)
        else:
            print(markdown(rows, given.what, given.test), end="")
        return
    train = given.train + ("&" if "?" in given.train else "?")
    bench = Bench(given.nets, train, given.test, given.labelled, given.out, time.monotonic() + given.seconds)
    pairs = list({"table": PAIRS, "curve": CURVE, "pareto": PARETO, "imagenet": IMAGENET}[given.what])
    if given.vit and given.what == "table":
        pairs += [(front, leaves, given.vit, enters) for front, leaves, enters in VIT]
        pairs += [(given.vit, "blocks.2", R20, "layer2.2")]
    counts = given.images or {"curve": COUNTS, "pareto": (512, 3000), "imagenet": (512,)}.get(given.what, (256,))
    ways = {"table": TABLE, "imagenet": TABLE, "pareto": {"default": {}}, "curve": {"default": {}}}[given.what]
    for number, pair in enumerate(pairs):
        if given.pairs is not None and number not in given.pairs:
            continue
        for images in counts:
            more = WAYS if given.what == "pareto" and number < 2 and images == counts[0] else {}
            for way, options in (ways | more).items():
                if given.ways is None or way in given.ways:
                    try:
                        bench.hybrid(given.what, pair, images, way, options)
                    except StitchError as error:
                        print(f"{named(pair)}, {way}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main()
