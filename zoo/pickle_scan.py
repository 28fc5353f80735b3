"""What a pickle would do, found out without doing it.

A pickle is a program for a machine with a stack. Here the machine runs with the sizes of values in place of the values:
so the classes and functions that the pickle would call are known, and so is whether it builds tuples that take for ever
to hash (a pair of pairs of pairs of ... of one object needs 60 steps to write down and 2^60 to hash).
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

_MOST_HASHED = 100_000  # values in one tuple, those in the tuples within it counted each time
_TODAY = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # names of modules in Python 3
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
_GETS = ("GET", "BINGET", "LONG_BINGET")


@dataclass
class Seen:
    """What pickles would do. named: the classes and functions that they call. protocol: their highest version."""

    named: set[str] = field(default_factory=set)
    protocol: int = 0


class _Item(NamedTuple):
    """A value on the stack: how much there is to hash, and the text if it is one."""

    weight: int = 1
    text: str = ""


def scan(stream: BinaryIO, seen: Seen) -> None:
    """Goes through one pickle, to its end, and adds to `seen` what it would do.

    Raises:
        ValueError, IndexError, KeyError: it is broken, or builds what takes for ever to hash.
    """
    machine = _Machine(seen)
    for op, argument, _ in pickletools.genops(stream):
        machine.step(op, argument)


class _Machine:
    def __init__(self, seen: Seen):
        self.seen = seen
        self.stack: list[_Item | None] = []  # None is a mark
        self.memo: dict[int, _Item] = {}

    def step(self, op: Any, argument: Any) -> None:
        name = op.name
        if name == "PROTO":
            self.seen.protocol = max(self.seen.protocol, argument)
        elif name == "MARK":
            self.stack.append(None)
        elif name in ("GLOBAL", "INST", "STACK_GLOBAL"):
            self.name(name, argument)
        elif name.startswith("TUPLE"):
            self.join({"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}.get(name))
        elif name in _PUTS:
            self.memo[len(self.memo) if argument is None else argument] = self.top()
        elif name in _GETS:
            self.stack.append(self.memo[argument])
        elif name == "DUP":
            self.stack.append(self.top())
        elif name in ("REDUCE", "NEWOBJ"):  # whatever it makes of its arguments, it may hold them
            arguments = self.pop()
            self.pop()
            self.stack.append(_Item(arguments.weight))
        else:
            self.other(op, argument)

    def name(self, name: str, argument: Any) -> None:
        """A class or function is looked up."""
        if name == "STACK_GLOBAL":
            text, module = self.pop().text, self.pop().text
        else:
            module, _, text = argument.partition(" ")
        if name == "INST":
            self.pop_to_mark()
        self.seen.named.add(f"{_TODAY.get(module, module)}.{text}")
        self.stack.append(_Item())

    def join(self, count: int | None) -> None:
        """The topmost values, or all to the mark, become a tuple."""
        items = self.pop_to_mark() if count is None else [self.pop() for _ in range(count)]
        weight = 1 + sum(item.weight for item in items)
        if weight > _MOST_HASHED:
            raise ValueError("it nests tuples in tuples until they cannot be compared any more")
        self.stack.append(_Item(weight))

    def other(self, op: Any, argument: Any) -> None:
        """Any other step: it takes from the stack, and puts on it, what its description says."""
        before = op.stack_before
        if pickletools.markobject in before:
            self.pop_to_mark()
            before = before[: before.index(pickletools.markobject)]
        for _ in before:
            self.stack.pop()
        self.stack.extend(_Item(text=argument if isinstance(argument, str) else "") for _ in op.stack_after)

    def top(self) -> _Item:
        item = self.stack[-1]
        if item is None:
            raise ValueError("a value is missing")
        return item

    def pop(self) -> _Item:
        item = self.top()
        self.stack.pop()
        return item

    def pop_to_mark(self) -> list[_Item]:
        items: list[_Item] = []
        while (item := self.stack.pop()) is not None:
            items.append(item)
        return items
