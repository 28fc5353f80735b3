"""Classes for the regions of a program: equal ones written once, with parameters for what they differ in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..data.printable import quoted
from .body import write_body
from .definition import ClassDef, Line, give_names
from .instructions import find_loops
from .layers import constructor
from .names import class_name, is_name
from .parameters import Parameter, unify
from .program import Memory, Program
from .regroup import Region, is_chain
from .same_classes import Group, Member, absorb_shortened, absorb_unadded
from .slots import Slot, access, loop_over, slots
from .text import Bracketed, Call, Hole, Numbered, Piece, Repeat, Text, holes
from .weights import tied_keys

#: Makes a class from the lines of its `__init__` that make what lies in it.
Outermost = Callable[[list[Line]], ClassDef]


def make_classes(program: Program, root: Region, outermost: Outermost | None = None) -> list[ClassDef]:
    """Every class of the file, those that others use before them, the whole program's last.

    outermost: makes the last one from the lines that make what lies in it; None for one that runs the program.
    """
    return _Maker(program, root, outermost).make()


class _Maker:
    def __init__(self, program: Program, root: Region, outermost: Outermost | None):
        self.program = program
        self.outermost = outermost
        self.root = root
        self.memory = Memory(program)
        self.top = slots(program, root)
        self.slot_of = {slot.path: slot for slot in _all(self.top)}
        self.calls: dict[Region, Call] = {}

    def make(self) -> list[ClassDef]:
        regions = [r for r in self.root.regions() if self.slot_of[r.path].is_class or r is self.root]
        heights = _heights(regions)
        order = {region: i for i, region in enumerate(regions)}
        made: dict[int, ClassDef] = {}
        for level in sorted(set(heights.values())):
            same_skeleton: dict[Any, Group] = {}
            for region in [r for r in regions if heights[r] == level]:
                draft = self.draft(region)
                same_skeleton.setdefault(draft.skeleton(), []).append(Member(region, draft, draft.holes()))
            groups = absorb_shortened(list(same_skeleton.values()), self.draft)
            for group in absorb_unadded(groups, self.draft):
                made[min(order[member.region] for member in group)] = self.merge(group)
        classes = [made[i] for i in sorted(made)]
        give_names(classes)
        return classes

    def draft(self, region: Region, without: frozenset[str] = frozenset(), unadded: bool = False) -> ClassDef:
        """The class of one region alone, with a hole for each literal.

        without: children that are left out of it. unadded: leave out the addition of its input that it ends in.
        """
        slot = self.slot_of[region.path]
        if region is self.root and self.outermost:
            return self.outermost([Line("super().__init__()", ""), *self.declarations(slot, slot), *self.ties()])
        kind = region.kind or "Stitched"
        if region.kind == "Sequential":
            kind = class_name(region.path.split(".")[-1])
        children = set(slot.children)
        if is_chain(region) and slot.numbered:
            steps = self.sequence(slot, "super().__init__(", ")")
            setup = [Line("", steps), *(self.ties() if region is self.root else ())]
            return ClassDef(kind, "nn.Sequential", setup, None, [region.path], children=children)
        base, setup = "nn.Module", [Line("super().__init__()", "")]
        if slot.leaf is not None:
            layer = constructor(slot.leaf, slot.path)
            assert isinstance(layer, Call)
            base, setup = str(layer.head), [Line("", Call("super().__init__", layer.args))]
            children |= {name for name, _ in slot.leaf.named_parameters()}
        setup += [line for line in self.declarations(slot, slot) if not line.makes(without)]
        setup += self.ties() if region is self.root else ()
        items = find_loops(region.items, lambda path: loop_over(slot, path) if path else None)
        skipped = frozenset(slot.children[name].path for name in without)
        body = write_body(
            region, items, lambda path: self.access(slot, path), self.program.leaves, self.memory, skipped, unadded
        )
        return ClassDef(kind, base, setup, body, [region.path], children=children)

    def ties(self) -> list[Line]:
        """The lines that make parameters of several names one, at the end of the whole program's `__init__`."""

        def said(key: str) -> str:
            path, _, name = key.rpartition(".")
            return f"{access(self.top, path) if path else 'self'}.{name}"

        return [Line(f"{said(a)} = ", said(b)) for a, b in tied_keys(self.program.state_dict()).items()]

    def access(self, slot: Slot, path: str) -> str:
        return "super().forward" if path == slot.path else access(slot, path)

    def declarations(self, owner: Slot, slot: Slot) -> Iterator[Line]:
        """The lines that make all children of `slot`, in the order in which they are called."""
        for name, child in slot.children.items():
            here = access(owner, child.path)
            if child.tensor is not None:
                holder = "self" if slot is owner else access(owner, slot.path)
                yield _tensor(holder, name, here, child.tensor)
                continue
            if slot is owner:
                module = self.module(child)
                yield (
                    Line(f"{here} = ", module)
                    if is_name(name)
                    else Line(f"self.add_module({quoted(name)}, ", module, ")")
                )
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
            only = pieces[0]
            if len(pieces) == 1 and isinstance(only, Repeat):
                return Bracketed("nn.ModuleList(", (Repeat(only.count, only.items, star=False),), ")")
            return Bracketed("nn.ModuleList([", pieces, "])")
        if span := _numbered(named, pairs=False):
            return Bracketed("nn.ModuleDict({", (span,), "})")
        return Bracketed("nn.ModuleDict({", tuple(named.values()), "})", tuple(named))

    def sequence(self, slot: Slot, opening: str, closing: str) -> Bracketed:
        pieces = tuple(self.module(child) for child in slot.children.values())
        if slot.contiguous:
            return Bracketed(opening, _repeats(list(pieces)), closing)
        if span := _numbered(dict(zip(slot.children, pieces, strict=True)), pairs=True):
            return Bracketed(opening, (Bracketed("OrderedDict(", (span,), ")"),), closing)
        pairs = Bracketed("OrderedDict([", tuple(pieces), "])", tuple(slot.children))
        return Bracketed(opening, (pairs,), closing)

    def merge(self, group: Group) -> ClassDef:
        """One class for a group; every region learns how to call it."""
        made = group[0].draft
        in_setup = sum(1 for line in made.setup for _ in holes(line.piece))
        taken = made.children | set(dir(nn.Module)) | set(made.body.parameters if made.body else ())
        unified = unify([member.holes for member in group], taken)
        flags = tuple(Parameter(flag, False, "bool") for flag in made.flags)
        made.paths = [member.region.path for member in group]
        made.parameters, made.fills = (*unified.parameters, *flags), unified.fills
        stored = {name for names in unified.used[in_setup:] for name in names} | {
            f for f in made.flags if made.reads(f)
        }
        made.stored = tuple(p.name for p in made.parameters if p.name in stored)
        for member, values in zip(group, unified.arguments, strict=True):
            given = (*values, *(flag not in member.absent for flag in made.flags))
            args = [
                ("" if p.default is ... else p.name, Hole(value, p.name, p.default))
                for p, value in zip(made.parameters, given, strict=True)
            ]
            self.calls[member.region] = Call(made, tuple(args))
        return made


def _all(slot: Slot) -> Iterator[Slot]:
    yield slot
    for child in slot.children.values():
        yield from _all(child)


def _tensor(owner: str, name: str, here: str, tensor: Tensor) -> Line:
    """`self.scale = nn.Parameter(torch.empty(96))`, or a buffer."""
    dims: list[Any] = [part for n in tensor.shape for part in (", ", Hole(n, "extent"))][1:]
    made: tuple[Any, ...] = ("torch.empty(", *(dims or ["()"]))
    if tensor.dtype != torch.float32:
        made += (f", dtype={tensor.dtype}",)
    if isinstance(tensor, nn.Parameter):
        return Line(f"{here} = ", Text(("nn.Parameter(", *made, "))")))
    return Line(f"{owner}.register_buffer({quoted(name)}, ", Text((*made, ")")), ")")


def _numbered(named: dict[str, Piece], pairs: bool) -> Numbered | None:
    """Equal pieces under names that count up, `layer3`, `layer4` and so on, as one comprehension."""
    names = [re.fullmatch(r"(\w*?)(\d+)", name) for name in named]
    if len(named) < 2 or len(set(named.values())) > 1 or not all(names):
        return None
    prefixes = {match[1] for match in names if match}
    numbers = [int(match[2]) for match in names if match]
    prefix = prefixes.pop()
    span = range(numbers[0], numbers[-1] + 1)
    if prefixes or [f"{prefix}{i}" for i in span] != list(named):
        return None
    first, last = Hole(span.start, "first"), Hole(span.stop, "last")
    return Numbered(first, last, next(iter(named.values())), prefix, pairs)


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


def _heights(regions: list[Region]) -> dict[Region, int]:
    """How many classes deep each region is; the same for all of one kind, as far as they are not within each other."""
    within = {region: [r for r in region.regions() if r is not region and r in set(regions)] for region in regions}
    plain: dict[Region, int] = {}
    for region in regions:  # inner ones come first
        plain[region] = 1 + max((plain[r] for r in within[region]), default=0)
    heights = dict(plain)
    for _ in range(len(regions)):
        before = dict(heights)
        tallest: dict[str, int] = {}
        for region in regions:
            heights[region] = max(heights[region], 1 + max((heights[r] for r in within[region]), default=0))
            tallest[region.kind] = max(tallest.get(region.kind, 0), heights[region])
        heights = {region: tallest[region.kind] for region in regions}
        if heights == before:
            return heights
        if max(heights.values()) > 2 * len(regions):
            break
    return plain
