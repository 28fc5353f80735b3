"""What a report says first: what was assumed, what fell back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions
from rich.padding import Padding
from rich.text import Text

from ..documents import notes
from ..passes.data.plan import Plan


@dataclass(frozen=True)
class Notes:
    """A line a note, marked by a word as well as a colour."""

    notes: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Padding]:
        for note in self.notes:
            yield Padding(Text.assemble(("note: ", "yellow"), note), 0)


def heading(title: str, said: str = "") -> Text:
    """The head of a report: a name, and what there is to say of it in one line."""
    return Text.assemble((title, "bold"), "  " if said else "", said)


def notes_of(plan: Plan) -> list[Notes]:
    """The notes of a plan and its models as the first part of a report; nothing where there are none."""
    found = notes(plan)
    return [Notes(found)] if found else []
