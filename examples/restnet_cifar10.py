"""ReStNet's experiments on CIFAR-10 (arXiv 2506.09066, Tables I and III): parents trained, stitched, healed, tuned.

    python examples/restnet_cifar10.py --data 'cifar10:DIR?split=train' --test 'cifar10:DIR?split=test' --out runs/
    python examples/restnet_cifar10.py --data ... --test ... --out runs/ --minutes 6 --processes 3   # what fits in it
    python examples/restnet_cifar10.py --quick --out quick/     # the same program on the embedded digits

Jobs are done in the order of what they tell: the parents; every row of the tables fitted, healed, and with its adapter
tuned as in the paper; the parents trained on for as long; what similarity and what a probe choose within one budget, in
both directions; the back tuned too; and what could be had instead. Each is a line of JSON in OUT/rows.jsonl when it is
done. A job that fails is a line with its reason. The same command goes on where it was stopped.

The paper trains 150 epochs at its preset `restnet-cnn`. With --minutes the trainings are as long as fits: the speed of
each parent is measured first, and parents are trained from scratch at a higher rate with a warm-up. --processes share
the jobs: one alone leaves a card idle while it stitches.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from restnet_jobs import Job, Record, do, do_together
from restnet_rows import ORDER, PARENTS, ROWS, Line, Row, page

import stitchc
from stitchc import tuning, zoo
from stitchc.artifact import read
from stitchc.passes.data.some_images import Part
from stitchc.report.progress import progress_on

NETS = Path(__file__).with_name("restnet_nets.py")
BATCH = 256  # of the preset
# From scratch, in tens of epochs instead of 150.
SHORT = {"lr": 0.05, "weight_decay": 0.001, "warmup": 2.0}
# Of the time that is given: for training the parents, and for all other training; what is left is for all else.
PARENTS_SHARE, TUNING_SHARE = 0.28, 0.40
# All other training, in epochs of the mean parent for each of its epochs: of every row the adapter, of some the back.
TUNINGS = 16
PROBED = 512  # images to fit, heal and choose on
BUDGETS = (50, 65)  # in percent of ResNet34's multiply-adds, for the choices
CHOSEN_BETWEEN = ("ResNet34", "VGG11")


def main() -> None:
    parser = argparse.ArgumentParser(description="ReStNet's tables on CIFAR-10: the paper's accuracy beside ours.")
    parser.add_argument("--data", help="DATA to train on, such as cifar10:DIR?split=train or folder:DIR?split=train")
    parser.add_argument("--test", help="DATA to measure on")
    parser.add_argument("--out", type=Path, default=Path("restnet"), help="folder of networks, artifacts and rows")
    parser.add_argument("--minutes", type=float, help="stop after so long, and train for as many epochs as fit in it")
    parser.add_argument("--epochs", type=int, help="of training the parents [150, or what fits]")
    parser.add_argument("--tune-epochs", type=int, help="of every other training [150, or what fits]")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", help="number format to train in [bf16 on a card]")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare images")
    parser.add_argument("--processes", type=int, default=1, help="that share the jobs and the device [1]")
    parser.add_argument("--share", type=int, help=argparse.SUPPRESS)  # which of the processes this is
    parser.add_argument("--rows", type=int, nargs="+", default=ORDER, help="numbers of the rows, from 0")
    parser.add_argument("--table", type=Path, help="also write the page to this file")
    parser.add_argument("--quick", action="store_true", help="thin networks, embedded digits, one epoch, two rows")
    given = parser.parse_args()
    if given.quick:
        given.data, given.test = "digits?limit=160", "digits?split=test&limit=100"
        given.epochs, given.tune_epochs, given.rows = 1, 1, [4, 8]
    elif not (given.data and given.test):
        parser.error("--data and --test name the images; --quick needs none")
    given.out.mkdir(parents=True, exist_ok=True)
    record = Record(given.out / "rows.jsonl")
    jobs = Experiment(given, record).jobs()
    if given.share is not None:
        do(jobs, record, given.share, given.processes, given.minutes)
        return
    do_together(jobs, record, given.processes, given.minutes)
    text = page(record.lines())
    print(text)
    if given.table:
        given.table.write_text(text, encoding="utf-8")


class Experiment:
    """What was asked for, and the part of it that this process does."""

    def __init__(self, given: argparse.Namespace, record: Record):
        self.given, self.out, self.record = given, given.out, record
        self.thin, self.probed = (16, 64) if given.quick else (1, PROBED)
        self.rows = [ROWS[index] for index in given.rows]
        self.names = [name for name in PARENTS if any(name in (row.front, row.back) for row in self.rows)]

    def jobs(self) -> Iterator[Job]:
        """In the order in which they are done."""
        _ = self.train, self.test  # so that all processes open them at the same time
        epochs, parents = ("epochs", "all"), {name: ("parent", name) for name in self.names}
        yield Job(*epochs, 0, (), self.epochs_that_fit)
        for number, name in enumerate(reversed(self.names)):
            yield Job("parent", name, number, (epochs,), lambda name=name: self.parent(name))
        for number, row in enumerate(self.rows):
            both = (parents[row.front], parents[row.back])
            yield Job("fitted", row.name, number, both, lambda row=row: self.stitched(row, "none", "fitted"))
            yield Job("healed", row.name, number, both, lambda row=row: self.stitched(row, "back", "healed"))
            need = (("fitted", row.name),)
            yield Job("adapter tuned", row.name, number, need, lambda row=row: self.tuned(row, "fitted", "adapter"))
        for number, name in enumerate(self.names):
            yield Job("parent trained on", name, number, (parents[name],), lambda name=name: self.trained_on(name))
        choices = list(self.choices()) if set(CHOSEN_BETWEEN) <= set(self.names) else []
        middle = len(self.rows) // 2
        yield from (*choices[: len(choices) // 2], *self.last(self.rows[:middle]))
        yield from (*choices[len(choices) // 2 :], *self.last(self.rows[middle:]))

    def last(self, rows: list[Row]) -> Iterator[Job]:
        for number, row in enumerate(rows):
            need = (("healed", row.name),)
            yield Job("back tuned", row.name, number, need, lambda row=row: self.tuned(row, "healed", "back"))
        for number, row in enumerate(rows, start=1):
            yield Job("rivals", row.name, number, (("fitted", row.name),), lambda row=row: self.rivals(row))
            yield Job(
                "rival trained", row.name, number, (("rivals", row.name),), lambda row=row: self.rival_trained(row)
            )

    def choices(self) -> Iterator[Job]:
        parents = tuple(("parent", name) for name in CHOSEN_BETWEEN)
        told = [
            (budget, direction, rank)
            for budget in BUDGETS[: 1 if self.given.quick else None]
            for direction in ("slow-to-fast", "fast-to-slow")
            for rank in ("cka", "cascade")
        ]
        for number, what in enumerate(told):
            name = "-".join(map(str, what))
            yield Job("choice", name, number, parents, lambda name=name, what=what: self.choice(name, *what))
            need = (("choice", name),)
            yield Job(
                "choice tuned",
                name,
                number,
                need,
                lambda name=name: self.tune(f"choice-{name}-fitted", "adapter", f"choice-{name}-tuned"),
            )

    # -- images --------------------------------------------------------------------------------------------------------

    @cached_property
    def train(self) -> Any:
        return zoo.images(self.given.data)

    @cached_property
    def test(self) -> Any:
        return zoo.images(self.given.test, measuring=True)

    @cached_property
    def probe(self) -> Any:
        """Images to fit on: the first of the training images in their seeded order, as `limit` would give them."""
        return Part(self.train, 0, min(self.probed, len(self.train)))

    # -- trainings -----------------------------------------------------------------------------------------------------

    def epochs_that_fit(self) -> Line:
        """How long to train: the parents, and all else. A training step of each parent is timed where that follows from
        the minutes."""
        first, later = self.given.epochs, self.given.tune_epochs
        speeds: dict[str, float] = {}
        if self.given.minutes and not (first and later):
            speeds = {name: self.seconds_an_epoch(name) for name in self.names}
            once, left = sum(speeds.values()), 60 * self.given.minutes
            first = first or min(40, max(3, int(PARENTS_SHARE * left / once)))
            later = later or min(20, max(1, int(TUNING_SHARE * left / (TUNINGS * once / len(speeds)))))
        return {
            "parents": first or 150, "tuning": later or 150, "seconds_an_epoch": speeds, "top1": None,
            "precision": self.precision, "images": len(self.train), "tested": len(self.test),
            "probed": len(self.probe), **machine(self.given.device),
        }  # fmt: skip

    def seconds_an_epoch(self, name: str) -> float:
        """What an epoch of training takes, from some steps on noise; a fifth more for images and measuring."""
        import torch

        from stitchc.device import resolve

        device, steps = resolve(self.given.device), 0
        layout = torch.channels_last if device.type == "cuda" else torch.contiguous_format
        network = zoo.load(self.words(name, "")).network.to(device, memory_format=layout).train()
        images = torch.randn(BATCH, 3, 32, 32, device=device).contiguous(memory_format=layout)
        optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
        start = time.monotonic()
        while steps < 4 or time.monotonic() - start < 1.5:
            with torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bf16"):
                loss = network(images).float().logsumexp(1).mean()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            loss.item()  # waits for the device
            steps += 1
            if steps == 3:  # what came before was also setting up
                start = time.monotonic()
        return 1.2 * (time.monotonic() - start) / (steps - 3) * len(self.train) / BATCH

    def settings(self, goes_on: bool) -> dict[str, Any]:
        """Of a training. goes_on: one that goes on from trained weights, at the paper's rate."""
        epochs = self.record.get("epochs", "all")["tuning" if goes_on else "parents"]
        short = {} if goes_on or epochs > 60 else {**SHORT, "warmup": min(SHORT["warmup"], epochs / 4)}
        return {
            "preset": "restnet-cnn", "epochs": epochs, "device": self.given.device, "workers": self.given.workers,
            "precision": self.precision, "progress": PROGRESS, "batch": 32 if self.given.quick else BATCH, **short,
        }  # fmt: skip

    @cached_property
    def precision(self) -> str:
        from stitchc.device import resolve

        return self.given.precision or ("bf16" if resolve(self.given.device).type == "cuda" else "fp32")

    def words(self, name: str, weights: str | Path) -> str:
        return f'{NETS}:make("{name}", "{weights}", 10, {self.thin})'

    def model(self, name: str) -> str:
        """The MODEL words of a trained parent."""
        return self.words(name, self.out / f"{name}.pt")

    def parent(self, name: str) -> Line:
        settings = self.settings(goes_on=False)
        if not (self.out / f"{name}.pt").exists():
            tuning.train(self.words(name, ""), self.train, self.out / f"{name}.pt", **settings)
        price = stitchc.cost(self.model(name)).prices[0]
        return {"top1": self.top1(self.model(name)), "epochs": settings["epochs"], **amounts(price)}

    def trained_on(self, name: str) -> Line:
        """A parent, trained further as the hybrids are: with all of its weights."""
        weights, settings = self.out / f"{name}-on.pt", self.settings(goes_on=True)
        if not weights.exists():
            tuning.train(self.model(name), self.train, weights, **settings)
        return {"top1": self.top1(self.words(name, weights)), "epochs": settings["epochs"]}

    def tuned(self, row: Row, start: str, train: str) -> Line:
        return self.tune(f"{row.name}-{start}", train, f"{row.name}-{train}-tuned")

    def tune(self, start: str, train: str, name: str) -> Line:
        source, target = self.out / start, self.out / name
        settings = self.settings(goes_on=True)
        if not target.exists():
            stitchc.tune(source, self.train, train=train, out=target, **settings)
        told = read(target)["tuned"][-1]
        return {"top1": self.top1(target), "trained_params": told["trained_params"], "epochs": told["epochs"]}

    # -- stitches ------------------------------------------------------------------------------------------------------

    def compiled(self, first: str, second: str, **options: Any) -> Any:
        return stitchc.compile(
            self.model(first), self.model(second), adapter="conv3x3", data=self.probe, device=self.given.device,
            onnx=False, progress=PROGRESS, **{"rivals": "none", **options},
        )  # fmt: skip

    def stitched(self, row: Row, heal: str, way: str) -> Line:
        plan = self.compiled(
            row.front, row.back, **cuts(row), heal=heal, out=self.out / f"{row.name}-{way}", force=True
        )
        return {
            "top1": self.measured(plan.hybrid.network, plan.input_of(plan.hybrid.chain)),
            **amounts(plan.hybrid.price),
        }

    def choice(self, name: str, budget: int, direction: str, rank: str) -> Line:
        """What a rule chooses within a budget, fitted and healed."""
        limit = {"macs": f"{budget}%"}
        healed = self.compiled(*CHOSEN_BETWEEN, budget=limit, direction=direction, rank=rank)
        chain = healed.hybrid.chain
        (seam,) = chain.seams()
        ends = [healed.cuts[end.model].cuts[end.cut].path for end in (seam.leaves, seam.enters)]
        names = [CHOSEN_BETWEEN[fragment.model] for fragment in chain.fragments]
        fitted = self.compiled(
            *names, front=ends[0], back=ends[1], heal="none", out=self.out / f"choice-{name}-fitted", force=True
        )
        spec = healed.input_of(chain)
        return {
            "budget": budget, "direction": direction, "rank": rank, "similarity": healed.choice[0].similarity,
            "cuts": f"{names[0]} `{ends[0]}` to {names[1]} `{ends[1]}`", **amounts(healed.hybrid.price),
            "top1": self.measured(healed.hybrid.network, spec), "fitted": self.measured(fitted.hybrid.network, spec),
        }  # fmt: skip

    def rivals(self, row: Row) -> Line:
        """What could be had for the multiply-adds of a row instead of it."""
        macs = self.record.get("fitted", row.name)["macs"]
        plan = self.compiled(row.front, row.back, **cuts(row), budget={"macs": macs}, rivals="auto")
        found = []
        for rival in plan.rivals:
            if rival.hybrid is not None and rival.within:
                size = rival.model.input.size
                name = next(name for name in PARENTS if f'"{name}"' in rival.model.source)
                said = (
                    f"{name} {'x'.join(map(str, size[1:]))}"
                    if rival.kind == "smaller-input"
                    else f"{name}, {rival.kind}"
                )
                top1 = self.measured(rival.hybrid.network, rival.model.input)
                found.append({
                    "said": said.replace("-", " "), "kind": rival.kind, "network": name, "size": list(size),
                    "top1": top1, **amounts(rival.price),
                })  # fmt: skip
        return {"top1": max((rival["top1"] for rival in found), default=None), "rivals": found}

    def rival_trained(self, row: Row) -> Line:
        """The best of a parent on smaller images, trained further for as long as the hybrids are."""
        rivals = self.record.get("rivals", row.name)["rivals"]
        smaller = [rival for rival in rivals if rival["kind"] == "smaller-input"]
        if not smaller:
            return {"top1": None}
        best = max(smaller, key=lambda rival: rival["top1"])
        size = "x".join(map(str, best["size"]))
        weights = self.out / f"{best['network']}-{size}.pt"
        if not weights.exists():
            start = f"{self.model(best['network'])}?input={size}"
            tuning.train(start, self.train, weights, **self.settings(goes_on=True))
        words = f"{self.words(best['network'], weights)}?input={size}"
        return {"top1": self.top1(words), "said": best["said"], "macs": best["macs"]}

    # -- accuracy ------------------------------------------------------------------------------------------------------

    def top1(self, subject: str | Path) -> float:
        found = stitchc.evaluate(subject, self.test, device=self.given.device, batch=500, progress=PROGRESS)
        return round(100 * found.top1, 2)

    def measured(self, network: Any, spec: Any) -> float:
        from stitchc.evaluate import accuracy

        return round(100 * accuracy(network, spec, self.test, device=self.given.device, batch=500).top1, 2)


def machine(device: str) -> dict[str, str]:
    import torch

    from stitchc.device import resolve

    place = resolve(device)
    name = torch.cuda.get_device_name(place) if place.type == "cuda" else f"{os.cpu_count()} cores"
    return {"machine": name, "torch": torch.__version__}


def cuts(row: Row) -> dict[str, str]:
    return {"front": path(row.front, row.leaves), "back": path(row.back, row.enters)}


def path(network: str, unit: str) -> str:
    """The module whose output a unit is."""
    return unit if network == "ResNet34" else f"features.{unit}"


def amounts(price: Any) -> dict[str, int]:
    return {"params": int(price["params"]), "macs": int(price["macs"])}


PROGRESS = None if "--share" in sys.argv or "--processes" in sys.argv else progress_on(sys.stderr)

if __name__ == "__main__":
    main()
