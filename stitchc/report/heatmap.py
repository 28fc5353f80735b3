"""A similarity matrix as a picture: half-blocks where there are colours, digits where there are none."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.color import Color
from rich.console import Console, ConsoleOptions
from rich.style import Style
from rich.text import Text

from .numbers import score

_TALL = 48  # rows of the matrix at most: 24 lines of half-blocks
_WIDE = 4  # characters a column at most

# Seven points of matplotlib's viridis (CC0): even in lightness, and readable for the colour-blind.
_SCALE = ((68, 1, 84), (70, 51, 126), (54, 92, 141), (39, 127, 142), (31, 161, 135), (74, 194, 109), (253, 231, 37))
_UNKNOWN = (128, 128, 128)


@dataclass(frozen=True)
class HeatMap:
    """The similarity of the cuts of one model (down) to those of another (across).

    matrix: [rows, columns], NaN where unknown. row_labels, column_labels: paths of the cuts. Cuts are sampled evenly
    where there are more than the screen has room for; the caption says so.
    """

    matrix: np.ndarray
    row_labels: Sequence[str]
    column_labels: Sequence[str]
    down: str
    across: str
    metric: str = "cka"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        coloured = not options.ascii_only and console.color_system in ("truecolor", "256") and not console.no_color
        margin = min(24, max([len(label) for label in self.row_labels], default=0)) + 5
        room = max(8, options.max_width - margin)
        rows = _sample(len(self.row_labels), _TALL)
        columns = _sample(len(self.column_labels), room)
        wide = max(1, min(_WIDE, room // max(1, len(columns))))
        grid = self.matrix[np.ix_(rows, columns)]
        yield Text.assemble((self.metric, "bold"), f"  down: {self.down}, across: {self.across}")
        if coloured:
            yield from self._blocks(grid, rows, wide, margin)
        else:
            yield from self._digits(grid, rows, wide, margin)
        yield _axis(columns, wide, margin)
        yield _legend(self.matrix, coloured, margin)
        if len(rows) < len(self.row_labels) or len(columns) < len(self.column_labels):
            yield Text(f"{'':{margin}}shown: {len(rows)} of {len(self.row_labels)} cuts down, "
                       f"{len(columns)} of {len(self.column_labels)} across")  # fmt: skip

    def _blocks(self, grid: np.ndarray, rows: list[int], wide: int, margin: int) -> Iterator[Text]:
        """Two rows a line: the upper half of each character is one, the lower half the next."""
        for line in range(0, len(rows), 2):
            text = Text(self._label(rows[line], margin))
            upper, lower = grid[line], grid[line + 1] if line + 1 < len(rows) else None
            for column in range(grid.shape[1]):
                below = _colour(lower[column]) if lower is not None else None
                text.append("▀" * wide, Style(color=_colour(upper[column]), bgcolor=below))
            yield text

    def _digits(self, grid: np.ndarray, rows: list[int], wide: int, margin: int) -> Iterator[Text]:
        """A row a line: the tenths of the similarity."""
        for line, row in enumerate(rows):
            yield Text(self._label(row, margin) + "".join(f"{_digit(x):<{wide}}" for x in grid[line]))

    def _label(self, row: int, margin: int) -> str:
        label = self.row_labels[row]
        room = margin - 5
        shown = label if len(label) <= room else f"{label[: room - 1]}…"
        return f"{row:>3} {shown:<{room}} "


def _sample(count: int, room: int) -> list[int]:
    """At most `room` indices of `count`, evenly spread, both ends included."""
    if count <= room:
        return list(range(count))
    return sorted({round(i * (count - 1) / (room - 1)) for i in range(room)})


def _axis(columns: list[int], wide: int, margin: int) -> Text:
    """The column indices, as many as there is room for."""
    line = [" "] * (len(columns) * wide + 4)
    free = 0
    for position, column in enumerate(columns):
        at, label = position * wide, str(column)
        if at >= free:
            line[at : at + len(label)] = label
            free = at + max(len(label) + 1, 4)
    return Text(" " * margin + "".join(line).rstrip())


def _legend(matrix: np.ndarray, coloured: bool, margin: int) -> Text:
    known = matrix[np.isfinite(matrix)]
    span = f"lowest {score(float(known.min()))}, highest {score(float(known.max()))}" if known.size else "nothing known"
    if not coloured:
        return Text(f"{'':{margin}}7 means 0.7 to 0.8, 9 at least 0.9, . below 0;\n{'':{margin}}{span}")
    text = Text(f"{'':{margin}}0 ")
    for step in range(20):
        text.append("█", Style(color=_colour(step / 19)))
    return text.append(f" 1   {span}")


def _colour(value: float) -> Color:
    return Color.from_rgb(*colours(np.array(value)).tolist())


def colours(values: np.ndarray) -> np.ndarray:
    """The colours of similarities: uint8 [..., 3] for float [...], grey where they are unknown."""
    scale = np.array(_SCALE, dtype=np.float64)
    place = np.nan_to_num(np.clip(values, 0, 1)) * (len(scale) - 1)
    low = np.minimum(place.astype(int), len(scale) - 2)
    share = (place - low)[..., None]
    found = np.rint(scale[low] + share * (scale[low + 1] - scale[low]))
    return np.where(np.isnan(values)[..., None], _UNKNOWN, found).astype(np.uint8)


def _digit(value: float) -> str:
    if math.isnan(value):
        return "?"
    return "." if value < 0 else str(min(9, int(value * 10)))
