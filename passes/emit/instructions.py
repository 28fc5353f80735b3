"""The instructions of a `forward`: single nodes, calls of modules, and loops over lists of modules."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from torch.fx import Node
from torch.fx.node import map_arg

from ..graphs.conventions import target_name
from .regroup import Region, is_inline, path_of


@dataclass(eq=False)
class Loop:
    """Calls of all children of a container in turn, each on what the one before gave: `for block in self.blocks`."""

    items: tuple[Node | Region, ...]
    header: str
    variable: str


Instruction = Node | Region | Loop


def nodes_of(item: Instruction) -> Iterator[Node]:
    """The graph nodes inside an instruction, in order."""
    if isinstance(item, Region):
        yield from item.nodes()
    elif isinstance(item, Loop):
        for inner in item.items:
            yield from nodes_of(inner)
    else:
        yield item


def outputs_of(item: Instruction) -> tuple[Node, ...]:
    """The nodes whose values an instruction gives to others."""
    if isinstance(item, Region):
        return tuple(item.outputs)
    if isinstance(item, Loop):
        return outputs_of(item.items[-1])
    return () if item.target is operator.setitem else (item,)


def mentions(item: Instruction) -> Iterator[Node]:
    """The values that an instruction's expression names, as often as it names them."""
    if isinstance(item, Region):
        yield from item.inputs
    elif isinstance(item, Loop):
        yield from mentions(item.items[0])
    else:
        found: list[Node] = []
        map_arg((item.args, item.kwargs), lambda value: found.append(value))
        for value in found:
            if is_inline(value) and value.op != "get_attr":
                yield from mentions(value)
            else:
                yield value


def tuple_length(node: Node) -> int | None:
    """The length of the tuple that a node returns, where its arguments tell; else None."""
    name = target_name(node)
    source = node.args[0] if node.args and isinstance(node.args[0], Node) else None
    shape = source.meta.get("shape") if source is not None else None
    if shape is None or name not in ("unbind", "chunk", "split"):
        return None
    axis = node.kwargs.get("dim", (node.args[1:] or (0,))[-1] if name == "unbind" else (node.args[2:] or (0,))[0])
    if not isinstance(axis, int) or not isinstance(shape[axis], int):
        return None
    extent = shape[axis]
    if name == "unbind":
        return extent
    named = (node.kwargs[k] for k in ("chunks", "split_size_or_sections", "split_size") if k in node.kwargs)
    size = node.args[1] if len(node.args) > 1 else next(named, None)
    if isinstance(size, tuple | list):
        return len(size)
    if not isinstance(size, int):
        return None
    step = -(-extent // size) if name == "chunk" else size
    return -(-extent // step)


def parts_of(node: Node) -> int | None:
    """The length of a tensor's first axis, if it is 2 to 4: such a tensor may be unpacked into variables."""
    shape = node.meta.get("shape") or ("",)
    return shape[0] if isinstance(shape[0], int) and 2 <= shape[0] <= 4 else None


#: For a path: those of all children of the list it lies in, the header of a loop over them, and its variable.
Children = Callable[[str], tuple[list[str], str, str] | None]


def find_loops(items: list[Node | Region], children: Children) -> list[Instruction]:
    """The instructions, with each run of calls of all of a list's children in order as one Loop."""
    found: list[Instruction] = []
    i = 0
    while i < len(items):
        run = _run_from(items, i, children)
        if run is None:
            found.append(items[i])
            i += 1
        else:
            found.append(run)
            i += len(run.items)
    return found


def _run_from(items: list[Node | Region], i: int, children: Children) -> Loop | None:
    container = children(path_of(items[i]))
    if container is None:
        return None
    paths, header, variable = container
    run = items[i : i + len(paths)]
    if len(paths) < 2 or [path_of(item) for item in run] != paths or len(outputs_of(run[-1])) != 1:
        return None
    if any(isinstance(item, Node) and (len(item.args) != 1 or item.kwargs) for item in run):
        return None
    return Loop(tuple(run), header, variable) if all(_follows(two, one) for one, two in pairwise(run)) else None


def _follows(item: Node | Region, before: Node | Region) -> bool:
    """Whether `item` is called on the output of `before` and the same further arguments, and nothing else reads that
    output."""
    given = outputs_of(before)
    (first, *rest), (second, *others) = mentions(before), mentions(item)
    if len(given) != 1 or second is not given[0] or rest != others or first in rest or second in others:
        return False
    return set(nodes_of(item)).issuperset(given[0].users)
