"""Candidates as columns: pairs of fragments by the hundred thousand, without an object each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from . import metrics
from .chain import Chain, End
from .notebook import InNotebook
from .values import Price

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Candidate:
    """A chain that could be stitched, with its similarity, price and score.

    similarity: of the two cuts of a pair; NaN when not computed. feasible: whether it meets the budget. score: what the
    pass `rank` measured of the stitched network; None when it was not probed. trial: where that fitted and healed it on
    the first half of the images, what it gave for the second, float32 [images, ...]; no data.
    """

    chain: Chain
    similarity: float
    price: Price
    feasible: bool
    score: float | None = None
    trial: Tensor | None = field(default=None, compare=False, repr=False, metadata={"data": False})

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
        """The adapter of a pair in its notation; for a longer chain, all adapters in order."""
        return ", ".join(self.chain.adapters)


@dataclass(frozen=True, eq=False)
class Candidates(InNotebook):
    """A table of candidates, one row each. All columns are arrays of one length.

    front_model, front_cut, back_model, back_cut: int32 indices into the plan. adapter: int32 index into `adapters`.
    amounts: by the name of a metric, a column with the amount of the whole stitched network, exactly that of the
    emitted artifact. A metric that was not computed has no column. similarity: float64. feasible: bool.
    score: float64, NaN for candidates that were not probed; None where none was (see the pass `rank`).
    order: rows from best to worst under `rank`, only the feasible ones once a budget was applied; filled by `select`.
    """

    adapters: tuple[str, ...]
    front_model: np.ndarray
    front_cut: np.ndarray
    back_model: np.ndarray
    back_cut: np.ndarray
    adapter: np.ndarray
    amounts: Mapping[str, np.ndarray]
    similarity: np.ndarray
    feasible: np.ndarray
    order: np.ndarray
    rank: str = ""
    score: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.adapter)

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
        """The price of the candidate in a row."""
        amounts = {name: column[row].item() for name, column in self.amounts.items()}
        return Price({name: amount for name, amount in amounts.items() if not math.isnan(amount)})

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Candidates):
            return NotImplemented
        return all(same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    def metric(self, name: str) -> np.ndarray:
        """The column of a metric, or of `similarity`; NaN throughout where it was not computed.

        Raises:
            QuantityError: there is no such metric.
        """
        if name == "similarity":
            return self.similarity
        column = metrics.amount(name, self.amounts)
        return np.full(len(self), np.nan) if column is None else column

    def only(self, rows: np.ndarray, models: Mapping[int, int]) -> Candidates:
        """The candidates in some rows, bool [rows], their models by other indices: `models` maps the old ones to the
        new."""
        places, left = np.cumsum(rows) - 1, np.flatnonzero(rows)
        by_model = np.full(max(models, default=0) + 1, -1, dtype=np.int32)
        by_model[list(models)] = list(models.values())
        return replace(
            self,
            front_model=by_model[self.front_model[left]], front_cut=self.front_cut[left],
            back_model=by_model[self.back_model[left]], back_cut=self.back_cut[left], adapter=self.adapter[left],
            amounts={name: column[left] for name, column in self.amounts.items()}, similarity=self.similarity[left],
            feasible=self.feasible[left], order=places[self.order[rows[self.order]]],
            score=None if self.score is None else self.score[left],
        )  # fmt: skip

    def with_amounts(self, **columns: np.ndarray) -> Candidates:
        """The table with these columns of metrics, in place of those of the same name."""
        return replace(self, amounts={**self.amounts, **columns})


def same(a: object, b: object) -> bool:
    """Equality of columns, of mappings of columns and of what is neither; NaN equals NaN."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    return a == b
