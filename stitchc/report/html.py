"""A report as one page that needs nothing else."""

from __future__ import annotations

import html
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from rich.terminal_theme import TerminalTheme

from ..passes.data.printable import one_line
from ..passes.data.whole_file import whole_file
from .terminal import Printable

_COLUMNS = 110

# Braces of the page's own are doubled: rich fills in the rest.
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>TITLE</title>
<style>
body {{ margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: {foreground}; background: {background}; }}
pre {{ font: 14px/1.25 ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace; overflow-x: auto; }}
h1 {{ font: 600 1.3rem system-ui, sans-serif; }}
{stylesheet}
</style>
</head>
<body>
<h1>TITLE</h1>
<pre>{code}</pre>
</body>
</html>
"""

_PAPER = TerminalTheme(
    (255, 255, 255), (36, 41, 47),
    [(36, 41, 47), (179, 29, 40), (17, 99, 41), (125, 78, 0), (5, 80, 174), (130, 80, 223), (27, 124, 131),
     (110, 119, 129)],
)  # fmt: skip


def page(title: str, renderables: Sequence[Any]) -> str:
    """The renderables as a self-contained page. The same renderables give the same bytes."""
    console = Printable(
        record=True, file=StringIO(), width=_COLUMNS, color_system="truecolor", force_terminal=True, _environ={}
    )
    for index, renderable in enumerate(renderables):
        if index:
            console.print()
        console.print(renderable)
    shown = html.escape(one_line(f"stitchc: {title}")).replace("{", "{{").replace("}", "}}")
    return console.export_html(theme=_PAPER, code_format=_PAGE.replace("TITLE", shown))


def write_page(path: Path, title: str, renderables: Sequence[Any]) -> None:
    """Writes a page, whole or not at all. `plot.check_plot` says beforehand whether it may.

    Raises:
        OutputError: it cannot be written.
    """
    with whole_file(path) as part:
        part.write_text(page(title, renderables), encoding="utf-8")
