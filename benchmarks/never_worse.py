"""Is what compile recommends ever worse than what one had already? Twelve pairs of trained networks, four budgets.

    python benchmarks/never_worse.py --shared ../shared --out rows.jsonl --jobs 12 --minutes 7
    python benchmarks/never_worse.py --out rows.jsonl --table docs/never_worse.md     # the table of what is there

A row is a pair of networks and a budget in multiply-adds, of the larger one's. The default compile recommends by what
it sees on its probe images alone: a stitch, or a rival. The best stitch of the other direction is made beside it. Then
everything is measured on test images that nothing was fitted on: of CIFAR-10 10,000, of ImageNet the 488 that are not
among the 512 to probe with. Networks as somebody gave them, at any input size, are measured once for all rows.

Each job is a line of JSON when it is done, the cheapest rows first. The same command goes on where it was stopped, on
another machine too. Jobs run in processes of one thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from jobs import Job, run
from never_worse_table import page, read

CIFAR = ("cifar10_resnet56", "cifar10_resnet20", "cifar10_tiniest", "cifar10_resnet8_mlperf_tiny")
PAIRS = {
    "cifar10": [(a, b) for k, a in enumerate(CIFAR) for b in CIFAR[k + 1 :]],
    "imagenet": [
        ("in1k_efficientnet_lite0", "in1k_mobilenetv1_050_qat"),
        ("in1k_mobilenet_v2_100_qat", "in1k_mobilenetv1_050_qat"),
        ("in1k_efficientnet_lite0", "in1k_mobilenetv1_025"),
        ("in1k_mobilenet_v2_100_qat", "in1k_squeezenet1_1_torchvision"),
        ("in1k_efficientnet_lite0", "in1k_mobilenet_v2_100_qat"),
        ("in1k_efficientnet_lite2", "in1k_efficientnet_lite0"),
    ],
}
BUDGETS = (50, 65, 35, 80)  # in percent, in the order in which they are tried for all pairs
ARCHIVES = {"cifar10": "cifar10_jpeg.tar.xz", "imagenet": "imagenet1k_samples_256.tar"}
PROBED = {"cifar10": (512, 3000), "imagenet": (512,)}  # numbers of probe images
LEFT_OUT = 512  # of ImageNet's images: the others are to measure on

# In which order: networks as given are quick and every row needs them, ImageNet takes longest.
GIVEN, ROWS, OTHER, IMAGENET, IMAGENET_OTHER, MORE_IMAGES = range(6)

Task = dict[str, Any]


def tasks(sets: Iterable[str], counts: dict[str, tuple[int, ...]]) -> Iterator[Job]:
    """What is to be done at first; what a row asks for beside it follows from what it found."""
    for data in sets:
        for a, b in PAIRS[data]:
            for name in (a, b):
                yield Job((GIVEN, 0), {"do": "given", "data": data, "model": name, "side": None})
        for probed in counts[data]:
            urgency = IMAGENET if data == "imagenet" else ROWS if probed == counts[data][0] else MORE_IMAGES
            for place, (budget, (a, b)) in enumerate(product(BUDGETS, PAIRS[data])):
                task = {"do": "row", "data": data, "models": [a, b], "budget": budget, "probed": probed}
                yield Job((urgency, place), task)


def following(job: Job, found: dict[str, Any]) -> Iterator[Job]:
    """What a row asks for: its other direction, and its rivals as they were given."""
    task = job.task
    if task["do"] != "row":
        return
    if len(task["models"]) == 2:
        urgency = {ROWS: OTHER, IMAGENET: IMAGENET_OTHER}.get(job.urgency[0], MORE_IMAGES)
        yield Job((urgency, *job.urgency[1:]), {**task, "do": "other", "front": found["stitch"]["back"]})
    for rival in found["rivals"]:
        if rival["given"]:
            given = {"do": "given", "data": task["data"], "model": rival["model"], "side": rival["side"]}
            yield Job((GIVEN, 1), given)


def key(task: Task) -> str:
    return json.dumps(task, sort_keys=True)


# -- in a process of its own -------------------------------------------------------------------------------------------


def work(given: tuple[Task, str, str, int | None]) -> dict[str, Any]:
    """given: a task; the folder of the networks and of the images; the device; and how many test images
    at most."""
    task, shared, device, limit = given
    start, cpu = time.perf_counter(), time.process_time()
    found = {"given": as_given, "row": row, "other": other}[task["do"]](task, Path(shared), device, limit)
    test = images(task["data"], Path(shared), None)
    spent = {"wall": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    return {
        **found,
        "tested": min(limit or len(test), len(test)),
        "seconds": {**found.get("seconds", {}), **{name: round(value, 1) for name, value in spent.items()}},
    }


def as_given(task: Task, shared: Path, device: str, limit: int | None) -> dict[str, Any]:
    from stitchc import zoo

    model = zoo.load(words(task["model"], shared))
    if task["side"] is not None:
        model = model.at((model.input.size[0], task["side"], task["side"]))
    return {"top1": top1(model.network, model.input, task, shared, device, limit)}


def row(task: Task, shared: Path, device: str, limit: int | None) -> dict[str, Any]:
    """The default compile: its stitch, what it was compared to, and what it recommends."""
    plan = compiled(task, shared, device, direction="both")
    best = plan.recommended
    rivals = []
    for rival in plan.rivals:
        given = rival.kind != "parts-left-out" and rival.hybrid is not None
        measured = None
        if rival.hybrid is not None and not given:
            measured = top1(rival.hybrid.network, rival.model.input, task, shared, device, limit)
        rivals.append({
            "kind": rival.kind, "model": named(rival.model, task), "given": given,
            "side": None if rival.kind == "parent" else rival.model.input.size[-1],
            "within": rival.within, "macs": rival.price.get("macs"), "score": rival.score, "top1": measured,
            "reason": rival.reason,
        })  # fmt: skip
    return {
        "stitch": stitch(plan, task, shared, device, limit) | {"score": best.score},
        "rivals": rivals, "recommended": best.rival, "lead": best.lead, "error": best.error,
        "prices": {name: price["macs"] for name, price in zip(task["models"], plan.prices, strict=False)},
        "limit": plan.budget["macs"], "seconds": passes(plan),
    }  # fmt: skip


def other(task: Task, shared: Path, device: str, limit: int | None) -> dict[str, Any]:
    """The best stitch of the direction that the default compile did not take."""
    first = [name for name in task["models"] if name == task["front"]]
    rest = [name for name in task["models"] if name != task["front"]]
    plan = compiled({**task, "models": first + rest}, shared, device, direction="given", rivals="none")
    return {"stitch": stitch(plan, task, shared, device, limit), "seconds": passes(plan)}


def compiled(task: Task, shared: Path, device: str, **options: Any) -> Any:
    import stitchc

    probed = images(task["data"], shared, task["probed"])
    models = [words(name, shared) for name in task["models"]]
    return stitchc.compile(
        *models, budget={"macs": f"{task['budget']}%"}, data=probed, onnx=False, device=device, **options
    )


def stitch(plan: Any, task: Task, shared: Path, device: str, limit: int | None) -> dict[str, Any]:
    from stitchc.documents import label

    hybrid = plan.hybrid
    ends = [plan.cuts[end.model].cuts[end.cut] for seam in hybrid.chain.seams() for end in (seam.leaves, seam.enters)]
    front, back = (named(plan.models[f.model], task) for f in (hybrid.chain.front, hybrid.chain.back))
    return {
        "front": front, "back": back, "cuts": [label(cut) for cut in ends],
        "side": plan.input_of(hybrid.chain).size[-1], "adapter": hybrid.chain.adapters[0],
        "macs": hybrid.price["macs"], "params": hybrid.price["params"],
        "top1": top1(hybrid.network, plan.input_of(hybrid.chain), task, shared, device, limit),
    }  # fmt: skip


def passes(plan: Any) -> dict[str, float]:
    return {name: round(seconds, 1) for name, seconds in plan.seconds.items()}


def named(model: Any, task: Task) -> str:
    """Which of the networks of the task a model is."""
    return next(name for name in task["models"] if f'"{name}"' in (model.source or ""))


def words(name: str, shared: Path) -> str:
    return f'{shared}/models/nets.py:make("{name}")'


def top1(network: Any, spec: Any, task: Task, shared: Path, device: str, limit: int | None) -> float:
    """In percent, on the test images."""
    from stitchc.evaluate import accuracy
    from stitchc.passes.data.some_images import Part

    test = images(task["data"], shared, None)
    test = Part(test, 0, min(limit, len(test))) if limit else test
    return round(100 * accuracy(network, spec, test, device=device).top1, 2)


@cache
def images(data: str, shared: Path, probed: int | None) -> Any:
    """So many images to probe with, or with None those to measure on. This process keeps them decoded."""
    from stitchc.passes.data.some_images import Part

    if data == "cifar10":
        return unpacked("test") if probed is None else Part(unpacked("train"), 0, probed)
    whole = photos(shared)
    return Part(whole, LEFT_OUT, len(whole)) if probed is None else Part(whole, 0, min(probed, LEFT_OUT))


@cache
def photos(shared: Path) -> Any:
    from stitchc import zoo

    return zoo.images(f"tar:{shared}/data/{ARCHIVES['imagenet']}?labels=prefix")


# -- images of CIFAR-10: unpacking them takes longer than decoding -----------------------------------------------------


@cache
def unpacked(name: str) -> Any:
    from stitchc.zoo.arrays import from_arrays
    from stitchc.zoo.image_sets import ImageSet

    source = from_arrays(folder() / f"{name}.npz")
    return ImageSet(f"{ARCHIVES['cifar10']}, {name}", source, range(source.count))


def unpack(shared: Path) -> None:
    """Writes what processes share: the test images, and the largest seeded sample of the training images, whose first
    are the smaller ones; decoded."""
    folder().mkdir(parents=True, exist_ok=True)
    archive = shared / "data" / ARCHIVES["cifar10"]
    wanted = {"train": f"split=train&limit={max(PROBED['cifar10'])}", "test": "split=test"}
    missing = [name for name in wanted if not (folder() / f"{name}.npz").exists()]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: unpack_one(f"tar:{archive}?{wanted[name]}", folder() / f"{name}.npz"), missing))


def unpack_one(words: str, target: Path) -> None:
    from stitchc import zoo
    from stitchc.passes.data.model import InputSpec

    found = zoo.images(words)
    pixels = found.pixels(range(len(found)), InputSpec((3, 32, 32), (0.0,) * 3, (1.0,) * 3))
    part = target.with_suffix(".part.npz")
    np.savez(part, images=pixels.permute(0, 2, 3, 1).contiguous().numpy(), labels=found.labels.numpy())
    part.rename(target)


def folder() -> Path:
    import tempfile

    return Path(tempfile.gettempdir()) / "never-worse-cifar10"


# -- the command -------------------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, help="folder with models/nets.py and the archives in data/")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, added to")
    parser.add_argument("--table", type=Path, help="write the table there, below the text of the page")
    parser.add_argument("--jobs", type=int, default=2, help="processes [2]")
    parser.add_argument("--minutes", type=float, default=600, help="stop after so long")
    parser.add_argument("--device", default="cpu", help="where to compute [cpu]")
    parser.add_argument("--sets", nargs="+", choices=list(PAIRS), default=list(PAIRS))
    parser.add_argument("--pairs", type=int, help="so many pairs of each set, from the first")
    parser.add_argument("--budgets", type=int, nargs="+", default=BUDGETS, help="in percent")
    parser.add_argument("--probed", type=int, nargs="+", help="numbers of probe images [512 and, of CIFAR-10, 3000]")
    parser.add_argument("--test-images", type=int, help="so many test images, for a trial")
    given = parser.parse_args()
    if given.shared:
        measure(given)
    if given.table:
        before = given.table.read_text(encoding="utf-8") if given.table.exists() else ""
        given.table.write_text(page(read(given.out), before), encoding="utf-8")


def measure(given: argparse.Namespace) -> None:
    begun = time.monotonic()
    shared = given.shared.resolve()
    counts = {data: tuple(given.probed or probed) for data, probed in PROBED.items()}
    if "cifar10" in given.sets:
        unpack(shared)
    known = {key(line["task"]): line for line in read(given.out) if "failed" not in line}
    asked: set[str] = set()

    def new(jobs: Iterable[Job]) -> Iterator[Job]:
        """Those that are wanted and not done; of those that are, what they ask for."""
        for job in jobs:
            if key(job.task) in asked or not wanted(job.task, given):
                continue
            asked.add(key(job.task))
            if key(job.task) in known:
                yield from new(following(job, known[key(job.task)]))
            else:
                yield job

    def done(job: Job, found: Any, failed: str) -> Iterable[Job]:
        task = job.task[0]
        line = {"task": task, **(found or {"failed": failed})}
        with given.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        said = failed or (found["stitch"]["top1"] if "stitch" in found else found["top1"])
        print(f"{time.monotonic() - begun:6.0f} s  {' '.join(map(str, task.values()))}: {said}", file=sys.stderr)
        return [] if failed else packed(new(following(Job(job.urgency, task), found)))

    def packed(jobs: Iterable[Job]) -> list[Job]:
        return [Job(job.urgency, (job.task, str(shared), given.device, given.test_images)) for job in jobs]

    seconds = 60 * given.minutes - (time.monotonic() - begun)
    left = run(work, packed(new(tasks(given.sets, counts))), done, processes=given.jobs, seconds=seconds)
    print(f"{left} jobs are left" if left else "all is done", file=sys.stderr)


def wanted(task: Task, given: argparse.Namespace) -> bool:
    """Whether a task is within the slice that the options name."""
    pairs = PAIRS[task["data"]][: given.pairs]
    if task["do"] == "given":
        return any(task["model"] in pair for pair in pairs)
    return tuple(task["models"]) in pairs and task["budget"] in given.budgets


if __name__ == "__main__":
    main()
