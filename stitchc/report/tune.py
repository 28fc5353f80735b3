"""The report of a training: what trained, how it went, what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..wording import as_flags
from .notes import Notes
from .numbers import NONE, count, percent, several
from .parent_table import ParentTable, gap
from .stitch import Checks, Choice, Files
from .table import table

_SHOWN = 12  # epochs; of more, some between the first and the last are left out


@dataclass(frozen=True)
class Training:
    """One training: an item of the key `tuned` of a plan document."""

    record: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        record = self.record
        what = {"adapter": "the adapter", "all": "all"}.get(record["train"], f"the adapter and the {record['train']}")
        yield trained(record, what)
        yield Epochs(record)
        yield Text(kept(record))
        found = record["accuracy"]
        if found["after"] is not None:
            yield Text(outcome(record))
            if found["after"] < found["before"]:
                more = "" if record.get("held_out") else ", or leave out `holdout=0`"
                yield Text(as_flags(f"It fell on these images: try a lower `lr`{more}."))
        else:
            yield Text(as_flags(f"top-1 {NONE}: no images to measure on; `evaluate` names some"))


def outcome(record: Mapping[str, Any]) -> str:
    """The accuracy before and after a training, in a line. record: an item of the key `tuned`."""
    found = record["accuracy"]
    if found["after"] is None:
        return "accuracy was not measured"
    return (
        f"top-1 {percent(found['before'])} before, {percent(found['after'])} after "
        f"({gap(found['after'], found['before'])}), on {found['images']} images of {found['data']}"
    )


def trained(record: Mapping[str, Any], what: str) -> Text:
    """What trained, and on what, in a line. record: an item of the key `tuned`."""
    return Text.assemble(
        ("Trained", "bold"), f" {what}: {count(record['trained_params'])} params, {several(record['epochs'], 'epoch')} "
        f"over {record['images']} images of {record['data']}",
    )  # fmt: skip


@dataclass(frozen=True)
class Epochs:
    """How a training went: its options, and a row an epoch. record: an item of the key `tuned` of a plan document."""

    record: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        record, said = self.record, self.record["options"]
        taught = said.get("teacher") or ([said["distill"]] if said["distill"] else [])
        extra = f", distilled from {' and '.join(taught)}" if taught else ""
        augment = ",".join(said["augment"]) or "none"
        yield Text(f"{said['optimizer']}, lr {said['lr']:g}, batch {said['batch']}, augment {augment}{extra}")
        rows = table(ascii_only=options.ascii_only)
        rows.figures("epoch", "loss", "training accuracy", "held out", "learning rate")
        for entry in _some(record["history"]):
            rows.add_row(
                str(entry["epoch"]), f"{entry['loss']:.4f}", percent(entry["accuracy"]), percent(entry["holdout"]),
                f"{entry['lr']:.2e}",
            )  # fmt: skip
        yield rows


def kept(record: Mapping[str, Any]) -> str:
    """Which state of a training was kept, and by what: a sentence."""
    held = record.get("held_out")
    if not held:
        return "Kept: the last epoch, since no images were held out."
    where = f"{held['images']} held-out images"
    if not held["epoch"]:
        return f"Kept: the untuned weights, since no epoch was better on {where}."
    if held["by"] == "labels":
        came = f"top-1 {percent(held['right_before'])} before, {percent(held['right'])} then"
        return f"Kept: epoch {held['epoch']}, the best on {where} ({came})."
    came = f"divergence from the teacher {held['nats_before']:.4f} before, {held['nats']:.4f} then"
    return f"Kept: epoch {held['epoch']}, the last of those that are within 1 % of the best on {where} ({came})."


@dataclass(frozen=True)
class TuneReport:
    """The parts of the report, in order. record: a plan document. kept: where the untuned artifact lies."""

    record: Mapping[str, Any]
    folder: Path | None = None
    kept: Path | None = None

    def parts(self) -> list[RenderableType]:
        """What a terminal prints, one after the other."""
        record = self.record
        parts: list[RenderableType] = [Notes(record["notes"])] if record["notes"] else []
        parts += [Choice(record), *(Training(training) for training in record["tuned"]), ParentTable(record)]
        parts.append(Checks(record["verified"], against="the trained network"))
        if self.folder:
            parts.append(Files(self.folder))
        if self.kept:
            parts.append(Text(f"The untuned artifact is kept in {self.kept.name}/."))
        return parts


def _some(history: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if len(history) <= _SHOWN:
        return history
    picked = sorted({round(i * (len(history) - 1) / (_SHOWN - 1)) for i in range(_SHOWN)})
    return [history[index] for index in picked]
