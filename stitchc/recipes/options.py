"""The models and options that a recipe states, read one by one, so that a message can name the line of a mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import Field
from difflib import get_close_matches
from itertools import count
from string import ascii_lowercase
from typing import Any

from ..option_kinds import Pictures, Subjects
from ..passes.data.errors import InputError, StitchError
from ..passes.data.option_kinds import Kind
from ..passes.data.options import NEVER, Options, option_of, options_of, read_all
from .lines import Lines
from .schema import MODEL_KEY, example
from .text import toml


def letters() -> Iterator[str]:
    """The keys of the models of a recipe, in their order: a to z, then a1 to z1, and so on."""
    return (f"{letter}{turn or ''}" for turn in count() for letter in ascii_lowercase)


def models_of(table: dict[str, Any], lines: Lines) -> tuple[str, ...]:
    """Takes the models out of the table of a recipe: the letters from `a` on, none left out."""
    found = sorted(filter(MODEL_KEY.fullmatch, table), key=lambda key: (int(key[1:] or 0), key))
    for letter, expected in zip(found, letters(), strict=False):
        if letter != expected or not isinstance(table[letter], str):
            given = "and no model before it" if letter != expected else f"as {table[letter]!r}, which is no text"
            raise InputError(
                f"{lines.place(letter)} names a model '{letter}' {given}",
                f'Models are named by letters from a on. For example: {expected} = "digits/resnet"',
            )
    return tuple(table.pop(letter) for letter in found)


def options_in(
    record: type[Options], table: Mapping[str, Any], lines: Lines, training: int | None = None
) -> dict[str, Any]:
    """The options that a table states, each read by itself, then all of them together."""
    known = {name: of for name, of in options_of(record).items() if option_of(of).recipe != NEVER}
    found: dict[str, Any] = {}
    for name, value in table.items():
        try:
            found |= read_all(record, {name: value}, lines.place(name, training))
            _check_form(name, option_of(known[name]).kind, value, lines.place(name, training))
        except InputError as error:
            raise _with_example(error, name, known) from error
    try:
        record.of(found)
    except StitchError as error:
        for name in found:
            if _agrees(record, {other: value for other, value in found.items() if other != name}):
                told = InputError(f"{lines.place(name, training)}: {error.message}", error.hint)
                raise _with_example(told, name, known) from error
        raise InputError(f"{lines.where}: {error.message}", error.hint) from error
    return found


def _agrees(record: type[Options], options: Mapping[str, Any]) -> bool:
    try:
        record.of(options)
    except StitchError:
        return False
    return True


def _check_form(name: str, kind: Kind, value: Any, where: str) -> None:
    """Refuses what only Python can give: of a model or of images an object, of a cut too."""
    if isinstance(kind, Pictures) and not isinstance(value, str):
        raise InputError(f"{where}: '{name}' is {value!r}", "It must be text.")
    if type(kind) is Kind and (isinstance(value, bool) or not isinstance(value, str | int)):
        raise InputError(f"{where}: '{name}' is {value!r}", "It must be text.")
    words = value if isinstance(value, list) else [value]
    if isinstance(kind, Subjects) and not all(isinstance(word, str) for word in words):
        raise InputError(f"{where}: '{name}' is {value!r}", "It must be text, or a list of texts.")


def _with_example(error: InputError, name: str, known: Mapping[str, Field]) -> InputError:
    """The error, which names options as a recipe does, and shows a line that would be right."""
    near = [name] if name in known else get_close_matches(name, known, n=1)
    shown = "".join(f" For example: {key} = {toml(example(known[key]))}" for key in near)
    return type(error)(re.sub(r"`(\w+)`", r"'\1'", error.message), f"{error.hint}{shown}".strip())
