"""What the axes of a value are made of, and how they split, merge, slice and unify.

An axis of a value is a sequence of pieces, outermost first; an axis of size 1 has none. A piece is a digit of an axis
of meaning: split as outer * inner, its index is outer_index * inner + inner_index, so the two pieces have the strides
inner and 1, and two neighbours merge exactly if they count on: first.stride == second.stride * second.size.
A window partition and its reverse thus cancel, whatever way the reshapes took.

An axis of which nothing is known is a variable: meeting a known axis in an elementwise operator binds it, and all
values that hold it are known from then on. So one sweep in graph order serves both directions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Extent = int | str  # of one axis, as in meta["shape"]: 64, "N", "49*N"


@dataclass(eq=False, slots=True)
class Axis:
    """An axis of meaning.

    kind: "N" batch, "C" channels, "H" and "W" of the image, "?" a variable, "+" parts laid one after another.
    reads_channels: of a variable, whether an operator has read it as channels.
    means: of a variable, what it turned out to be. parts: of "+", the size and the pieces of each.
    """

    kind: str
    size: int
    reads_channels: bool = False
    means: Pieces | None = None
    parts: tuple[tuple[int, Pieces], ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A factor of an axis: `size` indices that are `stride` apart in it."""

    axis: Axis
    size: int
    stride: int = 1


Pieces = tuple[Piece, ...]
Axes = tuple[Pieces, ...]

BATCH = Piece(Axis("N", 0), 0)


def factors(extent: Extent) -> tuple[int, int] | None:
    """(k, 1) of "k*N", (k, 0) of k, None of any other expression of the batch size."""
    if isinstance(extent, int):
        return extent, 0
    if extent == "N":
        return 1, 1
    number, star, symbol = extent.partition("*")
    return (int(number), 1) if star and symbol == "N" and number.isdigit() else None


def size(pieces: Pieces) -> tuple[int, int]:
    """The extent of an axis as (number, power of the batch size)."""
    number, batch = 1, 0
    for piece in pieces:
        if piece is BATCH:
            batch += 1
        else:
            number *= piece.size
    return number, batch


def fresh(extent: Extent, kind: str = "?", reads_channels: bool = False) -> Pieces:
    """A new axis of this extent. Of an unknown one that the batch size is in, the batch comes first."""
    found = factors(extent)
    if found is None:
        return (Piece(Axis("?", 0), 0),)
    number, batch = found
    new = (Piece(Axis(kind, number, reads_channels), number),) if number != 1 else ()
    return (BATCH,) * batch + new


def unknown(shape: Iterable[Extent]) -> Axes:
    """Axes of a value of this shape of which nothing is known."""
    return tuple(fresh(extent) for extent in shape)


def known(pieces: Pieces) -> Pieces:
    """The pieces with variables replaced by what they turned out to be, and neighbours merged."""
    merged: list[Piece] = []
    for piece in _resolved(pieces):
        last = merged[-1] if merged else None
        if last and last is not BATCH and last.axis is piece.axis and last.stride == piece.stride * piece.size:
            merged[-1] = Piece(piece.axis, last.size * piece.size, piece.stride)
        else:
            merged.append(piece)
    return tuple(merged)


def _resolved(pieces: Pieces) -> Pieces:
    if all(piece.axis.means is None for piece in pieces):
        return pieces
    out: list[Piece] = []
    stack = list(reversed(pieces))
    while stack:
        piece = stack.pop()
        if piece.axis.means is None:
            out.append(piece)
        else:
            stack += reversed(piece.axis.means)
    if len(pieces) == 1:
        pieces[0].axis.means = tuple(out)  # shorten the chain of variables for whoever asks next
    return tuple(out)


def kind(pieces: Pieces) -> str:
    """The kind of an axis as a letter: "C" if channels are in it, "N", "H", "W", "+" if it is that alone, else "?"."""
    kinds = {piece.axis.kind for piece in _resolved(pieces)}
    if "C" in kinds and "N" not in kinds:
        return "C"
    return kinds.pop() if len(kinds) == 1 else "?"


def has_positions(pieces: Pieces) -> bool:
    """Whether rows, columns or concatenated positions are part of the axis."""
    return any(piece.axis.kind in "HW+" for piece in _resolved(pieces))


def read_as_channels(pieces: Pieces) -> None:
    """An operator treats the axis as channels: if nothing else is ever known of it, it is that."""
    for piece in _resolved(pieces):
        if piece.axis.kind == "?":
            piece.axis.reads_channels = True


def mixed(pieces: Pieces, extent: Extent) -> Pieces:
    """The axis that an operator makes by mixing all of this one (the features of a Linear, of a convolution).

    Mixed channels are channels. What comes of mixing positions (the token mixing of an MLP) only the value it meets
    next can tell.
    """
    if kind(pieces) == "C":
        return fresh(extent, "C")
    if has_positions(pieces):
        return fresh(extent)
    read_as_channels(pieces)
    return fresh(extent, reads_channels=True)


def unify(options: Sequence[Pieces]) -> Pieces:
    """The one axis that all these are: the one that says most, and the variables among the others bound to it."""
    best = max(options, key=_says)
    held = {piece.axis for piece in _resolved(best)}
    for pieces in options:
        flat = _resolved(pieces)
        if len(flat) == 1 and flat[0].axis.kind == "?" and flat[0].axis not in held and best:
            flat[0].axis.means = best
            if flat[0].axis.reads_channels:
                read_as_channels(best)
    return best


def _says(pieces: Pieces) -> int:
    kinds = {piece.axis.kind for piece in _resolved(pieces)}
    if kinds & set("HWN+"):
        return 3
    return 2 if "C" in kinds else len(kinds)


def broadcast(operands: Sequence[Axes], shape: Sequence[Extent]) -> Axes:
    """The axes of an elementwise result: aligned at the right, size 1 gives way."""
    out = []
    for i, extent in enumerate(shape):
        want = factors(extent)
        aligned = [axes[i - len(shape)] for axes in operands if len(axes) >= len(shape) - i]
        options = [pieces for pieces in aligned if size(pieces) == want]
        out.append(unify(options) if options else fresh(extent))
    return tuple(out)


def reshape(axes: Axes, shape: Sequence[Extent]) -> Axes:
    """The axes under another shape of the same number of elements."""
    queue = [piece for pieces in axes for piece in known(pieces)][::-1]
    out: list[Pieces] = []
    for i, extent in enumerate(shape):
        taken = _take(queue, factors(extent))
        if taken is None:
            return (*out, *unknown(shape[i:]))
        out.append(known(taken))
    return tuple(out)


def _take(queue: list[Piece], want: tuple[int, int] | None) -> Pieces | None:
    """Pieces from the end of the queue that make up `want`, one split if need be; None where they do not."""
    if want is None:
        return None
    taken: list[Piece] = []
    while (have := size(tuple(taken))) != want:
        if not queue:
            return None
        piece = queue.pop()
        if piece is BATCH or (piece.size and want[0] % (have[0] * piece.size) == 0):
            taken.append(piece)
            continue
        outer = want[0] // have[0]
        if piece.axis.kind == "+" or not piece.size or outer < 2 or piece.size % outer:
            return None
        first, rest = _split(piece, outer)
        taken.append(first)
        queue.append(rest)
    return tuple(taken)


def _split(piece: Piece, outer: int) -> tuple[Piece, Piece]:
    inner = piece.size // outer
    if piece.axis.kind != "?":
        return Piece(piece.axis, outer, piece.stride * inner), Piece(piece.axis, inner, piece.stride)
    halves = [Piece(Axis("?", n, piece.axis.reads_channels), n) for n in (outer, inner)]
    piece.axis.means = (halves[0], halves[1])
    return halves[0], halves[1]


def section(pieces: Pieces, start: int, length: int) -> Pieces:
    """`length` neighbouring indices of an axis from `start` on."""
    pieces = known(pieces)
    if size(pieces) == (length, 0) or length == 1:
        return pieces if length != 1 else ()
    if len(pieces) == 1 and pieces[0].axis.kind == "+":
        parts, offset = [], 0
        for extent, part in pieces[0].axis.parts:
            first, last = max(start, offset), min(start + length, offset + extent)
            if first < last:
                parts.append((last - first, section(part, first - offset, last - first)))
            offset += extent
        return concatenated(parts)
    return fresh(length, kind(pieces))


def concatenated(parts: Sequence[tuple[int, Pieces]]) -> Pieces:
    """Axes laid one after another. Channels after channels are channels, rows after rows are rows."""
    flat: list[tuple[int, Pieces]] = []
    for extent, pieces in parts:
        pieces = known(pieces)
        nested = len(pieces) == 1 and pieces[0].axis.kind == "+"
        flat += pieces[0].axis.parts if nested else [(extent, pieces)]
    if len(flat) == 1:
        return flat[0][1]
    total = sum(extent for extent, _ in flat)
    kinds = {kind(pieces) for _, pieces in flat if pieces}
    simple = kinds - {"?"}
    if len(simple) == 1 and not any(kind(p) == "?" and has_positions(p) for _, p in flat):
        return fresh(total, simple.pop())
    if not any(has_positions(pieces) for _, pieces in flat):
        return fresh(total, reads_channels=any(p.axis.reads_channels for _, ps in flat for p in ps))
    return (Piece(Axis("+", total, parts=tuple(flat)), total),)
