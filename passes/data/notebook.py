"""What a notebook shows of data: HTML, as a package that renders reports writes it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

_MODULES: list[str] = []
_WRITERS: dict[type, Callable[[Any], str]] = {}


class InNotebook:
    """Base of data that a notebook shows as HTML, as the writer for its type says; without one, as its repr."""

    def _repr_html_(self) -> str | None:
        while _MODULES:
            import_module(_MODULES.pop())
        writer = next((_WRITERS[kind] for kind in type(self).__mro__ if kind in _WRITERS), None)
        return writer(self) if writer else None


def writers_in(module: str) -> None:
    """Says which module makes writers known with `shown_by`. It is imported when something is to be shown."""
    _MODULES.append(module)


def shown_by(kind: type, writer: Callable[[Any], str]) -> None:
    """Makes `writer` the one that notebooks show objects of a type by. It returns an HTML element."""
    _WRITERS[kind] = writer
