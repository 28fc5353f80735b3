"""What a pickle would do, found out without doing it.

A pickle is a program for a machine with a stack. Here the machine runs with what values look like in place of the
values: so the classes and functions that the pickle would call are known, and so is whether it builds tuples that take
for ever to hash (a pair of pairs of pairs of ... of one object needs 60 steps to write down and 2^60 to hash), or asks
for memory that the file does not fill (an array of 2^40 bytes is one step, and so is each doubling of a text).
"""

from __future__ import annotations

import pickletools
import re
from dataclasses import dataclass, field
from typing import Any, BinaryIO, NamedTuple

_MOST_HASHED = 100_000  # values in one tuple, those in the tuples within it counted each time
_MOST_STEPS = 2_000_000  # a checkpoint of ten thousand tensors has a third of that
_MOST_SHOWN = 100  # letters of what a value looks like
_TODAY = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # names of modules in Python 3
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE")
_GETS = ("GET", "BINGET", "LONG_BINGET")
#: What makes as much of nothing as it is told to, and what its arguments look like in a file that was saved: as `_Item`
#: has it, where 0 is the only number, t a text, v another value.
_MAKERS = {
    "builtins.bytearray": re.compile(r"\(\)|\(v\)|\(tt\)"),
    "_codecs.encode": re.compile(r"\(tt\)"),
    "numpy.core.multiarray._reconstruct": re.compile(r"\(v\(0\)[tv]\)"),
    "numpy._core.multiarray._reconstruct": re.compile(r"\(v\(0\)[tv]\)"),
}
_CODECS = ("latin1", "latin-1")  # by which bytes are written as text
#: The state of a kind of numbers as numpy writes it: no fields, and of flags none but the one that texts have.
_DTYPE = re.compile(r"\(itnnnii[08]\)")
_CLASSES = re.compile(r"torch\.(\w+\.)?\w*(Tensor|Storage)")  # which are named in a file, and not called


@dataclass
class Seen:
    """What pickles would do. named: the classes and functions that they call. protocol: their highest version. steps:
    how many they have together."""

    named: set[str] = field(default_factory=set)
    protocol: int = 0
    steps: int = 0


class _Item(NamedTuple):
    """A value on the stack.

    weight: how much there is to hash. text: itself if it is a text, of a tuple the last one in it. form: what it looks
    like: 0, 8, i (another whole number), t (text), n (None), v (anything else), (...) around those of a tuple.
    name: of a class or function, with "()" behind it of what that made.
    """

    weight: int = 1
    text: str = ""
    form: str = "v"
    name: str = ""


def scan(stream: BinaryIO, seen: Seen) -> None:
    """Goes through one pickle, to its end, and adds to `seen` what it would do.

    Raises:
        ValueError, IndexError, KeyError: it is broken, or builds what takes for ever to hash, or more than it holds.
    """
    machine = _Machine(seen)
    for op, argument, _ in pickletools.genops(stream):
        seen.steps += 1
        if seen.steps > _MOST_STEPS:
            raise ValueError(f"it has more than {_MOST_STEPS:,} steps, and no checkpoint needs as many")
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
            arguments, called = self.pop(), self.pop().name
            _check_call(called, arguments)
            self.stack.append(_Item(arguments.weight, name=f"{called}()"))
        elif name == "BUILD":
            state = self.pop()
            if self.top().name == "numpy.dtype()" and not _DTYPE.fullmatch(state.form):
                raise ValueError("it holds a kind of numbers that numpy does not write")
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
        found = f"{_TODAY.get(module, module)}.{text}"
        self.seen.named.add(found)
        self.stack.append(_Item(name=found))

    def join(self, count: int | None) -> None:
        """The topmost values, or all to the mark, become a tuple."""
        items = (self.pop_to_mark() if count is None else [self.pop() for _ in range(count)])[::-1]
        weight = 1 + sum(item.weight for item in items)
        if weight > _MOST_HASHED:
            raise ValueError("it nests tuples in tuples until they cannot be compared any more")
        if items and (items[0].name in _MAKERS or _CLASSES.fullmatch(items[0].name)):  # a function may call it
            raise ValueError(f"it hands on {items[0].name} to be called")
        form = "".join(item.form for item in items[:_MOST_SHOWN])[:_MOST_SHOWN]
        self.stack.append(_Item(weight, items[-1].text if items else "", f"({form})"))

    def other(self, op: Any, argument: Any) -> None:
        """Any other step: it takes from the stack, and puts on it, what its description says."""
        before = op.stack_before
        if pickletools.markobject in before:
            self.pop_to_mark()
            before = before[: before.index(pickletools.markobject)]
        for _ in before:
            self.stack.pop()
        text = argument if isinstance(argument, str) else ""
        self.stack.extend(_Item(text=text, form=_form(op, argument)) for _ in op.stack_after)

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


def _form(op: Any, argument: Any) -> str:
    """What the value of an operation without arguments from the stack looks like, as `_Item` has it."""
    if op.name == "NONE":
        return "n"
    if isinstance(argument, str):
        return "t"
    if isinstance(argument, int) and not isinstance(argument, bool):
        return str(argument) if argument in (0, 8) else "i"
    return "v"


def _check_call(called: str, arguments: _Item) -> None:
    """Raises:
    ValueError: it would make more than its arguments hold.
    """
    form = _MAKERS.get(called)
    coded = "tt" in arguments.form and arguments.text not in _CODECS
    if (form is not None and (not form.fullmatch(arguments.form) or coded)) or _CLASSES.fullmatch(called):
        raise ValueError(f"it calls {called} as no file that was saved does")
