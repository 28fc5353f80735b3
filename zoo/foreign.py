"""Documents that somebody else wrote, read with a type: records in checkpoints, plan.json, recipes, cache entries.

A reader takes a value and the place where it stands, and returns the value it was told to expect, or raises `Fault`
with that place: `record.mean[1] is not a finite number`. Readers are put together from others:

    RECORD = table({"name": text(), "size": listed(whole(1, 8192), 3, 3), "accuracy": optional(number(0, 1))})
    record = read(RECORD, content, "a.pt", BadCheckpoint)

`json_of` and `toml_of` parse text first, within limits of bytes and depth, so that no document can take all the memory
or the stack.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from stitchc.passes.data.errors import InputError, StitchError, did_you_mean

T = TypeVar("T")
#: Takes a value and where it stands; returns what it is, typed.
Reader = Callable[[Any, str], T]

MOST_BYTES = 16 * 2**20
MOST_DEPTH = 64
MOST_VALUES = 4_000_000  # in one document: an empty list takes 3 bytes there and 64 in memory
MOST_KEY_PARTS = 16  # of a dotted key in TOML, whose parser takes time with the square of them


class Fault(ValueError):
    """A value that is not what its reader expects. place: where it stands. reason: what is wrong with it."""

    def __init__(self, place: str, reason: str):
        super().__init__(f"{place} {reason}")
        self.place = place
        self.reason = reason


def read(
    reader: Reader[T], value: Any, where: str, error: type[StitchError] = InputError, hint: str = "Write it again."
) -> T:
    """`value` as `reader` types it. where: the document, for the message.

    Raises:
        error: it is something else; the message names the place in the document.
    """
    try:
        return reader(value, "")
    except Fault as fault:
        raise error(f"{where}: {fault.place or 'it'} {fault.reason}", hint) from fault


def json_of(text: str | bytes, *, most_bytes: int = MOST_BYTES, most_depth: int = MOST_DEPTH) -> Any:
    """The value of a JSON text: no NaN or Infinity, no key twice in an object.

    Raises:
        Fault: it is no such JSON, or is larger or deeper than allowed.
    """
    text = _decoded(text, most_bytes)
    if sum(map(text.count, ",[{")) > MOST_VALUES:
        raise Fault("it", f"holds more than {MOST_VALUES:,} values")
    _check_depth(text, most_depth)
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_without_repeats)
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, Fault) else Fault("it", f"is no JSON: {error}") from error


def toml_of(text: str | bytes, *, most_bytes: int = 2**20, most_depth: int = MOST_DEPTH) -> dict[str, Any]:
    """The table of a TOML text; a byte-order mark before it is passed over.

    Raises:
        Fault: it is no TOML, or is larger or deeper than allowed.
    """
    text = _decoded(text, most_bytes).removeprefix("\ufeff")
    _check_depth(text, most_depth)
    for number, line in enumerate(text.splitlines(), 1):
        bare = re.sub(r"\"[^\"]*\"|'[^']*'", "x", line).partition("#")[0].replace(" ", "").replace("\t", "")
        if any(key.count(".") >= MOST_KEY_PARTS for key in re.findall(r"[\w.-]+", bare)):
            raise Fault(f"line {number}", f"has a key of more than {MOST_KEY_PARTS} parts")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise Fault("it", f"is no TOML: {error}") from error


def text(most: int = 300) -> Reader[str]:
    """One line of text, of at most `most` characters, all printable."""

    def reader(value: Any, place: str) -> str:
        if not isinstance(value, str):
            raise Fault(place, f"is {_kind(value)}, not a text")
        if len(value) > most:
            raise Fault(place, f"is a text of {len(value):,} characters; at most {most} are read")
        if not value.isprintable():
            raise Fault(place, "is not one line of printable characters")
        return value

    return reader


def characters(most: int = 100_000) -> Reader[str]:
    """Any characters, at most `most`: a name may be that of an odd file. Whoever writes it somewhere escapes it."""

    def reader(value: Any, place: str) -> str:
        if not isinstance(value, str):
            raise Fault(place, f"is {_kind(value)}, not a text")
        if len(value) > most:
            raise Fault(place, f"is a text of {len(value):,} characters; at most {most:,} are read")
        return value

    return reader


def whole(least: int, most: int) -> Reader[int]:
    """A whole number from `least` to `most`; 3.0 is one, True is none."""

    def reader(value: Any, place: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value % 1:
            raise Fault(place, f"is {_kind(value)}, not a whole number")
        if not least <= value <= most:
            raise Fault(place, f"is {_short(value)}, not between {least:,} and {most:,}")
        return int(value)

    return reader


def number(least: float = -math.inf, most: float = math.inf, *, above: bool = False) -> Reader[float]:
    """A finite number from `least` (with `above`, greater than it) to `most`."""

    def reader(value: Any, place: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Fault(place, f"is {_kind(value)}, not a number")
        if not abs(value) < 1e308:
            raise Fault(place, "is not a finite number")
        if not least <= value <= most or (above and value == least):
            raise Fault(
                place, f"is {_short(value)}, not {'above' if above else 'at least'} {least:g}, at most {most:g}"
            )
        return float(value)

    return reader


def flag(value: Any, place: str) -> bool:
    """true or false."""
    if not isinstance(value, bool):
        raise Fault(place, f"is {_kind(value)}, not true or false")
    return value


def choice(*known: str) -> Reader[str]:
    """One of a few words."""

    def reader(value: Any, place: str) -> str:
        if not isinstance(value, str) or value not in known:
            raise Fault(place, f"is {_short(value)}, not one of {', '.join(known)}")
        return value

    return reader


def listed(item: Reader[T], least: int = 0, most: int = 1000) -> Reader[tuple[T, ...]]:
    """A list of `least` to `most` items."""

    def reader(value: Any, place: str) -> tuple[T, ...]:
        if not isinstance(value, list | tuple):
            raise Fault(place, f"is {_kind(value)}, not a list")
        if not least <= len(value) <= most:
            count = f"{least}" if least == most else f"{least} to {most}"
            raise Fault(place, f"has {len(value):,} items, not {count}")
        return tuple(item(one, f"{place}[{index}]") for index, one in enumerate(value))

    return reader


def optional(inner: Reader[T]) -> Reader[T | None]:
    """`inner`, or null."""
    return lambda value, place: None if value is None else inner(value, place)


def table(
    fields: Mapping[str, Reader[Any]], *, required: Sequence[str] = (), others: bool = False
) -> Reader[dict[str, Any]]:
    """A table with these keys, `required` ones among them. others: leave out keys that are none of them; without, they
    are refused, as what is written must be used."""

    def reader(value: Any, place: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise Fault(place, f"is {_kind(value)}, not a table")
        prefix = f"{place}." if place else ""
        for key in required:
            if key not in value:
                raise Fault(f"{prefix}{key}", "is missing")
        for key in value:
            if key not in fields and not others:
                near = did_you_mean(key, list(fields)) if isinstance(key, str) and len(key) < 100 else ""
                raise Fault(f"{prefix}{_short(key)}", f"is no key that is known here. {near}".strip())
        return {key: fields[key](one, f"{prefix}{key}") for key, one in value.items() if key in fields}

    return reader


def mapping(item: Reader[T], most: int = 1000, *, keys: str = r"[\w.-]{1,200}") -> Reader[dict[str, T]]:
    """A table whose keys are free, but look like `keys`, and whose values are all of one type."""

    def reader(value: Any, place: str) -> dict[str, T]:
        if not isinstance(value, Mapping):
            raise Fault(place, f"is {_kind(value)}, not a table")
        if len(value) > most:
            raise Fault(place, f"has {len(value):,} keys; at most {most} are read")
        for key in value:
            if not isinstance(key, str) or not re.fullmatch(keys, key):
                raise Fault(place, f"has the key {_short(key)}, which is no name")
        return {key: item(one, f"{place}.{key}" if place else key) for key, one in value.items()}

    return reader


def either(*readers: Reader[Any]) -> Reader[Any]:
    """What the first of `readers` takes that takes it; else the last one's complaint."""

    def reader(value: Any, place: str) -> Any:
        for one in readers[:-1]:
            try:
                return one(value, place)
            except Fault:
                continue
        return readers[-1](value, place)

    return reader


def _decoded(given: str | bytes, most: int) -> str:
    if len(given) > most:
        raise Fault("it", f"is {len(given):,} bytes long; at most {most:,} are read")
    if isinstance(given, str):
        return given
    try:
        return given.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Fault("it", "is no text in UTF-8") from error


def _check_depth(text: str, most: int) -> None:
    """Counts brackets outside of texts: parsers go down by recursion."""
    depth = 0
    # A text that does not end is passed over too: sought again from each of its quotes, it would take for ever. Nothing
    # is tried twice (`++`, `*+`): where it could be, each character of a text takes some hundred bytes.
    for match in re.finditer(r'"(?:[^"\\\n]++|\\.)*+"?|[\[{]|[\]}]', text):
        mark = match[0]
        if mark in "[{":
            depth += 1
            if depth > most:
                raise Fault("it", f"is nested more than {most} deep")
        elif mark in "]}":
            depth -= 1


def _refuse_constant(name: str) -> float:
    raise Fault("it", f"holds {name}, which is no number of JSON")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise Fault("it", f"has the key {_short(twice)} twice in one object")
    return found


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | str):
        return _short(value)
    if isinstance(value, Mapping):
        return "a table"
    return "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}"


def _short(value: Any) -> str:
    """`value` in a few printable characters."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 128:
        return "a number of more than 128 bits"
    if isinstance(value, str):
        value = value[:80]
    said = ascii(value) if isinstance(value, str | int | float) or value is None else f"a {type(value).__name__}"
    return said if len(said) <= 60 else f"{said[:57]}..."
