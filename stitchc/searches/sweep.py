"""The front of one search over several budgets: the best chain under each, beside the models."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..passes.data import metrics
from ..passes.data.budget import Limit, parse_quantity
from ..passes.data.errors import InputError, OutputError, QuantityError
from ..passes.data.option_kinds import Kind
from ..passes.data.whole_file import try_file, whole_file

if TYPE_CHECKING:
    from ..passes.search.chains import Tried

#: Budgets of a sweep that does not say how many.
STEPS = 8
_SWEEP = re.compile(r"(?P<first>[^./]+(?:\.\d+[^./]*)?)\.\.(?P<last>[^/]+?)(?:/(?P<steps>\d+))?")


@dataclass(frozen=True)
class Sweep(Kind):
    """Budgets at even distances: `20%..90%` of the FLOPs, or `params=1M..4M/7` for seven of them."""

    @property
    def metavar(self) -> str:
        return "[METRIC=]Q..Q[/N]"

    def read(self, name: str, value: Any) -> str:
        limits(str(value))
        return str(value)


def limits(text: str) -> tuple[Limit, ...]:
    """The budgets of a sweep, rising.

    Raises:
        QuantityError: the text says no two quantities of one metric, or fewer than two budgets.
    """
    name, _, words = text.strip().rpartition("=")
    metric = name.strip() or "flops"
    match = _SWEEP.fullmatch(words.strip())
    example = "Write it like macs=20%..90%, or macs=20%..90%/15 for fifteen budgets."
    if match is None:
        raise QuantityError(f"'{text}' is no range of budgets", example)
    first, last = (parse_quantity(match[end], metric) for end in ("first", "last"))
    steps = int(match["steps"] or STEPS)
    if steps < 2 or first.relative != last.relative or first.value >= last.value:
        raise QuantityError(f"'{text}' is no rising range of two budgets or more of one kind", example)
    step = (last.value - first.value) / (steps - 1)
    return tuple(Limit(metric, first.value + k * step, first.relative) for k in range(steps))


def chosen(tried: Sequence[Tried], budgets: Sequence[Mapping[str, float]]) -> list[int | None]:
    """Of each budget, the index of the first chain within it, None where there is none. tried: the best first."""
    return [
        next((k for k, one in enumerate(tried) if all(one.price[m] <= limit for m, limit in budget.items())), None)
        for budget in budgets
    ]


def rows(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The front as a table: a row for each budget with a chain, then one for each model.

    document: of a search with the key `front`.
    """
    shown = [metric.key for metric in metrics.sums()]
    for point in document["front"]:
        if point["chain"] is None:
            continue
        one = document["chains"][point["chain"]]
        yield {
            "kind": "chain", **{f"budget_{metrics.get(m).key}": limit for m, limit in point["budget"].items()},
            **{key: one["cost"][key] for key in shown}, "score": one["score"], "accuracy": one["accuracy"],
            "network": one["words"],
        }  # fmt: skip
    for model in document["models"]:
        yield {
            "kind": "model", **{key: model["cost"][key] for key in shown}, 
            "accuracy": model["accuracy"], "network": model["name"],
        }  # fmt: skip


def check_csv(path: Path, sweep: str | None, *, force: bool) -> None:
    """Before anything slow begins.

    Raises:
        InputError: there is no sweep to be written. OutputError: the file is there already and `force` was not given,
            or it cannot be written.
    """
    if sweep is None:
        raise InputError(f"'{path}' is to hold the front of a sweep, and there is none", "Give `sweep='20%..90%'`.")
    if path.exists() and not force:
        raise OutputError(f"{path} exists already", "Replace it with `force=True`, or name another file.")
    try_file(path)


def write_csv(path: Path, table: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows to a file, whole or not at all. What is not known is left empty.

    Raises:
        OutputError: it cannot be written.
    """
    text = StringIO()
    names = list(dict.fromkeys(name for row in table for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    with whole_file(path) as part:
        part.write_text(text.getvalue(), encoding="utf-8")
