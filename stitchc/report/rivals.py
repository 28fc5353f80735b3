"""The hybrid, the models that it was made from, and what could be had instead, in one table; and which is best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..passes.data import metrics
from .numbers import Costs, percent, points, score, shape
from .parent_table import as_given
from .table import short, table


@dataclass(frozen=True)
class Winner:
    """Which network is best within the budget, in a line; and a warning where the hybrid has no right to be chosen.

    record: a plan document whose key `recommended` is set.
    """

    record: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield Text.assemble(("Best within the budget: ", "bold"), winner(self.record))
        if warning := dominated(self.record):
            yield Text.assemble(("warning: ", "bold red"), warning)


@dataclass(frozen=True)
class RivalTable:
    """record: a plan document whose key `recommended` is set."""

    record: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        rows = networks(self.record)
        shown = [m for m in metrics.every() if m.name in ("macs", "params", "latency")]
        costs = Costs(shown, [row["cost"] for row in rows])
        found = table(ascii_only=options.ascii_only, title="What could be had instead")
        found.add_column("\nnetwork", overflow="fold")
        found.add_column("\ninput", no_wrap=True)
        found.figures(*costs.heads, "\nscore", "\ntop-1", "95 %\n+/-", "over the\nline")
        for row in rows:
            found.add_row(
                f"* {row['name']}" if row["best"] else row["name"], shape(row["input"]["size"][1:]),
                *costs(row["cost"]), score(row["score"]), percent(row["accuracy"]),
                _half(row["interval"]), points(row["over_line"]),
                style="bold" if row["best"] else "" if row["within"] else "dim",
            )  # fmt: skip
        yield found
        yield from map(Text, legend(self.record, rows))


def winner(record: Mapping[str, Any]) -> str:
    """The recommended network and what speaks for it, as a sentence."""
    said = record["recommendation"]
    best = next(row for row in networks(record) if row["best"])
    text = f"{best['name']}, " + _worth(said["by"], best)
    if said["over"] is None:
        return f"{text}; nothing else that was tried is"
    other = _chosen(record, said["over"])
    lead = f"{_lead(said['by'], said['lead'])} {_ahead(said['lead'])} {other['name']}"
    if said["lead_interval"] is None:
        return f"{text}; {lead}"
    low, high = (_lead(said["by"], end) for end in said["lead_interval"])
    unsure = "" if said["lead_interval"][0] > 0 else f"; {said['images']} images cannot tell the two apart"
    return f"{text}; {lead} (95 %: {low} to {high}){unsure}"


def dominated(record: Mapping[str, Any]) -> str:
    """A warning where a rival takes no more than the hybrid and is as good; "" where none does."""
    ruling = record["recommendation"]["dominated_by"]
    if not ruling:
        return ""
    by = record["recommendation"]["by"]
    names = [f"{row['name']} ({_worth(by, row)})" for row in (_chosen(record, index) for index in ruling)]
    return (
        f"the hybrid is dominated by {' and '.join(names)}: no dearer in what has a budget, and no worse than its "
        f"{_worth(by, record['hybrid'])}."
    )


def legend(record: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the columns mean and rest on; and what could not be made, with the reason."""
    said = record["recommendation"]
    found = record["accuracy"]
    if found is not None:
        yield f"top-1 on {found['images']} images of {found['data']}, the same for all."
    yield "score: what candidates are ranked by, on probe images."
    if any(row["over_line"] is not None for row in rows):
        metric = metrics.get(said["line_metric"])
        yield f"over the line: points of top-1 over the straight line between the parents, by {metric.column}."
    yield "*: the best within the budget."
    beyond = [row["name"] for row in rows if not row["within"]]
    if beyond:
        yield f"Over the budget: {', '.join(beyond)}."
    yield from (f"Left out: {name_of(rival)}: {rival['reason']}" for rival in record["rivals"] if rival["reason"])


def networks(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The hybrid, the models that are over budget and the rivals that could be made, each with `name`, `best` and
    `within`."""
    hybrid = record["hybrid"] | {"name": "the hybrid", "best": record["recommended"] == "hybrid", "within": True}
    known = {rival["model"] for rival in record["rivals"] if rival["kind"] == "parent"}
    if record["written"] != "hybrid":  # which is among the models then
        known.add(record["rivals"][record["written"]]["model"])
    over = [_parent(record, model) for model in as_given(record["models"]) if model["name"] not in known]
    made = [
        rival | {"name": name_of(rival), "best": record["recommended"] == index}
        for index, rival in enumerate(record["rivals"])
        if rival["chain"]
    ]
    return [hybrid, *over, *made]


def _parent(record: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    """A model that is over budget, and so no rival."""
    measured = record["accuracy"] is not None
    return {
        "name": short([model["name"]])[0], "best": False, "within": False, "input": model["input"], "cost": model,
        "score": None, "accuracy": model["accuracy"] if measured else None, "interval": None, "over_line": None,
    }  # fmt: skip


def name_of(rival: Mapping[str, Any]) -> str:
    """A rival in a few words."""
    return f"{_untrained(rival)}, polished" if rival.get("trained") else _untrained(rival)


def _untrained(rival: Mapping[str, Any]) -> str:
    name = short([rival["model"]])[0]
    if rival["kind"] == "smaller-input":
        return f"{name.rpartition('@')[0]} at {shape(rival['input']['size'][1:])}"
    if rival["kind"] == "unrepaired":
        return "the hybrid, not repaired"
    if rival["kind"] != "parts-left-out":
        return name
    if not rival["chain"]:
        return f"{name} with parts left out"
    front, back = rival["chain"][0], rival["chain"][-1]
    spans = sum("adapter" in part for part in rival["chain"])
    if spans > 1:
        return f"{name} without {spans} spans of its layers"
    return f"{name} without what is between {front['to_label']} and {back['from_label']}"


def _chosen(record: Mapping[str, Any], which: int | str) -> Mapping[str, Any]:
    if which == "hybrid":
        return record["hybrid"] | {"name": "the hybrid"}
    rival = record["rivals"][which]
    return rival | {"name": name_of(rival)}


def _worth(by: str, row: Mapping[str, Any]) -> str:
    return f"top-1 {percent(row['accuracy'])}" if by == "accuracy" else f"score {score(row['score'])}"


def _lead(by: str, lead: float) -> str:
    return f"{points(lead)} points" if by == "accuracy" else f"{lead:+.3f}".replace("-", "−")


def _ahead(lead: float) -> str:
    return "over" if lead else "beside"


def _half(between: Sequence[float] | None) -> str:
    return "-" if between is None else f"{50 * (between[1] - between[0]):.1f}"
