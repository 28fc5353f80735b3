"""Source code templates: text with a `Hole` for every literal, in which instances of one class may differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from ..data.printable import quoted

WIDTH = 110


class Code(str):
    """A literal that is written as it stands: `nn.ReLU(inplace=True)`."""


class _Any:
    """The value of a hole that an instance leaves open: the line it stands in is not for that instance."""

    def __repr__(self) -> str:
        return "any"


ANY = _Any()


@dataclass(frozen=True)
class Hole:
    """A literal. `hint` is what a parameter for it would be called; `default` what torch takes when it is left out.

    spread: a tuple that is written as its items: `x.permute(0, 2, 3, 1)`.
    """

    value: Any
    hint: str
    default: Any = ...
    spread: bool = False


@dataclass(frozen=True)
class Call:
    """A constructor call. head: `nn.Conv2d`, or whatever `str()` makes a class name. args: (keyword or "", what)."""

    head: Any
    args: tuple[tuple[str, Piece], ...]


@dataclass(frozen=True)
class Bracketed:
    """A bracketed list of expressions: `nn.Sequential(...)`, `nn.ModuleDict({...})`. keys: one each, or none."""

    opening: str
    items: tuple[Piece, ...]
    closing: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Repeat:
    """`*(a for _ in range(n))`; of several, `*(layer for _ in range(n) for layer in (a, b))`."""

    count: Hole
    items: tuple[Piece, ...]
    star: bool = True


@dataclass(frozen=True)
class Numbered:
    """`{f"layer{i}": a for i in range(start, stop)}`, the inside of a ModuleDict; or pairs, of an OrderedDict."""

    start: Hole
    stop: Hole
    item: Piece
    prefix: str = ""
    pairs: bool = False


@dataclass(frozen=True)
class Text:
    """A sequence of text, holes and references to values, whose names a later stage decides."""

    parts: tuple[Any, ...]


Piece = str | Hole | Call | Bracketed | Repeat | Numbered | Text


def holes(piece: Any) -> Iterator[Hole]:
    """The holes of a piece, from left to right."""
    if isinstance(piece, Hole):
        yield piece
    elif isinstance(piece, Call):
        for _, argument in piece.args:
            yield from holes(argument)
    elif isinstance(piece, Bracketed):
        for item in piece.items:
            yield from holes(item)
    elif isinstance(piece, Repeat):
        yield piece.count
        for item in piece.items:
            yield from holes(item)
    elif isinstance(piece, Numbered):
        yield from (piece.start, piece.stop)
        yield from holes(piece.item)
    elif isinstance(piece, Text):
        for part in piece.parts:
            yield from holes(part)


def heads(piece: Any) -> Iterator[Any]:
    """What the calls in a piece call."""
    if isinstance(piece, Call):
        yield piece.head
        inner: tuple[Any, ...] = tuple(argument for _, argument in piece.args)
    else:
        inner = getattr(piece, "items", ()) or (getattr(piece, "item", ""),)
    for item in inner:
        if not isinstance(item, str):
            yield from heads(item)


def skeleton(piece: Any) -> Any:
    """What is left of a piece when its literals are taken out: equal skeletons can be one class."""
    if isinstance(piece, Hole):
        return ("hole", isinstance(piece.value, Code))
    if isinstance(piece, Call):
        return ("call", piece.head, tuple((name, skeleton(a)) for name, a in piece.args))
    if isinstance(piece, Bracketed):
        return ("items", piece.opening, tuple(map(skeleton, piece.items)), piece.closing, piece.keys)
    if isinstance(piece, Repeat):
        return ("repeat", tuple(map(skeleton, piece.items)), piece.star)
    if isinstance(piece, Numbered):
        return ("numbered", skeleton(piece.item), piece.prefix, piece.pairs)
    if isinstance(piece, Text):
        return ("text", tuple(map(skeleton, piece.parts)))
    return piece


def literal(value: Any) -> str:
    """A constant as Python source."""
    if isinstance(value, Code):
        return str(value)
    if isinstance(value, float) and (math.isinf(value) or math.isnan(value)):
        return f'float("{value}")'
    if isinstance(value, float) and (root := _root(value)):
        return f"{root}**-0.5"
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, torch.device):
        return f'torch.device("{value}")'
    if value is Ellipsis:
        return "..."
    if isinstance(value, torch.Size):
        value = tuple(value)
    if isinstance(value, tuple):
        return "(" + ", ".join(map(literal, value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return repr(value)


def _root(value: float) -> int | None:
    """n where value is exactly n**-0.5: the scale of an attention with n channels a head."""
    n = round(value**-2) if 0.03 < value < 0.8 else 0
    return n if n > 1 and n**-0.5 == value else None


# -- layout ----------------------------------------------------------------------------------------------------

#: What to write for a hole: a literal, or the parameter that stands for it.
Fill = Callable[[Hole], str]


@dataclass(frozen=True)
class Group:
    """Documents between brackets: on one line where they fit, else one a line."""

    opening: str
    items: tuple[Any, ...]
    closing: str

    def flat(self) -> str:
        return self.opening + ", ".join(_flat(i) for i in self.items) + self.closing


def _flat(document: Any) -> str:
    return document.flat() if isinstance(document, Group) else document


def document(piece: Any, fill: Fill) -> Any:
    """A piece as what `lay_out` can break into lines: text, or a Group."""
    if isinstance(piece, str):
        return piece
    if isinstance(piece, Hole):
        text = fill(piece)
        return text if not piece.spread else text[1:-1].rstrip(",") if text.startswith("(") else f"*{text}"
    if isinstance(piece, Call):
        return Group(f"{piece.head}(", tuple(_arguments(piece, fill)), ")")
    if isinstance(piece, Bracketed):
        inner = tuple(document(item, fill) for item in piece.items)
        if piece.keys:
            inner = tuple(_prefixed(k, d, piece.opening) for k, d in zip(piece.keys, inner, strict=True))
        return Group(piece.opening, inner, piece.closing)
    if isinstance(piece, Repeat):
        count = fill(piece.count)  # before the items: holes are filled from left to right
        inner = tuple(document(item, fill) for item in piece.items)
        star = "*" if piece.star else ""
        if len(inner) == 1:
            return _around(f"{star}(" if star else "", inner[0], f" for _ in range({count})" + ")" * piece.star)
        return Group(f"{star}(layer for _ in range({count}) for layer in (", inner, "))")
    if isinstance(piece, Numbered):
        start, stop = fill(piece.start), fill(piece.stop)
        span = f" for i in range({stop})" if start == "0" else f" for i in range({start}, {stop})"
        key = f'f"{piece.prefix}{{i}}"' if piece.prefix else "str(i)"
        inner = document(piece.item, fill)
        return _around(f"({key}, ", inner, f"){span}") if piece.pairs else _around(f"{key}: ", inner, span)
    words = [_flat(document(part, fill)) for part in piece.parts]
    for i, part in enumerate(piece.parts):
        if isinstance(part, Hole) and " " in words[i] and not _stands_alone(words, i):
            words[i] = f"({words[i]})"
    return "".join(words)


def _stands_alone(words: list[str], i: int) -> bool:
    """Whether `4 * dim` can stand at that place without parentheses."""
    before, after = "".join(words[:i]), "".join(words[i + 1 :])
    return before.endswith(("(", "[", ", ", "=")) and after.startswith((")", "]", ","))


def _around(before: str, inner: Any, after: str) -> Any:
    if isinstance(inner, Group):
        return Group(before + inner.opening, inner.items, inner.closing + after)
    return before + inner + after


def _prefixed(key: str, inner: Any, opening: str) -> Any:
    if opening.endswith("OrderedDict(["):
        return _around(f"({literal(key)}, ", inner, ")")
    return _around(f"{literal(key)}: ", inner, "")


def _arguments(call: Call, fill: Fill) -> Iterator[Any]:
    """Arguments without those that say what torch or the class would take anyway."""
    positional = True
    for name, argument in call.args:
        if isinstance(argument, Hole) and argument.default is not ...:
            text = fill(argument)
            if text == literal(argument.default):
                positional = False
                continue
            yield text if positional and _goes_unnamed(name) else f"{name}={text}"
        else:
            inner = document(argument, fill)
            yield inner if positional or not name else _around(f"{name}=", inner, "")


def _goes_unnamed(name: str) -> bool:
    return not name


def lay_out(prefix: str, piece: Any, indent: int, fill: Fill, suffix: str = "") -> list[str]:
    """Lines of source that say `prefix piece suffix` at an indentation of `indent` spaces."""
    return _lines(_around(prefix, document(piece, fill), suffix), indent)


def _lines(doc: Any, indent: int) -> list[str]:
    flat = _flat(doc)
    if indent + len(flat) <= WIDTH or not isinstance(doc, Group) or not doc.items:
        return [" " * indent + flat]
    only = doc.items[0] if len(doc.items) == 1 else None
    if isinstance(only, Group) and not only.opening.startswith("*"):  # hug: nn.Sequential(OrderedDict([ ... ]))
        return _lines(Group(doc.opening + only.opening, only.items, only.closing + doc.closing), indent)
    lines = [" " * indent + doc.opening]
    for item in doc.items:
        inner = _lines(item, indent + 4)
        inner[-1] += ","
        lines += inner
    if len(doc.items) == 1 and " for i in range(" in _flat(doc.items[0]).rpartition(")")[0]:
        lines[-1] = lines[-1].removesuffix(",")
    return [*lines, " " * indent + doc.closing]
