"""Candidates as columns: pairs of fragments by the hundred thousand, without an object each."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from .chain import Chain, End
from .values import Price


@dataclass(frozen=True)
class Candidate:
    """One possible chain, how alike the cuts at its seams are, and what the whole would take.

    similarity: of a pair; NaN when not computed. score: what it was worth when it was probed (see the pass `rank`),
    None when it was not.
    """

    chain: Chain
    similarity: float
    price: Price
    feasible: bool
    score: float | None = None

    @property
    def front(self) -> End:
        """The cut that the first fragment leaves."""
        return self.chain.seams()[0].leaves

    @property
    def back(self) -> End:
        """The cut that the last fragment enters."""
        return self.chain.seams()[-1].enters

    @property
    def adapter(self) -> str:
        """The words of a pair's adapter; of a longer chain, of all in order."""
        return ", ".join(self.chain.adapters)


@dataclass(frozen=True, eq=False)
class Candidates:
    """A table of candidates, one row each. All columns are arrays of one length.

    front_model, front_cut, back_model, back_cut: int32 indices into the plan. adapter: int32 index into `adapters`.
    params, macs, size_bytes, memory_bytes: int64, of the whole stitched network; what is written for it has the same,
    to the byte. latency_ms: float64, NaN where not predicted. similarity: float64. feasible: bool.
    score: float64, what the candidate was worth when it was probed (see the pass `rank`), or None where none was.
    order: rows from best to worst under `rank`, only the feasible ones once a budget was applied; filled by `select`.
    """

    adapters: tuple[str, ...]
    front_model: np.ndarray
    front_cut: np.ndarray
    back_model: np.ndarray
    back_cut: np.ndarray
    adapter: np.ndarray
    params: np.ndarray
    macs: np.ndarray
    size_bytes: np.ndarray
    memory_bytes: np.ndarray
    latency_ms: np.ndarray
    similarity: np.ndarray
    feasible: np.ndarray
    order: np.ndarray
    rank: str = ""
    score: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.params)

    def __getitem__(self, row: int) -> Candidate:
        return Candidate(
            chain=Chain.pair(
                (int(self.front_model[row]), int(self.front_cut[row])),
                (int(self.back_model[row]), int(self.back_cut[row])),
                self.adapters[self.adapter[row]],
            ),
            similarity=float(self.similarity[row]),
            price=self.price(row),
            feasible=bool(self.feasible[row]),
            score=None if self.score is None or np.isnan(self.score[row]) else float(self.score[row]),
        )

    def price(self, row: int) -> Price:
        """What the candidate in a row takes."""
        latency = float(self.latency_ms[row])
        return Price(
            int(self.params[row]),
            int(self.macs[row]),
            int(self.size_bytes[row]),
            int(self.memory_bytes[row]),
            None if math.isnan(latency) else latency,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Candidates):
            return NotImplemented
        return all(same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    def metric(self, name: str) -> np.ndarray:
        """The column of a metric by its name in a budget, or of `similarity`."""
        if name == "flops":
            return 2 * self.macs
        return getattr(self, {"size": "size_bytes", "memory": "memory_bytes", "latency": "latency_ms"}.get(name, name))


def same(a: object, b: object) -> bool:
    """Equality of columns and of what is none; NaN equals NaN."""
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return a == b
