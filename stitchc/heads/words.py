"""What the option `head` says, in words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ..passes.data.errors import InputError
from ..passes.data.option_kinds import Kind

#: No head beside each model's own.
PARENT = "parent"
#: Neighbours that vote, where nobody says how many.
NEIGHBOURS = 5
_CLASSES = "Write it like classes=281-285=cat,151-268=dog."
_ITEM = re.compile(r"(?P<first>[0-9]{1,8})(?:-(?P<last>[0-9]{1,8}))?=(?P<name>[^=,]+)")

Groups = dict[str, list[tuple[int, int]]]


@dataclass(frozen=True)
class Words:
    """A head as the option says it. kind: parent, classes, knn or linear. groups: of classes, for each new class the
    ranges of old ones that it stands for, first and last. neighbours: of knn."""

    kind: str
    groups: Groups | None = None
    neighbours: int = NEIGHBOURS

    @property
    def learned(self) -> bool:
        """Whether it is made from labelled images."""
        return self.kind in ("knn", "linear")


@dataclass(frozen=True)
class Head(Kind):
    """`parent`, `knn`, `knn=7`, `linear`, or `classes=281-285=cat,151-268=dog`."""

    @property
    def metavar(self) -> str:
        return "parent|knn[=K]|linear|classes=..."

    def read(self, name: str, value: Any) -> str:
        words_of(str(value))
        return str(value)


def words_of(text: str) -> Words:
    """What the text of a head says.

    Raises:
        InputError: the text is no head, or a class is named twice.
    """
    kind, given, words = text.partition("=")
    if kind == "classes":
        return Words(kind, _groups(text, words))
    if kind == "knn" and (not given or re.fullmatch(r"[1-9][0-9]{0,5}", words)):
        return Words(kind, neighbours=int(words) if given else NEIGHBOURS)
    if given or kind not in (PARENT, "knn", "linear"):
        raise InputError(
            f"'{text}' is no head",
            f"There are {PARENT}, knn (or knn=7 for seven neighbours), linear, and a map of classes. {_CLASSES}",
        )
    return Words(kind)


def _groups(text: str, words: str) -> Groups:
    found: Groups = {}
    named: list[tuple[int, int, str]] = []
    for item in words.split(","):
        match = _ITEM.fullmatch(item.strip())
        if match is None:
            raise InputError(f"'{item}' is no class, or range of classes, with the name of a new one", _CLASSES)
        first, last = int(match["first"]), int(match["last"] or match["first"])
        if last < first:
            raise InputError(f"'{item}' holds no class", _CLASSES)
        named.append((first, last, item))
        found.setdefault(match["name"].strip(), []).append((first, last))
    for (_, last, one), (first, _, other) in pairwise(sorted(named)):
        if first <= last:
            raise InputError(f"'{one}' and '{other}' hold the same class", _CLASSES)
    if len(found) < 2:
        raise InputError(f"'{text}' makes one class of all", f"A classifier has two or more. {_CLASSES}")
    return found
