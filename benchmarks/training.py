"""What training makes of hybrids, and of their parents by the same recipe on the same images.

    python benchmarks/training.py --shared ../shared --out rows.jsonl --device cuda --jobs 12 --minutes 3
    python benchmarks/training.py --out rows.jsonl --table

CIFAR-10's resnet56 and resnet20, stitched both ways within 60 % of resnet56's multiply-adds, fitted, and fitted and
healed, on 512 images. With labels: all weights, two epochs on 20,000 images. Without: from resnet56 (`--preset
label-free`), on 3,000 images and on 512. Top-1 is of the 10,000 test images. A line of JSON is added to `--out` for
each training; the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from jobs import Job, run

BIG, SMALL = "cifar10_resnet56", "cifar10_resnet20"
#: Where the two are joined, in the order in which they run.
HYBRIDS = {
    "resnet56 into resnet20": (BIG, SMALL, "layer1.8", "layer1.2"),
    "resnet20 into resnet56": (SMALL, BIG, "layer2.2", "layer2.6"),
}
AUGMENT = ("crop", "flip")
LABELLED: dict[str, dict[str, Any]] = {
    f"{optimizer} {lr:g}{', from the better parent too' if distill else ''}": {
        "train": "all", "epochs": 2, "optimizer": optimizer, "lr": lr, "augment": AUGMENT, "weight_decay": decay,
        **({"distill": "better"} if distill else {}),
    }
    for (optimizer, lr, decay), distill in product(
        [("adamw", 3e-4, 0.01), ("adamw", 1e-3, 0.01), ("adamw", 3e-3, 0.01), ("sgd", 0.01, 5e-4), ("sgd", 0.03, 5e-4)],
        (False, True),
    )
}  # fmt: skip
UNLABELLED: dict[str, dict[str, Any]] = {
    f"{lr:g}, {epochs} epochs": {"preset": "label-free", "lr": lr, "epochs": epochs, "warmup": min(1.0, epochs / 4)}
    for lr, epochs in [(3e-4, 10), (5e-4, 30), (1e-3, 30), (5e-4, 60)]
}
#: Numbers of training images, and by which recipes they are trained on.
TRAININGS = {20_000: LABELLED, 3_000: UNLABELLED, 512: UNLABELLED}


@dataclass(frozen=True)
class Given:
    shared: str
    archive: str
    device: str
    limit: int | None


def tasks() -> Iterable[Job]:
    for place, (count, recipes) in enumerate(TRAININGS.items()):
        for order, recipe in enumerate(recipes):
            for network in (*HYBRIDS, SMALL, BIG):
                starts = ("healed", "fitted") if network in HYBRIDS and count == 20_000 else ("healed",)
                for late, start in enumerate(starts if network in HYBRIDS else ("as given",)):
                    if network != BIG or count == 20_000:
                        yield Job((late, order, place), {
                            "network": network, "start": start, "images": count, "recipe": recipe,
                        })  # fmt: skip


def work(given: tuple[dict[str, Any], Given]) -> dict[str, Any]:
    """In a process of its own: one training."""
    import stitchc

    task, where = given
    start = time.perf_counter()
    data = f"tar:{where.archive}?split=train&limit={min(task['images'], where.limit or task['images'])}"
    test = f"tar:{where.archive}?split=test" + (f"&limit={where.limit}" if where.limit else "")
    recipe = dict(TRAININGS[task["images"]][task["recipe"]])
    with TemporaryDirectory() as scratch:
        if task["network"] in HYBRIDS:
            subject = stitched(task, where, scratch)
        else:
            subject = words(task["network"], where)
            if task["images"] < 20_000 or recipe.pop("distill", None):
                recipe |= {"teacher": (words(BIG, where),)}
        ready = time.perf_counter()
        before = stitchc.evaluate(subject, images(test), device=where.device, trust=True).top1
        made = stitchc.tune(subject, images(data), out=f"{scratch}/tuned", device=where.device, trust=True, **recipe)
        trained = time.perf_counter()
        after = stitchc.evaluate(f"{scratch}/tuned", images(test), device=where.device, trust=True).top1
    return {
        "before": before, "after": after, "macs": made.record["cost"]["macs"],
        "seconds": {"stitched": round(ready - start, 1), "trained": round(trained - ready, 1)},
    }  # fmt: skip


@cache
def images(data: str) -> Any:
    """Decoded once in a process."""
    from stitchc import zoo

    return zoo.images(data)


def words(name: str, where: Given) -> str:
    return f'{where.shared}/nets.py:make("{name}")'


def stitched(task: dict[str, Any], where: Given, scratch: str) -> str:
    import stitchc

    front, back, cut, entered = HYBRIDS[task["network"]]
    stitchc.compile(
        words(front, where), words(back, where), direction="given", front=cut, back=entered,
        data=f"tar:{where.archive}?split=train&limit={min(512, where.limit or 512)}", device=where.device, onnx=False,
        heal="none" if task["start"] == "fitted" else "back", rivals="none", trust=True, out=f"{scratch}/stitched",
    )  # fmt: skip
    return f"{scratch}/stitched"


def key(task: dict[str, Any]) -> str:
    return json.dumps({name: task[name] for name in ("network", "start", "images", "recipe")}, sort_keys=True)


def table(rows: list[dict[str, Any]]) -> str:
    """A table for each number of images: a row a recipe, a column a network and where its training began."""
    lines = []
    for count in TRAININGS:
        own = [row for row in rows if row["images"] == count]
        columns = list(dict.fromkeys((row["network"], row["start"]) for row in own))
        columns.sort(key=lambda column: [*HYBRIDS, SMALL, BIG].index(column[0]))
        lines += [f"\n{count:,} images {'with' if TRAININGS[count] is LABELLED else 'without'} labels\n"]
        lines += ["| recipe | " + " | ".join(f"{name}, {start}" for name, start in columns) + " |"]
        lines += ["|---|" + "---:|" * len(columns)]
        first = {(row["network"], row["start"]): row for row in own}
        lines += ["| untrained | " + " | ".join(f"{100 * first[c]['before']:.1f}" for c in columns) + " |"]
        for recipe in TRAININGS[count]:
            found = {(row["network"], row["start"]): row for row in own if row["recipe"] == recipe}
            cells = [f"{100 * found[c]['after']:.1f}" if c in found else "" for c in columns]
            lines += [f"| {recipe} | " + " | ".join(cells) + " |"] if found else []
        lines += ["| M MACs | " + " | ".join(f"{first[c]['macs'] / 1e6:.1f}" for c in columns) + " |"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", default="../shared/models", help="the folder of nets.py and its weights")
    parser.add_argument("--archive", default="../shared/data/cifar10_jpeg.tar.xz", help="CIFAR-10 as train/ and test/")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--limit", type=int, help="of images at most, to try it")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", action="store_true", help="print what is in --out, train nothing")
    given = parser.parse_args()
    rows = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.exists() else []
    if not given.table:
        where = Given(str(Path(given.shared).resolve()), str(Path(given.archive).resolve()), given.device, given.limit)
        done = {key(row) for row in rows}
        waiting = [Job(job.urgency, (job.task, where)) for job in tasks() if key(job.task) not in done]

        def finished(job: Job, found: Any, failure: str) -> list[Job]:
            task = job.task[0]
            if failure:
                print(f"{task}: {failure}", file=sys.stderr, flush=True)
                return []
            rows.append({**task, **found})
            with given.out.open("a") as lines:
                lines.write(json.dumps(rows[-1]) + "\n")
            print(json.dumps(rows[-1]), flush=True)
            return []

        left = run(work, waiting, finished, processes=given.jobs, seconds=60 * given.minutes)
        print(f"{left} trainings are left", file=sys.stderr)
    print(table(rows))


if __name__ == "__main__":
    main()
