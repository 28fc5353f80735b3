"""Functions whose keywords are the options of a record."""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import Field
from typing import Any, TypeVar

from .passes.data.errors import did_you_mean
from .passes.data.options import Options, default_of, option_of, options_of

T = TypeVar("T")
_WIDTH = 100  # characters of a line of a docstring


def with_options(record: type[Options], *positional: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Decorator of a function `f(..., *, options)`: gives it the options of `record` as keywords, with their defaults
    and help, and hands it the record. None is as good as not given.

    positional: options that may be given by position too, after the function's own arguments.
    """

    def decorate(function: Callable[..., T]) -> Callable[..., T]:
        signature = _signature(function, record, positional)
        known = options_of(record)

        @functools.wraps(function)
        def call(*args: Any, **given: Any) -> T:
            from .idle import check_idle  # which knows the records that this module makes keywords of

            for name in given:
                if name not in signature.parameters:
                    near = did_you_mean(name, list(signature.parameters))
                    raise TypeError(f"{function.__name__}() has no keyword '{name}'. {near}".strip())
            bound = signature.bind(*args, **given)
            said = {name: bound.arguments.pop(name) for name in known if name in bound.arguments}
            options = record.of({name: value for name, value in said.items() if value is not None})
            check_idle(options)
            return function(*bound.args, **bound.kwargs, options=options)

        call.__signature__ = signature  # type: ignore[attr-defined]
        call.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\n{described(record)}"
        return call

    return decorate


def described(record: type[Options]) -> str:
    """The options of a record as a section of a docstring."""
    lines = ["Keywords:"]
    for name, of in options_of(record).items():
        said = f"{name}: {option_of(of).help} [{default_text(of)}]"
        lines += textwrap.wrap(said, _WIDTH, initial_indent="    ", subsequent_indent="        ")
    return "\n".join(lines)


def default_text(of: Field) -> str:
    """The default of an option in words, as a command line would take it."""
    default = default_of(of)
    return option_of(of).unset or ("none" if default is None else option_of(of).kind.text(default))


def _signature(function: Callable[..., Any], record: type[Options], positional: tuple[str, ...]) -> inspect.Signature:
    own = [p for p in inspect.signature(function).parameters.values() if p.name != "options"]
    made = {
        name: inspect.Parameter(
            name, inspect.Parameter.POSITIONAL_OR_KEYWORD if name in positional else inspect.Parameter.KEYWORD_ONLY,
            default=default_of(of), annotation=of.type,
        )
        for name, of in options_of(record).items()
    }  # fmt: skip
    before = [p for p in own if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    after = [p for p in own if p.kind is inspect.Parameter.KEYWORD_ONLY]
    keywords = [parameter for name, parameter in made.items() if name not in positional]
    return inspect.Signature(
        [*before, *(made[name] for name in positional), *keywords, *after],
        return_annotation=inspect.signature(function).return_annotation,
    )
