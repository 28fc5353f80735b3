"""What other installed packages add to stitchc by entry points. Nothing is imported before it is asked for by name.

[project.entry-points."stitchc.adapters"]
gated = "mypackage.gated:Gated"
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from .errors import InputError


@cache
def installed(group: str) -> Mapping[str, EntryPoint]:
    """The entry points of a group, by name. Of two packages that add the same name the first installed wins."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=group):
        found.setdefault(point.name, point)
    return MappingProxyType(found)


def load(group: str, name: str) -> Any:
    """What an entry point of `installed(group)` names, imported now.

    Raises:
        InputError: its package cannot be imported, or does not have it.
    """
    point = installed(group)[name]
    try:
        return point.load()
    except Exception as error:  # whatever the other package raises while it is imported
        package = f" of {point.dist.name}" if point.dist else ""
        raise InputError(
            f"'{name}' ({point.value}{package}) cannot be loaded: {type(error).__name__}: {error}",
            "Reinstall the package that adds it, or uninstall it.",
        ) from error
