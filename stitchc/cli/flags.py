"""Records of options as the flags of a verb."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import Field
from typing import Any

import click
from click.shell_completion import CompletionItem

from ..keywords import default_text
from ..passes.data.errors import StitchError
from ..passes.data.option_kinds import Choice, Kind, Switch, Texts
from ..passes.data.options import Options, default_of, option_of, options_of
from ..wording import as_flags, flag_of
from .parts import COMMON, hinted, option

_WIDEST = 44  # characters of choices that stand in place of a value


class _Type(click.ParamType):
    """What the kind of an option reads."""

    def __init__(self, name: str, kind: Kind):
        self.name, self.kind = name, kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            read = self.kind.read(self.name, [value] if isinstance(self.kind, Texts) else value)
            return read[0] if isinstance(self.kind, Texts) else read  # click asks for each of several by itself
        except StitchError as error:
            raise hinted(ctx, error.message, error.hint) from error

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """What a shell offers for the value: the names that it can be; else files."""
        if isinstance(self.kind, Choice):
            return [CompletionItem(word) for word in self.kind.known if word.startswith(incomplete)]
        return [CompletionItem(incomplete, type="file")]


def flags(record: type[Options], *, common: bool = False) -> list[Callable[[Any], Any]]:
    """A click option for each option of the record that is common to all verbs, or for each that is not.

    None has a default: what is not given is left to the function behind the verb.
    """
    return [_flag(name, of) for name, of in options_of(record).items() if option_of(of).common == common]


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of the values of flags those that were given."""
    return {name: value for name, value in values.items() if value is not None and value != ()}


def _flag(name: str, of: Field) -> Callable[[Any], Any]:
    said = option_of(of)
    # Of several values, the record reads the whole.
    more: dict[str, Any] = {"multiple": True} if said.kind.several else {"type": _Type(name, said.kind)}
    words = flag_of(name)
    if isinstance(said.kind, Switch):
        more = {"is_flag": True}
        words = f"{words}/{flag_of(f'no_{name}')}" if default_of(of) else words
    elif said.metavar or isinstance(said.kind, Choice):
        choices = said.kind.metavar
        more["metavar"] = said.metavar or (choices if len(choices) <= _WIDEST else "NAME")
    else:
        more["metavar"] = said.kind.metavar
    names = [*said.also, words, name]
    return option(*names, group=COMMON if said.common else said.group, default=None, help=_help(of, more), **more)


def _help(of: Field, shown: Mapping[str, Any]) -> str:
    said = option_of(of)
    text = as_flags(said.help)
    if isinstance(said.kind, Choice) and shown.get("metavar") != said.kind.metavar and not said.kind.several:
        missing = [word for word in said.kind.known if word not in text]
        text += f" One of {', '.join(said.kind.known)}." if missing else ""
    unstated = default_of(of) is None and not said.unset
    return text if unstated or default_of(of) is False else f"{text} [{as_flags(default_text(of))}]"
