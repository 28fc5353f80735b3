"""From the axes of a value to its layout, or to the reason why nothing can be stitched to it."""

from __future__ import annotations

from collections.abc import Sequence

from ...data.values import Value
from .axes import BATCH, Axes, Extent, Pieces, known

_WORDS = {"C": "channels", "H": "rows", "W": "columns", "L": "positions", "?": "unknown", "1": "size 1"}


def read(axes: Axes, shape: Sequence[Extent]) -> Value | str:
    """The value with its layout, or why it has none that an adapter could meet."""
    axes = tuple(known(pieces) for pieces in axes)
    text = _text(shape)
    if len(axes) < 2:
        return f"fewer than two axes of meaning: shape {text}"
    if axes[0] != (BATCH,):
        return _no_batch(axes, text)
    if any(BATCH in pieces for pieces in axes[1:]) or not all(isinstance(n, int) for n in shape[1:]):
        return f"the batch stands in more than one axis: shape {text}"
    extents = tuple(n for n in shape[1:] if isinstance(n, int))
    if len(extents) == 1:
        return Value(extents, "NC")
    roles = "".join(_role(pieces) for pieces in axes[1:])
    if len(roles) == 2:
        return _read_tokens(axes, extents, roles, text)
    if len(roles) == 3:
        return _read_maps((extents[0], extents[1], extents[2]), roles, text)
    return f"{len(shape)} axes: shape {text}"


def _role(pieces: Pieces) -> str:
    """What an axis is for: C channels, H rows, W columns, L both in row order, + L behind prefix tokens, S positions
    in an order of no grid, 1 nothing, ? unknown."""
    if not pieces:
        return "1"
    kinds = [piece.axis.kind for piece in pieces]
    if "C" in kinds or all(k == "?" for k in kinds):
        named = "C" in kinds or any(piece.axis.reads_channels for piece in pieces)
        return "C" if named else "?"
    if kinds in (["H"], ["W"], ["+"]):
        return kinds[0]
    return "L" if kinds == ["H", "W"] else "S"


def _read_tokens(axes: Axes, extents: tuple[int, ...], roles: str, text: str) -> Value | str:
    order, last = roles[0], roles[1]
    if last not in "C1" and not (last == "?" and order in "L+1"):
        if order == "C" and last in "HWL+?S":
            return f"channels before positions: shape {text}"
        return _unknown(roles, text)
    if order == "L":
        return Value(extents, "NLC", grid=(axes[1][0].size, axes[1][1].size))
    if order == "+":
        return _read_prefixed(axes[1], extents, text)
    if order == "1":
        return Value(extents, "NLC", grid=(1, 1))
    if order == "?":
        return Value(extents, "NLC")
    if order == "S":
        return f"positions in an order of no grid ({_order(axes[1])}): shape {text}"
    if order in "HW":
        return f"positions of {_WORDS[order]} alone: shape {text}"
    return f"channels over axes 1 and 2: shape {text}"


def _read_prefixed(pieces: Pieces, extents: tuple[int, ...], text: str) -> Value | str:
    parts = [(extent, known(part)) for extent, part in pieces[0].axis.parts]
    places = [i for i, (_, part) in enumerate(parts) if _role(part) in "LSHWC"]
    if len(places) > 1:
        return f"tokens of {len(places)} grids in one axis: shape {text}"
    if places != [len(parts) - 1]:
        return f"tokens after the positions: shape {text}"
    _, last = parts[-1]
    if _role(last) != "L":
        return f"positions in an order of no grid ({_order(last)}): shape {text}"
    tokens = sum(extent for extent, _ in parts[:-1])
    return Value(extents, "NLC", tokens, (last[0].size, last[1].size))


def _read_maps(extents: tuple[int, int, int], roles: str, text: str) -> Value | str:
    if roles.count("?") == 1 and "C" not in roles and set(roles) & set("HW"):
        roles = roles.replace("?", "C")  # all that is left to it
    if _fits(roles, "CHW"):
        return Value(extents, "NCHW", grid=extents[1:])
    if _fits(roles, "HWC"):
        return Value(extents, "NHWC", grid=extents[:2])
    return _unknown(roles, text)


def _fits(roles: str, pattern: str) -> bool:
    """Whether the axes are the pattern's: each as named or of size 1, and the channels at least as named."""
    return all(role in (want, "1") for role, want in zip(roles, pattern, strict=True)) and roles != "111"


def _unknown(roles: str, text: str) -> str:
    if roles.count("C") > 1 and not set(roles) & set("?"):
        axes = " and ".join(str(i + 1) for i, role in enumerate(roles) if role == "C")
        return f"channels over axes {axes}: shape {text}"
    if len(roles) == 3 and set(roles) & set("LS+"):
        return f"positions split into windows: shape {text}"
    if roles in ("CWH", "WHC"):
        return f"columns before rows: shape {text}"
    if "?" in roles:
        return f"nothing tells what every axis holds ({_words(roles)}): shape {text}"
    return f"no layout has these axes ({_words(roles)}): shape {text}"


def _words(roles: str) -> str:
    return ", ".join(_WORDS.get(role, "positions") for role in roles)


def _no_batch(axes: Axes, text: str) -> str:
    if BATCH not in axes[0]:
        return f"the batch is not the first axis: shape {text}"
    kinds = {piece.axis.kind for piece in axes[0] if piece is not BATCH}
    if kinds & set("HW+"):
        return f"batch folded with windows: shape {text}"
    return f"batch folded with {'channels' if 'C' in kinds else 'another axis'}: shape {text}"


def _order(pieces: Pieces) -> str:
    """The axes that a run of positions counts through, outermost first."""
    return " ".join(f"{piece.axis.kind}{piece.size}" for piece in pieces)


def _text(shape: Sequence[Extent]) -> str:
    return f"({', '.join(map(str, shape))})"
