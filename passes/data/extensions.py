"""What other packages add to this one by entry points: loaded once, when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from .errors import InputError


@cache
def offered(group: str) -> Mapping[str, Any]:
    """The objects that installed packages offer under a group of entry points, by name, in the order of their names.

    Raises:
        InputError: one of them cannot be loaded, or two have one name. It says which, and of which package.
    """
    found: dict[str, Any] = {}
    points: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, _package(point))):
        if point.name in points:
            raise InputError(
                f"two packages offer '{point.name}' as an entry point of {group}: "
                f"{_package(points[point.name])} and {_package(point)}",
                "Uninstall one of the two.",
            )
        points[point.name] = point
        found[point.name] = _loaded(point)
    return found


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:  # whatever a foreign module raises while it is imported
        raise InputError(
            f"the entry point '{point.name}' of {point.group}, of the package {_package(point)}, cannot be loaded: "
            f"{type(error).__name__}: {error}",
            f"Mend or uninstall {_package(point)}.",
        ) from error


def _package(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown package"
