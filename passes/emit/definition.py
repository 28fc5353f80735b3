"""A class of the generated file, before it is text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..graphs.drops import DropPath
from .body import Body
from .names import class_name, is_name
from .parameters import Parameter
from .text import Hole, Piece, heads, holes, skeleton


@dataclass(frozen=True)
class Line:
    """`before piece after`. flag: the parameter without which the line makes `nn.Identity()` instead."""

    before: str
    piece: Piece
    after: str = ""
    flag: str = ""

    def makes(self, names: frozenset[str]) -> bool:
        """Whether the line makes one of these children."""
        return self.before in {f"self.{name} = " for name in names}


@dataclass(eq=False)
class ClassDef:
    """A class to be written. fills: the text of every hole, those of `setup` first, then those of `body`.

    base: what it derives from; setup: the lines of `__init__`, the call of the base's own included; body: None for a
    sequence, which needs no forward. paths: where its instances are. stored: parameters that forward reads.
    flags: parameters that say whether an instance has what not all of them have.
    """

    kind: str
    base: str
    setup: list[Line]
    body: Body | None
    paths: list[str]
    parameters: tuple[Parameter, ...] = ()
    fills: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    children: set[str] = field(default_factory=set)
    name: str = ""
    document: str = ""

    def __str__(self) -> str:
        return self.name

    def inner(self) -> list[ClassDef]:
        """The classes that it makes instances of."""
        found: dict[ClassDef, None] = {}
        for line in self.setup:
            for head in heads(line.piece):
                if isinstance(head, ClassDef):
                    found.setdefault(head)
        return list(found)

    def holes(self) -> list[Hole]:
        lines = [line.piece for line in self.setup] + [piece for _, piece in (self.body.lines if self.body else ())]
        return [hole for piece in lines for hole in holes(piece)]

    def skeleton(self) -> Any:
        """What two drafts must have in common to be one class."""
        setup = tuple((line.before, skeleton(line.piece), line.after) for line in self.setup)
        body = tuple((depth, skeleton(piece)) for depth, piece in self.body.lines) if self.body else ()
        parameters = tuple(self.body.parameters) if self.body else ()
        return self.kind, self.base, setup, parameters, body

    def reads(self, name: str) -> bool:
        """Whether forward asks for a flag by name."""
        return self.body is not None and any(piece == f"if self.{name}:" for _, piece in self.body.lines)


#: Classes that a file may have beside those of its networks.
RESERVED = frozenset((DropPath.__name__, "Member", "MemberNetwork", "Switched", "StitchedFamily"))


def give_names(classes: list[ClassDef]) -> None:
    """The source's class names; those that collide are told apart by their part, or by what only one of them has. A
    class that has a name keeps it."""
    taken: dict[str, ClassDef] = {}
    for made in sorted(classes, key=lambda c: (-len(c.paths), len(c.children), classes.index(c))):
        if made.name:
            continue
        wish = class_name(made.kind.lstrip("_"))
        if wish in taken:
            wish = _told_apart(made, taken[wish], wish)
        name, count = wish, 2
        while name in taken or name in RESERVED:
            name = f"{wish}{count}"
            count += 1
        taken[name] = made
        made.name = name


def _told_apart(made: ClassDef, other: ClassDef, wish: str) -> str:
    parts = [{path.split(".")[0] for path in c.paths} for c in (made, other)]
    if not parts[0] & parts[1] and len(parts[0]) == 1:
        return class_name(parts[0].pop()) + wish
    kinds = {c.kind for c in other.inner()}
    words = sorted(made.children - other.children) + [c.kind for c in made.inner() if c.kind not in kinds]
    for mine in made.inner():
        words += sorted(mine.children - set().union(*(theirs.children for theirs in other.inner())))
    stems = {name.rstrip("0123456789") for name in other.children}
    words = [word for word in words if is_name(word) and word.rstrip("0123456789") not in stems]
    if words:
        return f"{wish}With{class_name(words[0])}"
    lacking = [line.before.removeprefix("self.").removesuffix(" = ") for line in other.setup]
    lacking = [name for name in lacking if name in other.children - made.children and is_name(name)]
    return f"{wish}Without{class_name(lacking[0])}" if lacking else wish
