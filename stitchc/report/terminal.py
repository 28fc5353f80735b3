"""From renderables to the characters of a stream: its width, its colours, its encoding."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from io import StringIO
from typing import IO, Any

from rich.console import Console, ConsoleOptions
from rich.segment import Segment

from ..passes.data.printable import one_line

#: Where the stream has no width of its own, or a smaller one: there a table would lose columns and digits of numbers,
#: so lines are left for the terminal to break.
WIDTH = 80
_WIDEST = 1000  # that COLUMNS may ask for

# What stands in for a character that the stream's encoding lacks. Boxes are rich's own affair.
_PLAIN = str.maketrans({
    "×": "x", "→": "->", "─": "-", "═": "=", "│": "|", "·": "-", "…": "...", "−": "-", "≤": "<=", "≥": ">=", "✓": "ok",
    "█": "#", "▓": "#", "▒": "+", "░": ".", "▀": "#", "↑": "^", "↓": "v", "—": "-", "–": "-",
    "’": "'", "±": "+-", "µ": "u",
})  # fmt: skip


class Printable(Console):
    """A console on which text is text: no markup in it, and characters that a terminal would obey as their escapes."""

    def __init__(self, **options: Any):
        super().__init__(markup=False, emoji=False, highlight=False, legacy_windows=False, **options)

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text == "\n" or segment.text.isprintable():
                yield segment
            else:
                lines = segment.text.split("\n")
                yield segment._replace(text="\n".join(one_line(line, len(line)) for line in lines))


class _Buffer(StringIO):
    """A buffer that says to rich which encoding its text will be written in."""

    def __init__(self, encoding: str):
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


def render(
    renderables: Sequence[Any], *, width: int = WIDTH, colours: str | None = None, encoding: str = "utf-8"
) -> str:
    """The text of a report. colours: None, "standard", "256" or "truecolor"."""
    buffer = _Buffer(encoding)
    console = Printable(
        file=buffer,
        width=width,
        color_system=colours,
        force_terminal=colours is not None,
        no_color=colours is None,
        _environ={},
    )
    for index, renderable in enumerate(renderables):
        if index:
            console.print()
        console.print(renderable)
    text = "\n".join(line.rstrip() for line in buffer.getvalue().split("\n"))
    return text if _can(encoding, text) else text.translate(_PLAIN).encode(encoding, "replace").decode(encoding)


def show(renderables: Sequence[Any], stream: IO[str]) -> None:
    """Writes a report to a stream as that stream can take it."""
    probe = Console(file=stream, _environ=environment())
    colours = None
    if probe.is_terminal and not probe.is_dumb_terminal and not os.environ.get("NO_COLOR"):
        colours = probe.color_system
    width = max(WIDTH, probe.width if probe.is_terminal else _columns())
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(render(renderables, width=width, colours=colours, encoding=encoding))


def _columns() -> int:
    """The width that COLUMNS asks for, where it is one; else 0."""
    return min(int(environment().get("COLUMNS", 0)), _WIDEST)


def environment() -> dict[str, str]:
    """The environment variables, without COLUMNS and LINES where they are no numbers, which rich trips over."""
    return {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES") or _counts(value)}


def _counts(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) < 9


def _can(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
