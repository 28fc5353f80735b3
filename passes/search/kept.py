"""What was measured of the seams of a pool, kept from run to run by a hash of all that it depends on: so a search that
was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..data.model import Images
from ..graphs.placement import device_of
from ..represent.vector_cache import Store, vectors_key
from .effort import SearchEffort
from .pool import Pool

# Of what a loss is, and of how R2 is taken; another one finds none of the old.
_VERSION = "seams 2"
_BATCH = 64


@dataclass(eq=False)
class Kept:
    """Losses and held-out R2 of seams, by the words of the seam. Nothing is kept without a store."""

    pool: Pool
    store: Store | None
    key: str
    values: dict[str, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, pool: Pool, store: Store | None, effort: SearchEffort, rule: str, shown: Sequence[Images]) -> Kept:
        """What is known of a pool whose networks are fitted on, and shown, these images.

        It depends on all models of the pool: each is part of what others are held against; and on the seed, which draws
        the positions that adapters are fitted on.
        """
        if store is None:
            return cls(pool, None, "")
        whole = hashlib.sha256()
        for graph, model in zip(pool.plan.graphs, pool.plan.models, strict=True):
            seen = (batch for images in shown for batch in images.batches(model.input, _BATCH))
            numbers = [pool.plan.seed, effort.rows, *map(len, shown)]
            whole.update(vectors_key(graph, seen, f"{_VERSION} {rule} {device_of(graph).type}", numbers).encode())
        for images in shown:
            whole.update(str(None if images.labels is None else images.labels.tolist()).encode())
        found = cls(pool, store, whole.hexdigest())
        found.values = _read(store.read(found.key))
        return found

    def known(self, kind: str, rows: Sequence[int]) -> dict[int, float]:
        """What an earlier run measured of some seams, asked for only when they would be measured: what is chosen
        does not depend on what is kept. kind: loss or r2."""
        values = self.values.get(kind, {})
        found = {row: values.get(self._words(row)) for row in rows} if values else {}
        return {row: value for row, value in found.items() if value is not None}

    def add(self, kind: str, rows: Sequence[int], values: Sequence[float]) -> None:
        """Keeps the values of some seams. kind: loss or r2."""
        if self.store is None:
            return
        known = self.values.setdefault(kind, {})
        known |= {self._words(row): float(value) for row, value in zip(rows, values, strict=True)}
        self.store.write(self.key, json.dumps(self.values).encode())

    def _words(self, row: int) -> str:
        seam, plan = self.pool.seam(row), self.pool.plan
        ends = [f"{end.model}:{plan.node_at(*end)}" for end in (seam.leaves, seam.enters)]
        return f"{ends[0]} / {seam.adapter} / {ends[1]}"


def _read(content: bytes | None) -> dict[str, dict[str, float]]:
    """What was kept; what is not in this form is as if it had never been."""
    found: dict[str, dict[str, float]] = {"loss": {}, "r2": {}}
    try:
        record = json.loads(content or b"{}")
        for kind, known in found.items():
            known |= {str(words): float(value) for words, value in record.get(kind, {}).items()}
    except (ValueError, TypeError, AttributeError):
        return {"loss": {}, "r2": {}}
    return found
