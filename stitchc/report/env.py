"""The report of `stitchc env`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.text import Text


@dataclass(frozen=True)
class EnvironmentReport:
    """Plain lines, to be pasted into an issue."""

    found: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        for name, value in self.found.items():
            if not isinstance(value, Mapping):
                yield _line(name, value)
        for title, group in self.found.items():
            if isinstance(group, Mapping) and group:
                yield Text(f"\n{title}", style="bold")
                yield from (_line(name, value) for name, value in group.items())


def _line(name: str, value: Any) -> Text:
    shown = ", ".join(map(str, value)) if isinstance(value, list) else value
    return Text(f"{name:<16}{'not installed' if shown is None else shown}")
