"""Classes that differ in one optional child or in a residual addition are merged into one class with a flag."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from .body import shortcut_added
from .definition import ClassDef, Line
from .regroup import Region
from .text import ANY, Bracketed, Code, Hole, Piece, Text, holes, skeleton


@dataclass(frozen=True)
class Member:
    """A region as an instance of a class: its literals in the order of the class's holes, and the flags it lacks."""

    region: Region
    draft: ClassDef
    holes: list[Hole]
    absent: frozenset[str] = frozenset()


#: Instances of one class. The first one's draft is the class.
Group = list[Member]


def absorb_shortened(groups: list[Group], draft: Callable[[Region, frozenset[str]], ClassDef]) -> list[Group]:
    """A block without `downsample` is the block with it, where `downsample` returns what it is given.

    Groups whose class is another one without some of its children join that one; the children become optional.
    draft: makes the class of a region without some children.
    """
    left = sorted(groups, key=lambda g: len(g[0].draft.children))
    for short in list(left):
        for long in reversed(left):
            if short is not long and _join_shortened(short, long, draft):
                left.remove(short)
                break
    return [g for g in groups if any(g is kept for kept in left)]


def _join_shortened(short: Group, long: Group, draft: Callable[[Region, frozenset[str]], ClassDef]) -> bool:
    small, large = short[0].draft, long[0].draft
    if small.body is None and large.body is None:
        return _join_prefix(short, long)
    missing = frozenset(large.children - small.children)
    lines = [line for line in large.setup if line.makes(missing)]
    if small.kind != large.kind or not missing or small.flags or len(lines) != len(missing):
        return False
    if not _pass_through(long[0].region, missing):
        return False
    without = draft(long[0].region, missing)
    first_of_long = Member(long[0].region, large, large.holes())
    if without.skeleton() != small.skeleton() or _in_body(without) != _in_body(first_of_long.draft):
        return False
    for member in short:
        given = iter(member.holes)
        aligned: list[Hole] = []
        for line in large.setup:
            for hole in holes(line.piece):
                aligned.append(replace(hole, value=ANY) if line.makes(missing) else next(given))
        long.append(replace(member, holes=[*aligned, *given], absent=member.absent | missing))
    large.setup = [_optional(line, missing) for line in large.setup]
    large.flags = tuple(dict.fromkeys([*large.flags, *(f for f in _in_order(large) if f in missing)]))
    return True


def _join_prefix(short: Group, long: Group) -> bool:
    """A sequence that lacks the other's last step, where that is an activation, has `nn.Identity()` there."""
    a, b = (group[0].draft.setup[0].piece for group in (short, long))
    if not (isinstance(a, Bracketed) and isinstance(b, Bracketed)) or short[0].draft.kind != long[0].draft.kind:
        return False
    if a.keys or b.keys or len(a.items) != len(b.items) - 1 or not isinstance(b.items[-1], Hole):
        return False
    if skeleton(a) != skeleton(replace(b, items=b.items[:-1])):
        return False
    nothing = replace(b.items[-1], value=Code("nn.Identity()"))
    long += [replace(member, holes=[*member.holes, nothing]) for member in short]
    return True


def _pass_through(region: Region, names: frozenset[str]) -> bool:
    """Whether each of these children is called once, on one value, and gives one value of the same shape or layout."""
    for name in names:
        path = f"{region.path}.{name}".lstrip(".")
        calls = [i for i in region.items if (i.path if isinstance(i, Region) else i.target) == path]
        if len(calls) != 1:
            return False
        call = calls[0]
        if isinstance(call, Region):
            if len(call.inputs) != 1 or len(call.outputs) != 1:
                return False
        elif len(call.all_input_nodes) != 1 or len(call.args) != 1 or call.kwargs:
            return False
    return True


def _in_body(draft: ClassDef) -> list[Hole]:
    return [hole for _, piece in (draft.body.lines if draft.body else ()) for hole in holes(piece)]


def _in_order(draft: ClassDef) -> list[str]:
    return [line.before.removeprefix("self.").removesuffix(" = ") for line in draft.setup]


def _optional(line: Line, names: frozenset[str]) -> Line:
    if not line.makes(names):
        return line
    return replace(line, flag=line.before.removeprefix("self.").removesuffix(" = "))


def absorb_unadded(groups: list[Group], draft: Callable[..., ClassDef]) -> list[Group]:
    """Blocks that differ in whether they add their input to what they return become one, with a flag `residual`.

    draft: makes the class of a region without that addition.
    """
    left = list(groups)
    for adding in groups:
        plain = next((g for g in left if g is not adding and _is_unadded(g, adding, draft)), None)
        if plain is not None and any(g is adding for g in left):
            _join_unadded(plain, adding)
            left = [g for g in left if g is not plain]
    return left


def _is_unadded(plain: Group, adding: Group, draft: Callable[..., ClassDef]) -> bool:
    a, b = plain[0].draft, adding[0].draft
    if a.body is None or b.body is None or a.flags or b.flags or a.kind != b.kind or "residual" in b.children:
        return False
    if shortcut_added(adding[0].region) is None or _without_addition(b.body.lines[-1][1]) is None:
        return False
    return draft(adding[0].region, frozenset(), True).skeleton() == a.skeleton()


def _without_addition(line: Piece) -> Text | None:
    """`return y` of `return y + x`, or of `return x + y`."""
    if not isinstance(line, Text) or line.parts[0] != "return ":
        return None
    if line.parts[-2:-1] == (" + ",):
        return Text(line.parts[:-2])
    return Text((line.parts[0], *line.parts[3:])) if line.parts[2:3] == (" + ",) else None


def _join_unadded(plain: Group, adding: Group) -> None:
    made = adding[0].draft
    assert made.body is not None
    depth, added = made.body.lines[-1]
    alone = _without_addition(added)
    assert alone is not None
    count = len(list(holes(alone)))  # its literals stand in both lines now
    made.body.lines[-1:] = [(depth, "if self.residual:"), (depth + 1, added), (depth, alone)]
    made.flags = ("residual",)
    adding[:] = [replace(m, holes=m.holes + m.holes[len(m.holes) - count :]) for m in adding]
    for m in plain:
        doubled = m.holes + m.holes[len(m.holes) - count :]
        adding.append(replace(m, holes=doubled, absent=m.absent | {"residual"}))
