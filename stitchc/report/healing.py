"""What healing did, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from .numbers import percent, several, significant
from .table import table

_WIDE = 24  # characters of a full bar
_ROWS = 16  # blocks shown; of more, evenly spread ones, the first and the last


@dataclass(frozen=True)
class Trajectory:
    """How often the hybrid gives the parent's class, after each block. record: the key `healing` of a plan document."""

    record: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        record = self.record
        yield Text.assemble(
            ("Healed", "bold green"),
            f": agrees with its parent on {percent(record['agreement'])} of {held_out(record)}, "
            f"{percent(record['agreement_before'])} before",
        )
        rows = table(ascii_only=options.ascii_only)
        rows.add_column("after block", no_wrap=True, overflow="ellipsis")
        rows.figures("agreement")
        rows.add_column("", no_wrap=True)
        rows.figures("divergence\n(nats)")
        rows.add_column("", no_wrap=True)
        rows.add_row("the adapter", *_measured(record["agreement_before"], record["divergence_before"]), "")
        for block in _spread(record["blocks"]):
            said = "" if block["kept"] else "undone"
            rows.add_row(block["name"], *_measured(block["agreement"], block["divergence"]), said)
        yield rows
        if record.get("followed"):
            yield Text(followed(record) + ".")
        if said := calibrated(record):
            yield Text(said + ".")


def held_out(record: Mapping[str, Any]) -> str:
    """What was measured on. record: the key `healing` of a plan document."""
    return f"{record['held_out']} held-out images" + " and mirror images" * bool(record.get("mirrored"))


def followed(record: Mapping[str, Any]) -> str:
    """What became of the classifier after that, in a sentence without its stop. record: the key `healing` of a plan
    document, with something under `followed`."""
    said = record["followed"]
    whom, where = " and ".join(said["models"]), held_out(record)
    mean = "the mean of " if len(said["models"]) > 1 else ""
    if not said["kept"]:
        return f"Its classifier came no nearer to {mean}{whom} on {where}, and stayed"
    return f"Then its classifier was refitted toward {mean}{whom}: {_nearer(said, where)}"


def calibrated(record: Mapping[str, Any]) -> str:
    """What became of the logits last, in a sentence without its stop; "" where their factor is 1.00. record: the
    key `healing` of a plan document."""
    said = record.get("calibrated")
    if not said or (scale := f"{said['scale']:.2f}") == "1.00":
        return ""
    far, near = (significant(said[key], 2) for key in ("divergence_before", "divergence"))
    return (
        f"Its logits were multiplied by {scale}, so that it is as sure as what it follows: on {held_out(record)} the "
        f"divergence is {near} nats, {far} before"
    )


def _nearer(said: Mapping[str, Any], where: str) -> str:
    """How much nearer a network came to its teachers on held-out images, in words."""
    far, near = (significant(said[key], 2) for key in ("divergence_before", "divergence"))
    return (
        f"on {where} the divergence from it is {near} nats, {far} before, and the class is the same on "
        f"{percent(said['agreement'])}, {percent(said['agreement_before'])} before"
    )


@dataclass(frozen=True)
class Polished:
    """What polishing gave. record: the key `polishing` of a plan document."""

    record: Mapping[str, Any]

    @property
    def said(self) -> str:
        """It in a sentence, that what was polished begins."""
        record = self.record
        whom, where = " and ".join(record["teachers"]), f"{record['held_out']} held-out images"
        if not record["kept"]:
            return f": {several(record['steps'], 'step')} toward {whom} made nothing better on {where}, and were undone"
        return f": {record['kept']} steps of {record['batch']} images toward {whom}; {_nearer(record, where)}"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield Text.assemble(("Polished", "bold green"), self.said)


def _measured(agreement: float, divergence: float | None) -> tuple[str, str, str]:
    bar = "█" * round(_WIDE * agreement)
    return percent(agreement), bar.ljust(_WIDE, "░"), "-" if divergence is None else significant(divergence, 2)


def _spread(blocks: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    if len(blocks) <= _ROWS:
        return blocks
    return [blocks[round(i * (len(blocks) - 1) / (_ROWS - 1))] for i in range(_ROWS)]
