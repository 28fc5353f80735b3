"""`stitchc cache ls`."""

from __future__ import annotations

from .run import Outcome, Run, verb


@verb("ls", example="stitchc cache ls")
def command(run: Run) -> Outcome:
    """What the cache holds, by kind."""
    from .. import cache
    from ..report.cache import CacheReport, entry_record

    found = cache.entries()
    document = {"schema": 1, "folder": str(cache.folder()), "entries": [entry_record(entry) for entry in found]}
    return Outcome(document | {"size_bytes": sum(e.size_bytes for e in found)}, [CacheReport(cache.folder(), found)])
