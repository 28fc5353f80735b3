"""`stitchc cache clean`."""

from __future__ import annotations

from .parts import argument
from .run import Outcome, Run, verb


@verb("clean", example="stitchc cache clean")
@argument("kind", metavar="[KIND]", required=False, text="Only this kind, as `stitchc cache ls` names them.")
def command(run: Run, kind: str | None) -> Outcome:
    """Delete what the cache holds."""
    from .. import cache
    from ..passes.data.errors import InputError, did_you_mean
    from ..report.numbers import size

    kinds = sorted({entry.kind for entry in cache.entries()})
    if kind is not None and kind not in kinds:
        holds = f"It holds {', '.join(kinds)}." if kinds else "It is empty."
        raise InputError(
            f"the cache holds nothing of the kind '{kind}'", f"{did_you_mean(kind, kinds)} {holds}".strip()
        )
    gone = cache.clean([kind] if kind else [])
    freed = sum(entry.size_bytes for entry in gone)
    said = (
        f"Deleted {len(gone)} file{'s' * (len(gone) != 1)}, {size(freed)}." if gone else "There was nothing to delete."
    )
    return Outcome({"schema": 1, "deleted": len(gone), "size_bytes": freed}, [said])
