"""The page of never_worse.py: what was recommended, beside what could be had instead."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

Line = dict[str, Any]

SHORT = {"cifar10_resnet8_mlperf_tiny": "resnet8", "in1k_squeezenet1_1_torchvision": "squeezenet1_1"}
NOISE = {"cifar10": 1.0, "imagenet": 2.0}  # points that the choice may cost
TITLES = {
    "cifar10": "CIFAR-10",
    "imagenet": "ImageNet",
}


def read(path: Path) -> list[Line]:
    """The lines of a record, of a job that was done several times the last."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return list({json.dumps(line["task"], sort_keys=True): line for line in lines}.values())


def page(lines: Sequence[Line], before: str = "") -> str:
    """The page with its tables. before: the page as it was, of which the text above the first table stays."""
    good = [line for line in lines if "failed" not in line]
    given = {(x["task"]["model"], x["task"]["side"]): x["top1"] for x in good if x["task"]["do"] == "given"}
    costs = {
        (rival["model"], rival["side"]): rival["macs"]
        for x in good if x["task"]["do"] == "row" for rival in x["rivals"] if rival["given"] and rival["side"]
    }  # fmt: skip
    above = before.split("\n## ")[0].rstrip() or "# Never worse than what one has"
    text = [above, ""]
    for data, title in TITLES.items():
        for probed in sorted({line["task"]["probed"] for line in good if _is(line, "row", data)}):
            rows = [
                _Row(line, good, given, costs)
                for line in good
                if _is(line, "row", data) and line["task"]["probed"] == probed
            ]
            tested = ", ".join(f"{count:,}" for count in sorted({row.tested for row in rows}))
            text += [
                f"## {title}, {probed:,} probe images, {tested} others to measure on",
                "",
                *_table(rows),
                "",
                *_said(rows, data),
                "",
            ]
    failed = [line for line in lines if "failed" in line]
    if failed:
        text += ["## Failed", "", *(f"- {' '.join(map(str, x['task'].values()))}: {x['failed']}" for x in failed), ""]
    return "\n".join(text).rstrip() + "\n"


def _is(line: Line, do: str, data: str) -> bool:
    return line["task"]["do"] == do and line["task"]["data"] == data


class _Row:
    """A pair and a budget: all figures in percent, None where they were not measured."""

    def __init__(
        self, line: Line, good: Sequence[Line], given: dict[tuple[str, int | None], float],
        costs: dict[tuple[str, int], float],
    ):  # fmt: skip
        """given, costs: accuracy and multiply-adds of networks as somebody gave them, by their side."""
        self.given, self.costs = given, costs
        self.task, self.prices, self.tested = line["task"], line["prices"], line["tested"]
        self.parents = {name: given.get((name, None)) for name in self.task["models"]}
        self.rivals = []
        for rival in line["rivals"]:
            top1 = given.get((rival["model"], rival["side"])) if rival["given"] else rival["top1"]
            self.rivals.append({**rival, "top1": top1})
        others = [x for x in good if x["task"]["do"] == "other" and _same(x["task"], self.task)]
        self.stitches = [line["stitch"], *(x["stitch"] for x in others)]
        best = line["recommended"]
        self.recommended = self.stitches[0] if best is None else self.rivals[best]
        self.is_stitch = best is None

    @property
    def best_rival(self) -> Line | None:
        """By accuracy on the test images, of those within the budget."""
        known = [rival for rival in self.rivals if rival["within"] and rival["top1"] is not None]
        return max(known, key=lambda rival: rival["top1"], default=None)

    @property
    def over_rival(self) -> float | None:
        best = self.best_rival
        return None if best is None or self.recommended["top1"] is None else self.recommended["top1"] - best["top1"]

    def over_line(self, found: Line | None) -> float | None:
        """Over the straight line between the parents; None beyond its ends."""
        if found is None or found["top1"] is None or None in self.parents.values():
            return None
        return self._over(found, [(self.prices[name], top1) for name, top1 in self.parents.items()])

    def over_line_there(self, found: Line | None) -> float | None:
        """The same of the parents on images of the stitch's own size, where it is not theirs."""
        ends = [(name, found.get("side")) for name in self.parents] if found else []
        if found is None or found["top1"] is None or not all(end in self.given and end in self.costs for end in ends):
            return None
        return self._over(found, [(self.costs[end], self.given[end]) for end in ends])

    @staticmethod
    def _over(found: Line, ends: Sequence[tuple[float, float]]) -> float | None:
        (low, first), (high, last) = sorted(ends)
        if not low <= found["macs"] <= high or low == high:
            return None
        return found["top1"] - (first + (last - first) * (found["macs"] - low) / (high - low))

    def of(self, kind: str) -> list[Line]:
        return [rival for rival in self.rivals if rival["kind"] == kind]

    def stitch(self, slow_first: bool) -> Line | None:
        for found in self.stitches:
            if (self.prices[found["front"]] >= self.prices[found["back"]]) == slow_first:
                return found
        return None


def _same(one: Line, other: Line) -> bool:
    keys = ("data", "models", "budget", "probed")
    return all(one[key] == other[key] for key in keys)


def _table(rows: Sequence[_Row]) -> list[str]:
    text = [
        "| pair | budget | slow to fast | fast to slow | parent | smaller input | parts left out | recommended | over "
        "the best rival | over the line |",
        "|---|---:|---:|---:|---:|---:|---:|---|---:|---:|",
    ]
    for row in sorted(rows, key=lambda row: (row.task["models"], row.task["budget"])):
        named = "stitch" if row.is_stitch else row.recommended["kind"].replace("-", " ")
        text.append(
            f"| {', '.join(map(_short, row.task['models']))} | {row.task['budget']} % | {_cell(row.stitch(True))} | "
            f"{_cell(row.stitch(False))} | {_cells(row.of('parent'))} | "
            f"{_cells(row.of('smaller-input'), sized=True)} | {_cells(row.of('parts-left-out'))} | "
            f"{named} {_cell(row.recommended)} | {_signed(row.over_rival)} | "
            f"{_signed(row.over_line(row.recommended))} |"
        )
    return text


def _said(rows: Sequence[_Row], data: str) -> list[str]:
    """What the table says, counted."""
    over = [row.over_rival for row in rows if row.over_rival is not None]
    worse = [difference for difference in over if difference < -NOISE[data]]
    text = ["Top-1 in percent, and millions of multiply-adds.", ""]
    if over:
        text.append(
            f"- The recommended network is worse than the best rival by more than {_points(NOISE[data])} in "
            f"{len(worse)} of {len(over)} rows; the worst difference is {_signed(min(over))}, the mean "
            f"{_signed(mean(over))}."
        )
    text.append(f"- A stitch is recommended in {sum(row.is_stitch for row in rows)} of {len(rows)} rows.")
    for slow_first, name in ((True, "slow to fast"), (False, "fast to slow")):
        lines = [row.over_line(row.stitch(slow_first)) for row in rows]
        known = [value for value in lines if value is not None]
        if known:
            text.append(
                f"- Stitches {name} lie {_signed(mean(known))} points over the line between their parents in the mean "
                f"of the {len(known)} within its ends; the best {_signed(max(known))}."
            )
        there = [value for row in rows if (value := row.over_line_there(row.stitch(slow_first))) is not None]
        if there:
            text.append(
                "- Of those on smaller images, over the line between the parents on such images: "
                f"{_signed(mean(there))} in the mean of {len(there)}; the best {_signed(max(there))}."
            )
    better = [row for row in rows if row.best_rival and _better(row)]
    text.append(f"- The better stitch of the two beats every rival in {len(better)} of {len(rows)} rows.")
    return text


def _better(row: _Row) -> bool:
    known = [found["top1"] for found in row.stitches if found["top1"] is not None]
    return bool(known) and row.best_rival is not None and max(known) > row.best_rival["top1"]


def _short(name: str) -> str:
    return SHORT.get(name, name.removeprefix("cifar10_").removeprefix("in1k_").removesuffix("_qat"))


def _cell(found: Line | None) -> str:
    """Of a stitch, or a rival; of a stitch with the side of its images in pixels, where it was recorded."""
    if found is None:
        return ""
    if found["macs"] is None:
        return f"none: {found['reason']}" if found.get("reason") else "none"
    shown = "not measured" if found["top1"] is None else f"{found['top1']:.1f}"
    at = f"at {found['side']}: " if "front" in found and "side" in found else ""
    return f"{at}{shown} ({found['macs'] / 1e6:.1f})"


def _cells(found: Iterable[Line], sized: bool = False) -> str:
    return "; ".join((f"at {x['side']}: " if sized else "") + _cell(x) for x in found)


def _signed(value: float | None) -> str:
    return "" if value is None else f"{value:+.1f}"


def _points(number: float) -> str:
    return f"{number:g} point{'s' * (number != 1)}"
