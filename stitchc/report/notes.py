"""What a report says first: what was assumed, what fell back, what each model is fed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.text import Text

from ..documents import notes
from ..passes.data.plan import Plan
from ..passes.data.records import encode
from .numbers import shape


@dataclass(frozen=True)
class Notes:
    """A line a note, marked by a word as well as a colour."""

    notes: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Padding]:
        for note in self.notes:
            yield Padding(Text.assemble(("note: ", "yellow"), note), 0)


def heading(title: str, said: str = "") -> Text:
    """The head of a report: a name, and what there is to say of it in one line."""
    return Text.assemble((title, "bold"), "  " if said else "", said)


@dataclass(frozen=True)
class Inputs:
    """A line a model: the images that it is fed, and what of that nobody stated. inputs: name -> encoded InputSpec."""

    inputs: Mapping[str, Mapping[str, Any]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        for name, spec in self.inputs.items():
            yield Text(f"{name} is fed {fed(spec)}")


def fed(spec: Mapping[str, Any]) -> str:
    """An input in words: `3×32×32, mean 0.5, std 0.5, bilinear, crop 0.875 (assumed: interpolation, crop)`."""
    mean, std = (",".join(f"{value:.4g}" for value in dict.fromkeys(spec[key])) for key in ("mean", "std"))
    assumed = f" (assumed: {', '.join(spec['assumed'])})" if spec["assumed"] else ""
    sizes = shape(spec["size"])
    return f"{sizes}, mean {mean}, std {std}, {spec['interpolation']}, crop {spec['crop']:.4g}{assumed}"


def notes_of(plan: Plan) -> list[RenderableType]:
    """The notes of a plan and its models, and what these are fed, as the first parts of a report."""
    found = notes(plan)
    inputs = Inputs({model.name: encode(model.input) for model in plan.models})
    return [*([Notes(found)] if found else []), inputs]
