"""What was measured of the seams of a pool, kept from run to run by a hash of all that it depends on: so a search that
was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..data.model import Images
from ..graphs.placement import device_of
from ..represent.vector_cache import Store, vectors_key
from .effort import Effort
from .pool import Pool

# Of what a loss is, and of how R2 is taken; another one finds none of the old.
_VERSION = "seams 1"
_BATCH = 64


@dataclass(eq=False)
class Kept:
    """Losses and held-out R2 of seams, by the words of the seam. Nothing is kept without a store."""

    pool: Pool
    store: Store | None
    key: str
    values: dict[str, dict[str, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, pool: Pool, store: Store | None, effort: Effort, rule: str, shown: Sequence[Images]) -> Kept:
        """What is known of a pool whose networks are fitted on, and shown, these images.

        It depends on all models of the pool: each is part of what others are held against.
        """
        if store is None:
            return cls(pool, None, "")
        whole = hashlib.sha256()
        for graph, model in zip(pool.plan.graphs, pool.plan.models, strict=True):
            seen = (batch for images in shown for batch in images.batches(model.input, _BATCH))
            numbers = [effort.rows, *map(len, shown)]
            whole.update(vectors_key(graph, seen, f"{_VERSION} {rule} {device_of(graph).type}", numbers).encode())
        for images in shown:
            whole.update(str(None if images.labels is None else images.labels.tolist()).encode())
        found = cls(pool, store, whole.hexdigest())
        found.values = _read(store.read(found.key))
        return found

    def fill(self, loss: np.ndarray, r2: np.ndarray, pairs: Callable[[int], int]) -> None:
        """Puts what is known into the losses of seams, and into the R2 of the seams that `pairs` leads them to."""
        if not any(self.values.values()):
            return
        for row in range(len(self.pool)):
            words = self._words(row)
            loss[row] = self.values["loss"].get(words, np.nan)
            r2[row] = self.values["r2"].get(self._words(pairs(row)), np.nan)

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
