"""The notation of an adapter: its name, then options, as `conv3x3?resize=strided&norm=before&rank=16`.

The options are the fields of the adapter's dataclass: a `bool`, `int`, `float` or `str`, or one of them `| None`, with
`choices` or a `least` value in the field's metadata where not everything is allowed. Each adapter has
one canonical notation: options in the order of the fields, those at their default left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, TypeVar, get_args, get_type_hints

from ..data.errors import InputError, unknown

T = TypeVar("T")

_TRUTH = {"yes": True, "no": False}
_NONE = "none"
_EXAMPLES = {bool: "yes or no", int: "a whole number such as 16", float: "a number such as 1e-3", str: "text"}


def split(text: str) -> tuple[str, dict[str, str]]:
    """The name and the options in a notation, as text.

    Raises:
        InputError: an option without a value, or one that is given twice.
    """
    name, _, rest = text.partition("?")
    options: dict[str, str] = {}
    for part in filter(None, rest.split("&")):
        key, equals, value = part.partition("=")
        if not equals or not value:
            raise InputError(f"'{part}' in the adapter '{text}' has no value", f"Write it like {name}?bias=no&rank=16.")
        if key in options:
            raise InputError(f"the adapter '{text}' gives '{key}' twice", "Give it once.")
        options[key] = value
    return name, options


def read(kind: type[T], name: str, options: Mapping[str, str]) -> T:
    """An instance of a dataclass whose fields are the options of the adapter `name`.

    Raises:
        InputError: an option that it does not have, or a value that the option cannot have.
    """
    known = {option.name: option for option in fields(kind)}  # type: ignore[arg-type]
    for key in options:
        if key not in known:
            raise unknown(key, f"option of the adapter '{name}'", known)
    types = get_type_hints(kind) if options else {}
    return kind(**{key: _value(name, known[key], types[key], text) for key, text in options.items()})


def write(name: str, kind: Any) -> str:
    """The canonical notation of an instance; `read` makes an equal instance of it."""
    said = [f"{f.name}={_text(getattr(kind, f.name))}" for f in fields(kind) if getattr(kind, f.name) != f.default]
    return f"{name}?{'&'.join(said)}" if said else name


def _value(name: str, option: Field, hint: Any, text: str) -> Any:
    choices = option.metadata.get("choices")
    refused = f"'{text}' is no {option.name} of the adapter '{name}'"
    if choices is not None:
        if text not in choices:
            raise unknown(text, f"{option.name} of the adapter '{name}'", choices)
        return text
    accepted = get_args(hint) or (hint,)  # of `int | None` its members
    if text == _NONE and type(None) in accepted:
        return None
    kind = next(kind for kind in _EXAMPLES if kind in accepted)
    try:
        value = _TRUTH[text] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise InputError(refused, f"It takes {_EXAMPLES[kind]}.") from None
    if kind in (int, float):
        least = option.metadata.get("least", 0)
        if not least <= value < float("inf"):
            raise InputError(refused, f"It is {least} at least.")
    return value


def _text(value: Any) -> str:
    if value is None:
        return _NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return short if float(short := f"{value:g}") == value else repr(value)
    return str(value)
