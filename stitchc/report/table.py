"""The one look of every table."""

from __future__ import annotations

from rich import box
from rich.table import Table

# A rule under the head and nothing else: columns are told apart by space, rows by line.
_RULE = box.Box("    \n    \n ── \n    \n    \n ── \n    \n    \n")
_RULE_ASCII = box.Box("    \n    \n -- \n    \n    \n -- \n    \n    \n", ascii=True)


def table(*, ascii_only: bool = False, title: str | None = None) -> Table:
    return Table(
        box=_RULE_ASCII if ascii_only else _RULE,
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )
