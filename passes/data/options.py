"""Options, each said once: as a field of a pass, or of a record that passes and verbs share.

    @dataclass(frozen=True, kw_only=True)
    class TraceOptions(Options):
        frontend: str = option("auto", Choice("auto", "record", "export"), "How a network is turned into a graph.")

    class Trace(Pass, TraceOptions): ...

The field holds all that is to be known of an option: default, what it may be, help, where help lists it, how a recipe
takes it. Signatures, recipes and flags are derived from that. A record reads and checks what it is given as it is made,
so a bad value is refused before anything slow begins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import Any, TypeVar

from .errors import InputError
from .option_kinds import Kind

T = TypeVar("T")
R = TypeVar("R", bound="Options")

#: When a recipe states an option.
ALWAYS, WHEN_CHANGED, NEVER = "always", "when changed", "never"


@dataclass(frozen=True)
class Option:
    """What is known of an option beside its name and its default.

    kind: what it may be, and how it is read and written. help: whole sentences, which may mark other options
    (`rank='cka'`). group: the title under which help lists it. metavar: stands for the value there, by default what
    the kind says. unset: says in words what the default does. also: other flags that mean the same. recipe: when a
    recipe states it. common: whether every verb of a command line takes it.
    """

    kind: Kind
    help: str
    group: str = "Options"
    metavar: str = ""
    unset: str = ""
    also: tuple[str, ...] = ()
    recipe: str = ALWAYS
    common: bool = False


def option(default: Any, kind: Kind, help: str, **more: Any) -> Any:
    """A field that is an option. more: of `Option`."""
    return field(default=default, metadata={"option": Option(kind, help, **more)})


def with_default(record: type[Options], name: str, default: Any, **more: Any) -> Any:
    """The option `name` of `record` once more, with another default. more: of `Option`, what else is other."""
    return field(default=default, metadata={"option": replace(option_of(options_of(record)[name]), **more)})


def options_of(record: type) -> dict[str, Field]:
    """The fields of a record or a pass that are options, by name: those of its bases, in their order, then its own."""
    known = {f.name: f for f in fields(record) if "option" in f.metadata}
    order: dict[str, None] = {}
    for base in record.__bases__:
        if issubclass(base, Options) and base is not Options:
            order |= dict.fromkeys(options_of(base))
    order |= dict.fromkeys(known)
    return {name: known[name] for name in order}


def option_of(of: Field) -> Option:
    """The `Option` of a dataclass field that `option` made."""
    return of.metadata["option"]


def default_of(of: Field) -> Any:
    """The default value of a dataclass field."""
    return of.default if of.default_factory is MISSING else of.default_factory()


@dataclass(frozen=True)
class Options:
    """A record of options, read and checked as it is made.

    Raises:
        InputError: a value that an option cannot take.
    """

    def __post_init__(self) -> None:
        for name, of in options_of(type(self)).items():
            object.__setattr__(self, name, read(name, of, getattr(self, name)))

    @classmethod
    def of(cls: type[R], given: Mapping[str, Any]) -> R:
        """The record of what was given, defaults for the rest."""
        return cls(**given)

    def make(self, kind: type[T], **more: Any) -> T:
        """A pass, or another record, with every option that it shares with this one. more: other fields, or other
        values."""
        mine = options_of(type(self))
        shared = {name: getattr(self, name) for name in options_of(kind) if name in mine}
        return kind(**{**shared, **more})


def read(name: str, of: Field, value: Any) -> Any:
    """The value of an option as its kind reads it. None is one where it is the default.

    Raises:
        InputError: it cannot be that.
    """
    if value is None and default_of(of) is None:
        return None
    return option_of(of).kind.read(name, value)


def read_all(record: type[Options], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The options of `record` that somebody states in a document, read and checked.

    where: names the document in a message.

    Raises:
        InputError: a name that is no option that a recipe states, or a value that it cannot take.
    """
    from .errors import unknown

    known = {name: of for name, of in options_of(record).items() if option_of(of).recipe != NEVER}
    for name in given:
        if name not in known:
            raise unknown(name, f"option that {where} can state", known)
    try:
        return {name: read(name, known[name], value) for name, value in given.items()}
    except InputError as error:
        raise type(error)(f"{where}: {error.message}", error.hint) from error
