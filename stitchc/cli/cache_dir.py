"""`stitchc cache dir`."""

from __future__ import annotations

from .run import Outcome, Run, verb


@verb("dir", example="stitchc cache dir")
def command(run: Run) -> Outcome:
    """Where the cache lies; STITCHC_CACHE_DIR moves it."""
    from .. import cache

    place = str(cache.folder())
    return Outcome({"schema": 1, "folder": place}, [place])
