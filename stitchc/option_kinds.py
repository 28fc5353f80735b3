"""What options of the verbs may be, beside the kinds that options of passes are of (`passes/data/option_kinds.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from .passes.data.budget import Limit
from .passes.data.errors import InputError
from .passes.data.option_kinds import Choice, Count, Kind


@dataclass(frozen=True)
class Limits(Kind):
    """A budget: text such as `flops=12M`, several of it, or a mapping from metrics to amounts."""

    several: ClassVar[bool] = True

    def read(self, name: str, value: Any) -> Any:
        if isinstance(value, str | Limit):
            return (value,)
        if isinstance(value, Iterable):
            return value
        raise InputError(f"`{name}` is {value!r}", "Write it as text with its unit, such as '12M' or '60%'.")

    def plain(self, value: Iterable[Limit]) -> list[str]:
        return [limit.text() for limit in value]


@dataclass(frozen=True, init=False)
class Device(Choice):
    """A kind of device, or one of several of a kind, as `cuda:1`."""

    def read(self, name: str, value: Any) -> str:
        kind, _, number = str(value).partition(":")
        return f"{super().read(name, kind)}:{number}" if number.isdecimal() else super().read(name, value)


@dataclass(frozen=True)
class Subjects(Kind):
    """Several models, by their words or loaded; one alone need not be a list."""

    several: ClassVar[bool] = True

    def read(self, name: str, value: Any) -> tuple[Any, ...]:
        return tuple(value) if isinstance(value, list | tuple) else (value,)

    def check(self, value: Sequence[Any]) -> None:
        from .zoo.present import check_model

        for words in value:
            check_model(str(words))


@dataclass(frozen=True)
class Pictures(Kind):
    """Images, by their words or loaded."""

    def check(self, value: Any) -> None:
        from .zoo.image_words import parse

        parse(value)


@dataclass(frozen=True)
class Sides(Kind):
    """Heights and widths of images in pixels: a sequence, or text with commas; or a word."""

    WORDS: ClassVar[tuple[str, ...]] = ("own", "auto")

    @property
    def metavar(self) -> str:
        return "own|auto|N,N"

    def read(self, name: str, value: Any) -> str | tuple[int, ...]:
        if value in self.WORDS:
            return value
        words = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else [value]
        return tuple(Count(1).read(name, word) for word in words)

    def text(self, value: Any) -> str:
        return value if isinstance(value, str) else ",".join(map(str, value))
