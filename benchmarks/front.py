"""The front of a search over several budgets, untrained and after training, beside the models it is made of.

    python benchmarks/front.py run --shared ../shared/models --probe 'npz:train.npz?limit=512' \\
        --train 'npz:train.npz?limit=5000' --test npz:test.npz --out front.jsonl
    python benchmarks/front.py show --out front.jsonl --figure front.svg

`run` finds the best chain of CIFAR-10's four networks under each of eight budgets (`stitchc search --sweep`), makes
each with `stitchc compile --chain`, and measures it, the networks, and the two largest of them on smaller images, on
the same test images; then trains all weights of each by one recipe (AdamW 0.0003, two epochs, crops and flips) and
measures again. A line of JSON is added to `--out` for each network; the same command goes on where it was stopped.
`show` prints the table and draws the figure.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

NETWORKS = ("cifar10_resnet56", "cifar10_resnet20", "cifar10_tiniest", "cifar10_resnet8_mlperf_tiny")
SIZES = {"cifar10_resnet56": (28, 24, 20), "cifar10_resnet20": (28, 24)}  # pixels a side, where their own are 32
SWEEP = "macs=20%..90%/8"
RECIPE: dict[str, Any] = {
    "train": "all", "epochs": 2, "optimizer": "adamw", "lr": 3e-4, "augment": ("crop", "flip"),
}  # fmt: skip


@dataclass
class Run:
    given: argparse.Namespace

    def words(self, name: str) -> str:
        return f'{self.given.shared}/nets.py:make("{name}")'

    @cached_property
    def images(self) -> tuple[Any, Any, Any]:
        """Probe, training and test images, decoded once."""
        from stitchc import zoo

        return zoo.images(self.given.probe), zoo.images(self.given.train), zoo.images(self.given.test)

    def front(self) -> list[dict[str, Any]]:
        """The chain of each budget, each once, with the budgets in millions of multiply-adds that it is the best of."""
        import stitchc
        from stitchc.passes.stitch.stated import words_of
        from stitchc.searches.sweep import chosen

        found = stitchc.search(
            *map(self.words, NETWORKS), data=self.images[0], sweep=SWEEP, effort="low", trust=True,
            device=self.given.device,
        )  # fmt: skip
        budgets: dict[str, list[float]] = {}
        for budget, k in zip(found.budgets, chosen(found.chains, found.budgets), strict=True):
            if k is not None:
                budgets.setdefault(words_of(found.pool, found.chains[k].chain), []).append(budget["macs"])
        return [{"kind": "chain", "network": words, "budgets": limits} for words, limits in budgets.items()]

    def measured(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row with multiply-adds, and top-1 untrained and trained."""
        import stitchc

        with TemporaryDirectory() as scratch:
            if row["kind"] == "chain":
                stitchc.compile(
                    *map(self.words, NETWORKS), chain=row["network"], data=self.images[0], rivals="none", onnx=False,
                    trust=True, device=self.given.device, out=f"{scratch}/made",
                )  # fmt: skip
                subject = f"{scratch}/made"
            else:
                subject = self.words(row["network"]) + (
                    f"?input=3x{row['size']}x{row['size']}" if "size" in row else ""
                )
            before = stitchc.evaluate(subject, self.images[2], device=self.given.device, trust=True)
            made = stitchc.tune(
                subject, self.images[1], out=f"{scratch}/tuned", device=self.given.device, trust=True, **RECIPE
            )
            after = stitchc.evaluate(f"{scratch}/tuned", self.images[2], device=self.given.device, trust=True)
        return {**row, "macs": made.record["cost"]["macs"], "untrained": before.top1, "trained": after.top1}


def run(given: argparse.Namespace) -> None:
    work = Run(given)
    rows = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    wanted = [{"kind": "model", "network": name} for name in NETWORKS]
    wanted += [{"kind": "smaller", "network": n, "size": size} for n, sizes in SIZES.items() for size in sizes]
    done = [key(row) for row in rows]
    chains = [row for row in rows if row["kind"] == "front"]
    if not chains:
        chains = work.front()
        append(given.out, {"kind": "front", "chains": chains})
    else:
        chains = chains[0]["chains"]
    for row in [*chains, *wanted]:
        if key(row) not in done:
            append(given.out, work.measured(row))


def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["kind"], row.get("network"), row.get("size")


def append(path: Path, row: Mapping[str, Any]) -> None:
    with path.open("a") as lines:
        lines.write(json.dumps(row) + "\n")
    print(json.dumps(row), flush=True)


def line(models: list[dict[str, Any]], what: str, macs: float) -> float | None:
    """Top-1 on the straight line between those of the models, by cost, that no cheaper one is as good as; None beyond
    its ends."""
    ends: list[dict[str, Any]] = []
    for model in sorted(models, key=lambda row: row["macs"]):
        if not ends or model[what] > ends[-1][what]:
            ends.append(model)
    for a, b in pairwise(ends):
        if a["macs"] <= macs <= b["macs"]:
            return a[what] + (b[what] - a[what]) * (macs - a["macs"]) / (b["macs"] - a["macs"])
    return None


def table(rows: list[dict[str, Any]]) -> str:
    models = [row for row in rows if row["kind"] == "model"]
    text = ["| budget, M MACs | network | MACs (M) | untrained | over the line | trained | over the line |"]
    text += ["|---:|---|---:|---:|---:|---:|---:|"]
    for row in sorted((row for row in rows if row["kind"] != "front"), key=lambda row: row["macs"]):
        cells = []
        for what in ("untrained", "trained"):
            there = line(models, what, row["macs"])
            over = "" if there is None or row["kind"] == "model" else f"{100 * (row[what] - there):+.1f}"
            cells += [f"{100 * row[what]:.1f} %", over]
        budgets = ", ".join(f"{limit / 1e6:.1f}" for limit in row.get("budgets", ()))
        text.append(f"| {budgets} | {named(row)} | {row['macs'] / 1e6:.1f} | {' | '.join(cells)} |")
    return "\n".join(text)


def named(row: Mapping[str, Any]) -> str:
    if row["kind"] == "chain":
        return f"`{row['network']}`"
    name = row["network"].removeprefix("cifar10_")
    return f"{name} on {row['size']}x{row['size']}" if "size" in row else f"**{name}**"


def figure(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "stitchc"
    import matplotlib.pyplot as plt

    picture, pair = plt.subplots(1, 2, figsize=(9, 4), sharey=True, constrained_layout=True)
    looks = {"chain": ("o", "chains of the search"), "smaller": ("x", "models on smaller images")}
    models = sorted((row for row in rows if row["kind"] == "model"), key=lambda row: row["macs"])
    for axes, what in zip(pair, ("untrained", "trained"), strict=True):
        costs = [row["macs"] / 1e6 for row in models]
        axes.plot(costs, [100 * row[what] for row in models], "ks", label="the models")
        ends = [row for row in models if line(models, what, row["macs"]) in (row[what], None)]
        axes.plot([row["macs"] / 1e6 for row in ends], [100 * row[what] for row in ends], ":", color="grey")
        for row in models:
            axes.annotate(named(row).strip("*"), (row["macs"] / 1e6, 100 * row[what]), (4, -12),
                          textcoords="offset points")  # fmt: skip
        for kind, (marker, label) in looks.items():
            own = [row for row in rows if row["kind"] == kind]
            axes.plot([row["macs"] / 1e6 for row in own], [100 * row[what] for row in own], marker, label=label)
        axes.set(xlabel="multiply-adds of one image (M)", title=what)
    pair[0].set(ylabel="top-1 (%)")
    handles, labels = pair[0].get_legend_handles_labels()
    picture.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    picture.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=("run", "show"))
    parser.add_argument("--shared", default="../shared/models", help="the folder of nets.py and its weights")
    for name in ("probe", "train", "test"):
        parser.add_argument(f"--{name}", help="images, as --data of stitchc takes them")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    if given.work == "run":
        given.shared = str(Path(given.shared).resolve())
        run(given)
    else:
        rows = [json.loads(text) for text in given.out.read_text().splitlines()]
        print(table(rows))
        if given.figure:
            figure(rows, given.figure)


if __name__ == "__main__":
    main()
