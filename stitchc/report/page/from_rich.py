"""What a terminal prints, as HTML: tables become tables and lines paragraphs, with the same words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.style import Style
from rich.table import Column, Table
from rich.text import Text

from ..terminal import Printable
from .markup import Html, join, tag

_WIDE = 1000  # columns: nothing needs to be shortened here


def fragment(part: Any) -> Html:
    """A part of a report as HTML: what it says itself with `html()`, else what it prints."""
    if isinstance(part, Html):
        return part
    if hasattr(part, "html"):
        return part.html()
    return join(*_blocks([part], _console()))


def _console() -> Console:
    return Printable(file=StringIO(), width=_WIDE, color_system=None, _environ={})


def _blocks(renderables: Iterable[Any], console: Console) -> Iterator[Html]:
    """Of each renderable its HTML; lines of text that follow one another share a paragraph."""
    paragraph: list[Html] = []
    for one in _flat(renderables, console):
        if isinstance(one, Text) and one.plain.strip("\n"):
            paragraph += [_line(line) for line in one.split("\n") if line.plain]
            continue
        if paragraph:
            yield tag("p", join(*paragraph, between="<br>"))
            paragraph = []
        if isinstance(one, Table):
            yield _table(one)
    if paragraph:
        yield tag("p", join(*paragraph, between="<br>"))


def _flat(renderables: Iterable[Any], console: Console) -> Iterator[Text | Table]:
    """The texts and tables that renderables consist of."""
    for one in renderables:
        if isinstance(one, str):
            yield Text(one)
        elif isinstance(one, Text | Table):
            yield one
        elif isinstance(one, Padding):
            yield from _flat([one.renderable], console)
        elif hasattr(one, "__rich__"):
            yield from _flat([one.__rich__()], console)
        else:
            yield from _flat(one.__rich_console__(console, console.options), console)


def _line(line: Text) -> Html:
    """A line, with what is bold in it, and what colour marks as good, odd or bad."""
    found, at = [], 0
    for span in sorted(line.spans):
        if span.start < at:
            continue
        found += [line.plain[at : span.start], _styled(line.plain[span.start : span.end], span.style)]
        at = span.end
    whole = join(*found, line.plain[at:])
    return _styled(whole, line.style)


def _styled(said: str, style: str | Style) -> Html:
    named = Style.parse(style) if isinstance(style, str) else style
    classes = [name for name in ("bold", "dim") if getattr(named, name)]
    if named.color is not None and named.color.name in ("red", "yellow", "green"):
        classes.append(named.color.name)
    return tag("span", said, class_=" ".join(classes)) if classes else join(said)


def _table(given: Table) -> Html:
    """A table in a box of its own, that scrolls where the screen is too narrow for it."""
    head = tag("tr", *(tag("th", *_cell(column.header), scope="col", class_=_side(column)) for column in given.columns))
    cells = list(zip(*(column.cells for column in given.columns), strict=True))
    body = [_row(given, index, row) for index, row in enumerate(cells)]
    title = _plain(given.title) if given.title else None
    caption = tag("caption", title) if title else None
    whole = tag("table", caption, tag("thead", head), tag("tbody", *body))
    return scrolling(whole, title or ", ".join(filter(None, (_plain(c.header).strip() for c in given.columns))))


def scrolling(whole: Html, label: str) -> Html:
    """A wide element in a region that scrolls, with the keyboard too."""
    return tag("div", whole, class_="scroll", tabindex=0, role="region", aria_label=label[:200])


def _row(given: Table, index: int, cells: Sequence[Any]) -> Html:
    row = given.rows[index]
    style = row.style or ""
    named = Style.parse(style) if isinstance(style, str) else style
    classes = [name for name in ("bold", "dim") if getattr(named, name)]
    if index and given.rows[index - 1].end_section:
        classes.append("after")
    shown = (tag("td", *_cell(cell), class_=_side(of)) for of, cell in zip(given.columns, cells, strict=True))
    return tag("tr", *shown, class_=" ".join(classes) or None)


def _cell(said: Any) -> list[Html]:
    if isinstance(said, Text):
        return [_line(said)]
    parts = str(said).strip("\n").split("\n")
    return [join(*parts, between="<br>")]


def _side(column: Column) -> str | None:
    return "number" if column.justify == "right" else None


def _plain(said: Any) -> str:
    return (said.plain if isinstance(said, Text) else str(said)).replace("\n", " ")
