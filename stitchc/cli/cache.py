"""`stitchc cache`: what is kept from one run to the next."""

from __future__ import annotations

import click

from .parts import Verbs, argument
from .run import Outcome, Run, verb


@click.group(cls=Verbs, verbs={"Verbs": ["dir", "ls", "clean"]})
def command() -> None:
    """What is kept from one run to the next; deleting it loses only time."""


@command.add_command
@verb("dir", example="stitchc cache dir")
def place(run: Run) -> Outcome:
    """Where the cache lies; the variable STITCHC_CACHE_DIR moves it."""
    from .. import cache

    found = str(cache.folder())
    return Outcome({"schema": 1, "folder": found}, [found])


@command.add_command
@verb("ls", example="stitchc cache ls")
def contents(run: Run) -> Outcome:
    """What the cache holds, by kind."""
    from .. import cache
    from ..report.cache import CacheReport, entry_record

    found = cache.entries()
    document = {"schema": 1, "folder": str(cache.folder()), "entries": [entry_record(entry) for entry in found]}
    return Outcome(document | {"size_bytes": sum(e.size_bytes for e in found)}, [CacheReport(cache.folder(), found)])


@command.add_command
@verb("clean", example="stitchc cache clean")
@argument("kind", metavar="[KIND]", required=False, text="Only this kind, as `stitchc cache ls` names them.")
def clean(run: Run, kind: str | None) -> Outcome:
    """Delete what the cache holds."""
    from .. import cache
    from ..passes.data.errors import unknown
    from ..report.numbers import size

    kinds = sorted({entry.kind for entry in cache.entries()})
    if kind is not None and kind not in kinds:
        raise unknown(kind, "kind of thing in the cache", kinds)
    gone = cache.clean([kind] if kind else [])
    freed = sum(entry.size_bytes for entry in gone)
    said = (
        f"Deleted {len(gone)} file{'s' * (len(gone) != 1)}, {size(freed)}." if gone else "There was nothing to delete."
    )
    return Outcome({"schema": 1, "deleted": len(gone), "size_bytes": freed}, [said])
