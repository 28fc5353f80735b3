"""Classes for the regions of a program: equal ones written once, with parameters for what they differ in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from .body import Body, find_loops, write_body
from .layers import constructor
from .names import class_name, is_name
from .parameters import Parameter, unify
from .program import Memory, Program
from .regroup import Region, is_chain
from .slots import Slot, access, loop_over, slots
from .text import Call, Hole, Items, Numbered, Piece, Repeat, Text, holes, skeleton


@dataclass(frozen=True)
class Line:
    """`before piece after`."""

    before: str
    piece: Piece
    after: str = ""


@dataclass(eq=False)
class ClassDef:
    """A class to be written. fills: the text of every hole, those of `setup` first, then those of `body`.

    base: what it derives from; setup: the lines of `__init__`, the call of the base's own included; body: None for a
    sequence, which needs no forward. paths: where its instances are. stored: parameters that forward reads.
    """

    kind: str
    base: str
    setup: list[Line]
    body: Body | None
    paths: list[str]
    parameters: tuple[Parameter, ...] = ()
    fills: tuple[str, ...] = ()
    stored: tuple[str, ...] = ()
    children: set[str] = field(default_factory=set)
    name: str = ""

    def __str__(self) -> str:
        return self.name


def make_classes(program: Program, root: Region) -> list[ClassDef]:
    """Every class of the file, those that others use before them, the whole program's last."""
    return _Maker(program, root).make()


class _Maker:
    def __init__(self, program: Program, root: Region):
        self.program = program
        self.root = root
        self.memory = Memory(program)
        self.top = slots(program, root)
        self.slot_of = {slot.path: slot for slot in _all(self.top)}
        self.calls: dict[Region, Call] = {}

    def make(self) -> list[ClassDef]:
        regions = [r for r in self.root.regions() if self.slot_of[r.path].is_class or r is self.root]
        height: dict[Region, int] = {}
        for region in regions:  # inner ones come first
            inner = [height[r] for r in region.regions() if r in height]
            height[region] = 1 + max(inner, default=0)
        order = {region: i for i, region in enumerate(regions)}
        made: dict[int, ClassDef] = {}
        for level in sorted(set(height.values())):
            groups: dict[Any, list[tuple[Region, ClassDef]]] = {}
            for region in [r for r in regions if height[r] == level]:
                draft = self.draft(region)
                groups.setdefault(_skeleton(draft), []).append((region, draft))
            for group in groups.values():
                made[order[group[0][0]]] = self.merge(group)
        classes = [made[i] for i in sorted(made)]
        _give_names(classes)
        return classes

    def draft(self, region: Region) -> ClassDef:
        """The class of one region alone, with a hole for each literal."""
        slot = self.slot_of[region.path]
        kind = region.kind or "Stitched"
        if region.kind == "Sequential":
            kind = class_name(region.path.split(".")[-1])
        children = set(slot.children)
        if is_chain(region) and slot.numbered:
            base = self.sequence(slot, "super().__init__(", ")")
            return ClassDef(kind, "nn.Sequential", [Line("", base)], None, [region.path], children=children)
        base, setup = "nn.Module", [Line("super().__init__()", "")]
        if slot.leaf is not None:
            layer = constructor(slot.leaf, slot.path)
            assert isinstance(layer, Call)
            base, setup = str(layer.head), [Line("", Call("super().__init__", layer.args))]
            children |= {name for name, _ in slot.leaf.named_parameters()}
        setup += self.declarations(slot, slot)
        items = find_loops(region.items, lambda path: loop_over(slot, path) if path else None)
        body = write_body(region, items, lambda path: self.access(slot, path), self.program.leaves, self.memory)
        return ClassDef(kind, base, setup, body, [region.path], children=children)

    def access(self, slot: Slot, path: str) -> str:
        return "super().forward" if path == slot.path else access(slot, path)

    def declarations(self, owner: Slot, slot: Slot) -> Iterator[Line]:
        """The lines that make all children of `slot`, in the order in which they are called."""
        for name, child in slot.children.items():
            here = access(owner, child.path)
            if child.tensor is not None:
                yield _tensor(access(owner, slot.path) if slot is not owner else "self", name, here, child.tensor)
                continue
            if slot is owner:
                module = self.module(child)
                yield Line(f"{here} = ", module) if is_name(name) else Line(f'self.add_module("{name}", ', module, ")")
            if not child.is_class and child.leaf is None:
                yield from (line for line in self.declarations(owner, child))

    def module(self, slot: Slot) -> Piece:
        """The expression that makes what is at a slot."""
        if slot.is_class:
            assert slot.region is not None
            return self.calls[slot.region]
        if slot.leaf is not None:
            return constructor(slot.leaf, slot.path)
        if slot.is_sequence:
            return self.sequence(slot, "nn.Sequential(", ")")
        named = {name: self.module(child) for name, child in slot.children.items() if child.tensor is None}
        if not named:
            return "nn.Module()"
        if slot.numbered and slot.contiguous:
            pieces = _repeats(list(named.values()))
            if len(pieces) == 1 and isinstance(pieces[0], Repeat):
                (only,) = pieces
                return Items("nn.ModuleList(", (Repeat(only.count, only.items, star=False),), ")")
            return Items("nn.ModuleList([", pieces, "])")
        first, last = next(iter(named)), list(named)[-1]
        alike = len(set(named.values())) == 1 and len(named) > 1
        if slot.numbered and alike and [str(i) for i in range(int(first), int(last) + 1)] == list(named):
            span = Numbered(Hole(int(first), "first"), Hole(int(last) + 1, "last"), named[first])
            return Items("nn.ModuleDict({", (span,), "})")
        return Items("nn.ModuleDict({", tuple(named.values()), "})", tuple(named))

    def sequence(self, slot: Slot, opening: str, closing: str) -> Items:
        pieces = tuple(self.module(child) for child in slot.children.values())
        if slot.contiguous:
            return Items(opening, _repeats(list(pieces)), closing)
        pairs = Items("OrderedDict([", tuple(pieces), "])", tuple(slot.children))
        return Items(opening, (pairs,), closing)

    def merge(self, group: list[tuple[Region, ClassDef]]) -> ClassDef:
        """One class for drafts of one skeleton; every region learns how to call it."""
        drafts = [draft for _, draft in group]
        first = drafts[0]
        in_setup = [h for line in first.setup for h in holes(line.piece)]
        taken = first.children | set(dir(nn.Module)) | set(first.body.parameters if first.body else ())
        unified = unify([_holes(draft) for draft in drafts], taken)
        first.paths = [path for draft in drafts for path in draft.paths]
        first.parameters, first.fills = unified.parameters, unified.fills
        stored = {name for names in unified.used[len(in_setup) :] for name in names}
        first.stored = tuple(p.name for p in unified.parameters if p.name in stored)
        for (region, _), values in zip(group, unified.arguments, strict=True):
            args = [
                ("" if p.default is ... else p.name, Hole(value, p.name, p.default))
                for p, value in zip(unified.parameters, values, strict=True)
            ]
            self.calls[region] = Call(first, tuple(args))
        return first


def _all(slot: Slot) -> Iterator[Slot]:
    yield slot
    for child in slot.children.values():
        yield from _all(child)


def _holes(draft: ClassDef) -> list[Hole]:
    lines = [line.piece for line in draft.setup] + [piece for _, piece in (draft.body.lines if draft.body else ())]
    return [hole for piece in lines for hole in holes(piece)]


def _skeleton(draft: ClassDef) -> Any:
    setup = tuple((line.before, skeleton(line.piece), line.after) for line in draft.setup)
    body = tuple((depth, skeleton(piece)) for depth, piece in draft.body.lines) if draft.body else ()
    parameters = tuple(draft.body.parameters) if draft.body else ()
    return draft.kind, draft.base, setup, parameters, body


def _tensor(owner: str, name: str, here: str, tensor: Tensor) -> Line:
    """`self.scale = nn.Parameter(torch.empty(96))`, or a buffer."""
    dims: list[Any] = [part for n in tensor.shape for part in (", ", Hole(n, "extent"))][1:]
    made: tuple[Any, ...] = ("torch.empty(", *(dims or ["()"]))
    if tensor.dtype != torch.float32:
        made += (f", dtype={tensor.dtype}",)
    if isinstance(tensor, nn.Parameter):
        return Line(f"{here} = ", Text(("nn.Parameter(", *made, "))")))
    return Line(f'{owner}.register_buffer("{name}", ', Text((*made, ")")), ")")


def _repeats(pieces: list[Piece]) -> tuple[Piece, ...]:
    """Runs of equal pieces, or of equal pairs of pieces, as one Repeat each."""
    found: list[Piece] = []
    i = 0
    while i < len(pieces):
        best = (1, 1)
        for period in (1, 2):
            count = 1
            while pieces[i : i + period] == pieces[i + count * period : i + (count + 1) * period]:
                count += 1
            if count > 1 and count * period > best[0] * best[1] and (period == 1 or count > 1):
                best = (period, count)
        period, count = best
        if count > 1:
            found.append(Repeat(Hole(count, "depth"), tuple(pieces[i : i + period])))
        else:
            found.append(pieces[i])
        i += period * count
    return tuple(found)


def _give_names(classes: list[ClassDef]) -> None:
    """The source's class names; those that collide are told apart by the part they are in, or by a number."""
    taken: dict[str, ClassDef] = {}
    for made in classes:
        wish = class_name(made.kind.lstrip("_"))
        if wish in taken:
            part = made.paths[0].split(".")[0]
            other = taken[wish].paths[0].split(".")[0]
            if part != other and part in ("front", "back", "adapter"):
                wish = class_name(part) + wish
        name, count = wish, 2
        while name in taken:
            name = f"{wish}{count}"
            count += 1
        taken[name] = made
        made.name = name
