"""The report of `stitchc cache ls`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..cache import Entry
from .numbers import size
from .table import table


@dataclass(frozen=True)
class CacheReport:
    """How much of each kind is kept, and since when. entries: by kind."""

    folder: Path
    entries: Sequence[Entry]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield Text(str(self.folder), style="bold")
        if not self.entries:
            yield Text("Nothing is kept.")
            return
        rows = table(ascii_only=options.ascii_only)
        rows.add_column("kind", no_wrap=True)
        rows.figures("files", "size", "oldest", "newest")
        for kind, group in groupby(self.entries, key=lambda entry: entry.kind):
            kept = list(group)
            ages = [entry.modified for entry in kept]
            whole = sum(entry.size_bytes for entry in kept)
            rows.add_row(kind, str(len(kept)), size(whole), _day(min(ages)), _day(max(ages)))
        yield rows


def entry_record(entry: Entry) -> dict[str, Any]:
    """An entry in a JSON document."""
    when = datetime.fromtimestamp(entry.modified, UTC).isoformat(timespec="seconds")
    return {"kind": entry.kind, "key": entry.key, "size_bytes": entry.size_bytes, "modified": when}


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
