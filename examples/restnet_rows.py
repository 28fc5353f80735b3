"""The rows of ReStNet's Tables I and III, and the page that compares them with what restnet_cifar10.py found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

Line = dict[str, Any]

PARENTS = ("VGG11", "ResNet34", "VGG19")
PARENTS_TOP1 = {"VGG11": 92.26, "VGG19": 93.87, "ResNet34": 95.09}


@dataclass(frozen=True)
class Row:
    """A row of a table: after which unit the front ends, after which unit of its own the back begins; top-1 in %."""

    table: str
    front: str
    leaves: str
    back: str
    enters: str
    top1: float

    @property
    def name(self) -> str:
        return f"{self.table}-{self.front}-{self.leaves}-{self.back}-{self.enters}"


# The cuts are those whose counts are the printed ones. Of the pairs with 13.41 M and 19.98 M parameters another cut,
# layer3.2 with relu5, has the same counts.
ROWS = (
    Row("I", "VGG19", "relu5", "VGG11", "relu3", 93.31),
    Row("I", "VGG19", "relu9", "VGG11", "relu6", 93.70),
    Row("I", "VGG19", "relu15", "VGG11", "relu8", 93.91),
    Row("I", "ResNet34", "layer1.2", "VGG11", "relu2", 92.52),
    Row("I", "ResNet34", "layer3.0", "VGG11", "relu4", 94.54),
    Row("I", "ResNet34", "layer3.5", "VGG11", "relu7", 95.09),
    Row("III", "ResNet34", "layer3.4", "VGG11", "relu6", 95.14),
    Row("III", "VGG11", "relu2", "ResNet34", "layer1.2", 83.22),
    Row("III", "VGG11", "relu4", "ResNet34", "layer3.0", 90.45),
    Row("III", "VGG11", "relu6", "ResNet34", "layer3.4", 92.00),
    Row("III", "VGG11", "relu7", "ResNet34", "layer3.5", 92.32),
)
# The others in the order in which they say most: both directions at the same cuts first.
ORDER = (4, 8, 6, 9, 3, 7, 5, 10, 1, 0, 2)

WAYS = ("fitted", "healed", "adapter tuned", "back tuned")
OTHERS = {"healed": "healed and not trained", "back tuned": "healed, and its back tuned too"}


class Found:
    """What the lines of a record say. Accuracies are in percent."""

    def __init__(self, lines: Iterable[Line]):
        self.lines = [line for line in lines if "failed" not in line]
        self.failed = [line for line in lines if "failed" in line]

    def one(self, job: str, name: str) -> Line | None:
        return next((line for line in self.lines if (line["job"], line["name"]) == (job, name)), None)

    def top1(self, job: str, name: str) -> float | None:
        line = self.one(job, name)
        return line and line["top1"]

    def rows(self) -> list[Row]:
        return [row for row in ROWS if self.one("fitted", row.name)]

    def over_line(self, networks: Sequence[str], macs: float, top1: float | None, job: str = "parent") -> float | None:
        """Over the straight line between two parents, by multiply-adds; None beyond its ends. job: "parent", or "parent
        trained on" for parents that were trained as long as what they are compared to."""
        ends = [(self.one("parent", name), self.one(job, name)) for name in networks]
        if top1 is None or any(None in end for end in ends):
            return None
        (low, first), (high, last) = sorted((line["macs"], found["top1"]) for line, found in ends)
        if not low <= macs <= high or low == high:
            return None
        return top1 - (first + (last - first) * (macs - low) / (high - low))

    def row_over_line(self, row: Row, way: str) -> float | None:
        fitted = self.one("fitted", row.name)
        job = "parent trained on" if "tuned" in way else "parent"
        return fitted and self.over_line((row.front, row.back), fitted["macs"], self.top1(way, row.name), job)


def page(lines: Iterable[Line]) -> str:
    """What was found beside what the paper prints, as Markdown."""
    found = Found(list(lines))
    parts = [
        _head(found),
        _parents(found),
        _rows(found),
        _choices(found),
        _rivals(found),
        _claims(found),
        _failed(found),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _head(found: Found) -> list[str]:
    line = found.one("epochs", "all")
    if line is None:
        return []
    return [
        "# ReStNet on CIFAR-10",
        "",
        f"Parents trained for {line['parents']} epochs from scratch, everything else for {line['tuning']}, where the",
        f"paper trains for 150; SGD with a cosine, crops and flips, {line['precision']}.",
        f"{line['images']:,} training and {line['tested']:,} test images; {line['probed']} training images to fit,",
        "heal and choose on.",
        "Adapter tuned: from the fitted start, everything else standing still, as in the paper. Back tuned: the",
        "adapter and all after it, from the healed start. The line is the straight one between the parents by",
        "multiply-adds; for what was tuned, between the parents trained on for as long, with all of their weights.",
        f"{line['machine']}, torch {line['torch']}.",
    ]


def _parents(found: Found) -> list[str]:
    text = [
        "| network | params | MACs | paper | ours | epochs | trained on as long as the hybrids |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in PARENTS:
        if line := found.one("parent", name):
            text.append(
                f"| {name} | {line['params']:,} | {line['macs']:,} | {PARENTS_TOP1[name]:.2f} | {line['top1']:.2f} | "
                f"{line['epochs']} | {_number(found.top1('parent trained on', name))} |"
            )
    return text


def _rows(found: Found) -> list[str]:
    text = [
        "| table | network | cuts | params | MACs | paper | fitted | healed | adapter tuned | back tuned | healed over "
        "the line | adapter tuned over it | back tuned over it | best rival |",
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for row in found.rows():
        line = found.one("fitted", row.name)
        assert line is not None
        ours = " | ".join(_number(found.top1(way, row.name)) for way in WAYS)
        over = " | ".join(_signed(found.row_over_line(row, way)) for way in WAYS[1:])
        text.append(
            f"| {row.table} | {row.front}-{row.back} | `{row.leaves}` to `{row.enters}` | {line['params']:,} | "
            f"{line['macs']:,} | {row.top1:.2f} | {ours} | {over} | {_best_rival(found, row)} |"
        )
    return text if len(text) > 2 else []


def _best_rival(found: Found, row: Row) -> str:
    line = found.one("rivals", row.name)
    if line is None or not line["rivals"]:
        return ""
    known = list(line["rivals"])
    trained = found.one("rival trained", row.name)
    if trained and trained["top1"] is not None:
        known.append({**trained, "said": f"{trained['said']}, trained on"})
    for name in (row.front, row.back):
        if (on := found.top1("parent trained on", name)) is not None and _within(found, name, row):
            known.append({"said": f"{name}, trained on", "top1": on})
    best = max(known, key=lambda rival: rival["top1"])
    return f"{best['top1']:.2f}: {best['said']}"


def _within(found: Found, name: str, row: Row) -> bool:
    parent, hybrid = found.one("parent", name), found.one("fitted", row.name)
    return parent is not None and hybrid is not None and parent["macs"] <= hybrid["macs"]


def _choices(found: Found) -> list[str]:
    text = [
        "| budget | direction | chosen by | CKA | cuts | MACs | fitted | healed | adapter tuned |",
        "|---:|---|---|---:|---|---:|---:|---:|---:|",
    ]
    for line in found.lines:
        if line["job"] == "choice":
            tuned = found.top1("choice tuned", line["name"])
            text.append(
                f"| {line['budget']} % | {line['direction']} | {line['rank']} | {_number(line['similarity'], 3)} | "
                f"{line['cuts']} | {line['macs']:,} | {line['fitted']:.2f} | {line['top1']:.2f} | {_number(tuned)} |"
            )
    return text if len(text) > 2 else []


def _rivals(found: Found) -> list[str]:
    text = ["| beside | rival | MACs | top-1 |", "|---|---|---:|---:|"]
    for row in found.rows():
        line = found.one("rivals", row.name)
        for rival in line["rivals"] if line else ():
            text.append(
                f"| {row.front}-{row.back}, `{row.leaves}` to `{row.enters}` | {rival['said']} | {rival['macs']:,} | "
                f"{rival['top1']:.2f} |"
            )
        trained = found.one("rival trained", row.name)
        if trained and trained["top1"] is not None:
            text.append(
                f"| {row.front}-{row.back}, `{row.leaves}` to `{row.enters}` | {trained['said']}, trained on | "
                f"{trained['macs']:,} | {trained['top1']:.2f} |"
            )
    return text if len(text) > 2 else []


def _claims(found: Found) -> list[str]:
    """What the rows say of the paper's three claims."""
    text = [
        *_of_cka(found, "choice", "healed"), *_of_cka(found, "choice tuned", "adapter tuned"),
        *_of_direction(found), *_of_adapters(found),
    ]  # fmt: skip
    return ["What they say:", "", *text] if text else []


def _of_cka(found: Found, job: str, way: str) -> list[str]:
    pairs = []
    for line in found.lines:
        if line["job"] == "choice" and line["rank"] == "cka":
            ours = found.top1(job, line["name"].replace("-cka", "-cascade"))
            theirs = found.top1(job, line["name"])
            if ours is not None and theirs is not None:
                pairs.append(ours - theirs)
    if not pairs:
        return []
    return [
        f"- Highest CKA is best: the probe's choice, {way}, is better in {sum(x > 0 for x in pairs)} of {len(pairs)} "
        f"budgets and directions, by {_signed(mean(pairs))} points in the mean."
    ]


def _of_direction(found: Found) -> list[str]:
    text = []
    for job, way in (("choice", "healed"), ("choice tuned", "adapter tuned")):
        pairs = []
        for line in found.lines:
            if line["job"] == "choice" and (line["rank"], line["direction"]) == ("cascade", "slow-to-fast"):
                slow_first = found.top1(job, line["name"])
                fast_first = found.top1(job, line["name"].replace("slow-to-fast", "fast-to-slow"))
                if slow_first is not None and fast_first is not None:
                    pairs.append(slow_first - fast_first)
        if pairs:
            text.append(
                f"- Slow to fast is better: of the probe's choices, {way}, the one slow to fast has "
                f"{_signed(mean(pairs))} points over the one fast to slow, in the mean of {len(pairs)} budgets."
            )
    for way in WAYS:
        over: dict[bool, list[float]] = {True: [], False: []}
        for row in found.rows():
            mirrored = [other for other in found.rows() if (other.front, other.leaves) == (row.back, row.enters)]
            value = found.row_over_line(row, way)
            if mirrored and value is not None and found.row_over_line(mirrored[0], way) is not None:
                over[row.back == "VGG11"].append(value)
        if over[True] and over[False]:
            text.append(
                f"- Slow to fast is better: at the same cuts, {way}, the hybrids lie {_signed(mean(over[True]))} "
                f"points over the line between their parents slow to fast, {_signed(mean(over[False]))} fast to slow "
                f"({len(over[True])} pairs of cuts)."
            )
    return text


def _of_adapters(found: Found) -> list[str]:
    text = []
    for other in ("healed", "back tuned"):
        pairs = [(found.top1("adapter tuned", row.name), found.top1(other, row.name)) for row in found.rows()]
        known = [theirs - ours for ours, theirs in pairs if ours is not None and theirs is not None]
        if known:
            text.append(
                f"- Training the adapter is enough: {OTHERS[other]}, a hybrid has {_signed(mean(known))} points in the "
                f"mean over one whose adapter alone is tuned ({len(known)} hybrids, from {_signed(min(known))} to "
                f"{_signed(max(known))})."
            )
    known = [value for row in found.rows() if (value := found.row_over_line(row, "adapter tuned")) is not None]
    if known:
        text.append(
            f"- With the adapter tuned {sum(value > 0 for value in known)} of {len(known)} hybrids lie over the line "
            f"between their parents trained on as long; the mean is {_signed(mean(known))} points."
        )
    return text


def _failed(found: Found) -> list[str]:
    said = [f"- {line['job']}, {line['name']}: {line['failed']}" for line in found.failed]
    return ["Not made:", "", *said] if said else []


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.2f}"
