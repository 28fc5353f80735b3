"""Heads for classes that the models do not have: what is put behind each model as it is loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

from .passes.data.errors import InputError
from .passes.data.model import Model
from .passes.data.option_kinds import Kind

#: No head beside each model's own.
PARENT = "parent"
_EXAMPLE = "Write it like classes=281-285=cat,151-268=dog."
_ITEM = re.compile(r"(?P<first>\d+)(?:-(?P<last>\d+))?=(?P<name>[^=,]+)")


@dataclass(frozen=True)
class Head(Kind):
    """`parent`, or `classes=281-285=cat,151-268=dog`."""

    @property
    def metavar(self) -> str:
        return "parent|classes=..."

    def read(self, name: str, value: Any) -> str:
        groups(str(value))
        return str(value)


def groups(text: str) -> dict[str, list[tuple[int, int]]]:
    """Of each new class the ranges of old ones that it stands for, first and last; none for `parent`.

    Raises:
        InputError: the text is no head, or a class is named twice.
    """
    if text == PARENT:
        return {}
    kind, _, words = text.partition("=")
    if kind != "classes":
        raise InputError(f"'{text}' is no head", f"There are {PARENT} and a map of classes. {_EXAMPLE}")
    found: dict[str, list[tuple[int, int]]] = {}
    taken: set[int] = set()
    for item in words.split(","):
        match = _ITEM.fullmatch(item.strip())
        if match is None:
            raise InputError(f"'{item}' is no class, or range of classes, with the name of a new one", _EXAMPLE)
        first, last = int(match["first"]), int(match["last"] or match["first"])
        here = set(range(first, last + 1))
        if not here or here & taken:
            raise InputError(f"'{item}' holds no class, or one that is named before", _EXAMPLE)
        taken |= here
        found.setdefault(match["name"].strip(), []).append((first, last))
    if len(found) < 2:
        raise InputError(f"'{text}' makes one class of all", f"A classifier has two or more. {_EXAMPLE}")
    return found


def with_head(model: Model, head: str) -> Model:
    """The model with the head behind it. Its record's accuracy is that of its own classes, so it is not taken over.

    Raises:
        InputError: the model has no such classes.
    """
    wanted = groups(head)
    if not wanted:
        return model
    from .class_map import ClassMap
    from .classes import outputs_of

    most = max(last for ranges in wanted.values() for _, last in ranges)
    outputs = outputs_of(model)
    if outputs is not None and most >= outputs:
        raise InputError(
            f"`head={head!r}` names class {most}, and {model.name} has {outputs}, 0 to {outputs - 1}",
            "Name classes that all models have.",
        )
    network = ClassMap(model.network, wanted).eval()
    return replace(model, module=network, classes=len(wanted), class_names=tuple(wanted), accuracy=None)
