"""The report of a family's training: what it did to each member."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from .notes import Notes
from .numbers import percent, size
from .table import table
from .tune import Epochs, trained


@dataclass(frozen=True)
class MemberGains:
    """Each member before and after. record: an item of the key `tuned` of a family's record."""

    record: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        record = self.record
        by = next((one["held_out"]["by"] for one in record["members"] if one["held_out"]), None)
        rows = table(ascii_only=options.ascii_only, title="The members")
        rows.add_column("\nmember", overflow="fold")
        rows.figures("top-1\nbefore", "\nafter", "held out\nbefore", "\nafter", "kept\nepoch")
        for one in record["members"]:
            held = [_worth(one["held_out_before"]), _worth(one["held_out"])]
            which = str(one["epoch"]) if one["epoch"] else "untuned"
            rows.add_row(one["name"], percent(one["before"]), percent(one["after"]), *held, which)
        yield rows
        if by is not None:
            what = "the share of right classes" if by == "labels" else "the divergence from the teacher, in nats"
            yield Text(f"held out: {what} on images that were not trained on, by which weights were kept.")
        yield from map(Text, _beside(record["members"]))
        if record["accuracy"]["data"]:
            yield Text(f"top-1 on {record['accuracy']['images']} images of {record['accuracy']['data']}.")


def _beside(members: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What untuned weights cost that are worth more for a member, and who shares the tuned ones all the same."""
    asked = [one for one in members if one.get("untuned_bytes")]
    kept = [f"{one['name']} ({size(one['untuned_bytes'])})" for one in asked if not one["epoch"]]
    shared = [f"{one['name']} ({size(one['untuned_bytes'])})" for one in asked if one["epoch"]]
    if kept:
        yield f"Untuned weights that stand in the file beside the tuned ones: of {', '.join(kept)}."
    if shared:
        yield (
            f"These share the tuned weights though they were worth more before, since their own would add more than "
            f"`extra` allows: {', '.join(shared)}."
        )


def _worth(worth: Mapping[str, Any] | None) -> str:
    if worth is None:
        return "-"
    return percent(worth["right"]) if worth["by"] == "labels" else f"{worth['nats']:.4f}"


def training_parts(training: Mapping[str, Any]) -> list[RenderableType]:
    """What there is to say of a training. training: an item of the key `tuned` of a family's record."""
    what = "all of the family" if training["train"] == "all" else "the adapters"
    return [trained(training, what), Epochs(training), MemberGains(training)]


@dataclass(frozen=True)
class FamilyTuneReport:
    """The parts of the report, in order. record: of the tuned family. kept: where the untuned one lies."""

    record: Mapping[str, Any]
    folder: Path | None = None
    kept: Path | None = None

    def parts(self) -> list[RenderableType]:
        """What a terminal prints, one after the other."""
        record = self.record
        parts: list[RenderableType] = [Notes(record["notes"])] if record["notes"] else []
        for training in record["tuned"]:
            parts += training_parts(training)
        if self.folder:
            parts.append(Text(f"Written to {self.folder}."))
        if self.kept:
            parts.append(Text(f"The untuned family is kept in {self.kept.name}/."))
        return parts
