"""What an option may be: how its value is read, from Python, from a recipe or from a command line, and how written."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from .errors import InputError, StitchError, unknown

N = TypeVar("N", bound=Any)  # a frozen dataclass of numbers, with a field `seconds`


@dataclass(frozen=True)
class Kind:
    """Any value: text, or the object that the text names.

    several: whether a command line may give it several times.
    """

    several: ClassVar[bool] = False

    @property
    def metavar(self) -> str:
        """What stands for the value in help."""
        return "TEXT"

    def read(self, name: str, value: Any) -> Any:
        """The value of the option `name`, from text or as Python has it.

        Raises:
            InputError: it cannot be that.
        """
        return value

    def check(self, value: Any) -> None:
        """Refuses words that name what is not there, as far as can be told before anything is loaded.

        Raises:
            StitchError: they do.
        """

    def plain(self, value: Any) -> Any:
        """The value as a recipe states it: text, a number, a boolean, or a list of them."""
        if isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, Path):
            return str(value)
        if isinstance(value, Sequence):
            return [self.plain(item) for item in value]
        return getattr(value, "source", "") or getattr(value, "name", value)

    def text(self, value: Any) -> str:
        """The value as a command line takes it."""
        return str(self.plain(value))


@dataclass(frozen=True)
class Text(Kind):
    """Text: a name or a path."""

    def read(self, name: str, value: Any) -> Any:
        if isinstance(value, str | Path):
            return value
        raise InputError(f"`{name}` is {value!r}", "It must be text.")


@dataclass(frozen=True)
class Texts(Text):
    """Several texts, in an order that matters; a single one need not be in a list."""

    several: ClassVar[bool] = True

    def read(self, name: str, value: Any) -> tuple[Any, ...]:
        words = [value] if isinstance(value, str | Path) else value
        return tuple(super(Texts, self).read(name, word) for word in words)


@dataclass(frozen=True)
class Switch(Kind):
    """Yes or no."""

    def read(self, name: str, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        raise InputError(f"`{name}` is {value!r}", "It must be true or false.")

    def text(self, value: Any) -> str:
        return "yes" if value else "no"


@dataclass(frozen=True, init=False)
class Choice(Kind):
    """One of several names: a fixed list or, where other packages can add names, a function that lists them."""

    words: tuple[str, ...] | Callable[[], Iterable[str]]

    def __init__(self, *words: str, known: Callable[[], Iterable[str]] | None = None):
        object.__setattr__(self, "words", known or words)

    @property
    def known(self) -> tuple[str, ...]:
        return self.words if isinstance(self.words, tuple) else tuple(self.words())

    @property
    def metavar(self) -> str:
        return "|".join(self.known)

    def read(self, name: str, value: Any) -> str:
        if value in self.known:
            return value
        raise unknown(value, f"value of `{name}`", self.known)


@dataclass(frozen=True, init=False)
class Choices(Choice):
    """Several of some names, in an order that matters: a sequence, or text with commas; `none` for an empty one."""

    @property
    def metavar(self) -> str:
        return "NAME,..."

    def read(self, name: str, value: Any) -> tuple[str, ...]:  # type: ignore[override]
        words = value.split(",") if isinstance(value, str) else value
        return tuple(Choice.read(self, name, word) for word in words if word not in ("", "none"))

    def text(self, value: Any) -> str:
        return ",".join(value) or "none"


@dataclass(frozen=True)
class Number(Kind):
    """A number from `least` to `most`, both included unless `above`: then it is more than `least`."""

    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    what: ClassVar[str] = "a number"

    @property
    def metavar(self) -> str:
        return "X"

    def read(self, name: str, value: Any) -> Any:
        number = self.convert(value)
        if number is not None and self._admits(number):
            return number
        raise InputError(f"`{name}` is {value}", f"It must be {self.what}{self._range()}.")

    def convert(self, value: Any) -> Any:
        """The number that `value` is or says; None if none."""
        try:
            return None if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            return None

    def text(self, value: Any) -> str:
        return f"{value:g}"

    def _admits(self, number: float) -> bool:
        return math.isfinite(number) and number <= self.most and (number > self.least if self.above
                                                                  else number >= self.least)  # fmt: skip

    def _range(self) -> str:
        if self.most < math.inf:
            return f" {'above' if self.above else 'from'} {self.least:g} to {self.most:g}"
        if self.least == -math.inf:
            return ""
        return f"{' above' if self.above else ', at least'} {self.least:g}"


@dataclass(frozen=True)
class Count(Number):
    """A whole number from `least` to `most`."""

    what: ClassVar[str] = "a whole number"

    @property
    def metavar(self) -> str:
        return "N"

    def convert(self, value: Any) -> int | None:
        number = super().convert(value)
        return int(number) if number is not None and math.isfinite(number) and number == int(number) else None

    def text(self, value: Any) -> str:
        return str(value)


@dataclass(frozen=True)
class Share(Number):
    """A share of a whole, from 0 to `most`: 0.1, or the text `10%`."""

    least: float = 0.0
    most: float = 1.0
    what: ClassVar[str] = "a share such as 10%,"

    @property
    def metavar(self) -> str:
        return "Q"

    def convert(self, value: Any) -> float | None:
        if isinstance(value, str) and value.strip().endswith("%"):
            percent = super().convert(value.strip().removesuffix("%"))
            return None if percent is None else percent / 100
        return super().convert(value)

    def text(self, value: Any) -> str:
        return f"{100 * value:g}%"


@dataclass(frozen=True)
class Bytes(Kind):
    """A size in memory: a number of bytes, or text such as `500MiB`."""

    @property
    def metavar(self) -> str:
        return "Q"

    def read(self, name: str, value: Any) -> int:
        from .budget import parse_quantity

        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        try:
            limit = parse_quantity(str(value), "memory")
        except StitchError as error:
            raise InputError(f"`{name}`: {error.message}", error.hint) from error
        if limit.relative:
            raise InputError(f"`{name}` is {value}", "It must be a size such as 2GiB.")
        return int(limit.value)

    def text(self, value: Any) -> str:
        for unit, power in (("GiB", 30), ("MiB", 20), ("KiB", 10)):
            if value and value % (1 << power) == 0:
                return f"{value >> power}{unit}"
        return str(value)


@dataclass(frozen=True)
class Effort(Kind):
    """How much time is spent: one of `words`, or seconds, as a number or text such as `60s`."""

    words: tuple[str, ...] = ()

    @property
    def metavar(self) -> str:
        return "Q"

    def read(self, name: str, value: Any) -> str | float:
        if value not in self.words:
            self.seconds(name, value)
        return value

    def seconds(self, name: str, value: Any) -> float:
        """The seconds that the value says.

        Raises:
            InputError: the value is no positive number of seconds.
        """
        try:
            found = float(str(value).removesuffix("s"))
        except ValueError:
            found = -1.0
        if not 0 < found < math.inf:
            raise unknown(value, name, [*self.words, "seconds such as 60s"])
        return found

    def numbers(self, name: str, value: Any, behind: Mapping[str, N]) -> N:
        """What an effort stands for. behind: the numbers of each word; a time has those of the last, the highest, as
        upper limits, and its `seconds`.

        Raises:
            InputError: the value is no effort.
        """
        if value in self.words:
            return behind[value]
        return replace(behind[self.words[-1]], seconds=self.seconds(name, value))


@dataclass(frozen=True)
class Work(Kind):
    """How long something is trained: a time such as `60s` or `2min`, or a number of steps, such as `200 steps`."""

    @property
    def metavar(self) -> str:
        return "Q"

    def read(self, name: str, value: Any) -> str:
        number, unit = self._parts(name, value)
        return f"{number:.15g}{' steps' if unit == 'steps' else 's'}"

    def seconds(self, name: str, value: Any) -> float | None:
        """The time, None where steps are stated."""
        number, unit = self._parts(name, value)
        return None if unit == "steps" else number

    def steps(self, name: str, value: Any) -> int | None:
        """The steps, None where a time is stated."""
        number, unit = self._parts(name, value)
        return int(number) if unit == "steps" else None

    def _parts(self, name: str, value: Any) -> tuple[float, str]:
        match = re.fullmatch(r"\s*([0-9.]+)\s*(s|min|h|steps?)?\s*", str(value))
        try:
            number = float(match[1]) if match else 0.0
        except ValueError:
            number = 0.0
        unit = (match and match[2]) or "s"
        number *= {"min": 60, "h": 3600}.get(unit, 1)
        steps = unit.startswith("step")
        if not 0 < number < 1e9 or (steps and number != int(number)):
            raise InputError(f"`{name}` is {value}", "It must be a time such as 60s, or a number such as 200 steps.")
        return number, "steps" if steps else "s"
