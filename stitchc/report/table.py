"""The one look of every table, and names that fit into a column."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

from rich import box
from rich.table import Table

# A rule under the head and nothing else: columns are told apart by space, rows by line.
_RULE = box.Box("    \n    \n ── \n    \n    \n ── \n    \n    \n")
_RULE_ASCII = box.Box("    \n    \n -- \n    \n    \n -- \n    \n    \n", ascii=True)


class Rows(Table):
    """A rich table whose columns of figures stand to the right and are never broken."""

    def figures(self, *heads: str) -> None:
        """Adds a column of figures for each head."""
        for head in heads:
            self.add_column(head, justify="right", no_wrap=True)


def table(*, ascii_only: bool = False, title: str | None = None) -> Rows:
    """An empty table in the style of all reports."""
    return Rows(
        box=_RULE_ASCII if ascii_only else _RULE,
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        pad_edge=False,
        padding=(0, 1, 0, 0),
        show_edge=False,
    )


#: Characters of a name beyond which letters stand for all of them.
_WIDE = 12


def short(names: Sequence[str]) -> list[str]:
    """`resnet` for `digits/resnet`: what stands behind the last slash, where that still tells the names apart."""
    tails = [name.rsplit("/", 1)[-1] for name in names]
    return tails if len(set(tails)) == len(set(names)) else list(names)


def for_columns(names: Sequence[str], most: int = 26) -> tuple[list[str], list[str]]:
    """Names that fit into columns: short ones, or letters where one is too long, or where there are more than `most`;
    and what each letter stands for: `A: resnet`."""
    found = short(names)
    if len(found) <= most and all(len(name) <= _WIDE for name in found):
        return found, []
    letters = [ascii_uppercase[index % 26] + str(index // 26 or "") for index in range(len(found))]
    return letters, [f"{letter}: {name}" for letter, name in zip(letters, found, strict=True)]
