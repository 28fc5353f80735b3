"""Prices of many chains at once: what `chains.price_of` says of each, from tables of fragments and of adapters.

A sum is looked up part by part and added. Peak memory is the maximum over the parts, in the order in which they run.
The bytes of a weights file depend on how many digits the offsets in its header have (see `sizes`), so files are sized
in groups whose fragments come from the same models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .. import adapters as registry
from ..data import metrics
from ..data.chain import Chain, Fragment, Seam
from ..data.errors import CutError
from ..data.plan import Plan
from ..data.values import Price, Value
from .adapter_prices import AdapterPrice, adapter_price, folded
from .sizes import FileEntries, file_sizes


@dataclass(frozen=True, eq=False)
class FragmentTable:
    """The fragments of one model, and their prices. Arrays have a row each.

    fragments: what stands in the rows. sums: for every metric that is a sum, the amounts [fragments]. peak, held: int64
    [fragments], as a `Piece` has them; -1 in `held` where the last value lies in the memory of the one that the
    fragment starts from. files: the tensors of each in a weights file.
    """

    fragments: tuple[Fragment, ...]
    sums: dict[str, np.ndarray]
    peak: np.ndarray
    held: np.ndarray
    files: FileEntries

    @classmethod
    def of(cls, plan: Plan, model: int, *, middle: bool) -> FragmentTable:
        """middle: also the fragments that begin and end at a cut."""
        cuts = len(plan.cuts[model])
        ends: list[tuple[int | None, int | None]] = [(None, None)]
        ends += [(None, cut) for cut in range(cuts)] + [(cut, None) for cut in range(cuts)]
        ends += [(i, j) for i in range(cuts) for j in range(i + 1, cuts)] if middle else []
        spans = plan.parts[model].spans
        pieces = [spans.piece(start, end) for start, end in ends]
        place = {stored.entry: row for row, stored in enumerate(spans.stored)}
        chosen = np.zeros((len(place), len(pieces)), dtype=bool)
        for column, piece in enumerate(pieces):
            chosen[[place[entry] for entry in piece.entries], column] = True
        return cls(
            tuple(Fragment(model, start, end) for start, end in ends),
            {metric.name: np.array([piece.sums[metric.name] for piece in pieces]) for metric in metrics.sums()},
            np.array([piece.peak_bytes for piece in pieces], dtype=np.int64),
            np.array([-1 if piece.held_bytes is None else piece.held_bytes for piece in pieces], dtype=np.int64),
            FileEntries.of(list(place), chosen),
        )


@dataclass(frozen=True, eq=False)
class SeamTable:
    """Seams, and the prices of their adapters. Arrays have a row for each seam, but for `files`, which stands once for
    each list of tensors that an adapter has: `file` is the row there.

    sums: for every metric that is a sum, the amounts [seams]. memory, given, more: int64 [seams], bytes, as an
    `AdapterPrice` has them.
    """

    sums: dict[str, np.ndarray]
    memory: np.ndarray
    given: np.ndarray
    more: np.ndarray
    file: np.ndarray
    files: FileEntries

    @classmethod
    def of(cls, plan: Plan, seams: Sequence[Seam]) -> SeamTable:
        """Raises:
        CutError: an adapter that cannot join the two values at its seam.
        """
        known: dict[tuple[str, Value, Value], AdapterPrice] = {}
        prices: list[AdapterPrice] = []
        sums: list[Price] = []
        for seam in seams:
            front, back = plan.value_at(seam.leaves), plan.value_at(seam.enters)
            key = seam.adapter, front, back
            if key not in known:
                known[key] = _price(*key)
            prices.append(known[key])
            sums.append(folded(known[key], plan.parts[seam.enters.model].readers[seam.enters.cut], front, back))
        lists = {entries: row for row, entries in enumerate(dict.fromkeys(price.entries for price in prices))}
        memory, given, more, file = np.array(
            [(p.memory_bytes, p.given_bytes, p.more_bytes, lists[p.entries]) for p in prices], dtype=np.int64
        ).reshape(-1, 4).T  # fmt: skip
        columns = {metric.name: np.array([price[metric.name] for price in sums]) for metric in metrics.sums()}
        return cls(columns, memory, given, more, file, FileEntries.each(list(lists)))


def _price(words: str, front: Value, back: Value) -> AdapterPrice:
    price = adapter_price(registry.get(words), front, back)
    if isinstance(price, str):
        raise CutError(f"{words} cannot join {front.shape} to {back.shape}: {price}")
    return price


class ManyPrices:
    """Prices of chains that are made of known fragments and seams.

    fragments: of all models, one after the other; seams: as they were given. A set of chains is two arrays of rows:
    int64 [chains, most fragments] and [chains, most seams], -1 behind the end of a chain. Tables are made when they are
    first used.
    """

    def __init__(self, plan: Plan, seams: Sequence[Seam], *, middle: bool):
        self._plan, self._seams, self._middle = plan, seams, middle

    @cached_property
    def tables(self) -> tuple[FragmentTable, ...]:
        """The fragments of each model."""
        return tuple(
            FragmentTable.of(self._plan, model, middle=self._middle) for model in range(len(self._plan.models))
        )

    @cached_property
    def fragments(self) -> tuple[Fragment, ...]:
        """What stands in each row."""
        return tuple(fragment for table in self.tables for fragment in table.fragments)

    @cached_property
    def _joints(self) -> SeamTable:
        return SeamTable.of(self._plan, self._seams)

    @cached_property
    def _first(self) -> np.ndarray:
        """[models]: the row of each model's first fragment."""
        return np.cumsum([0, *(len(table.fragments) for table in self.tables)])[:-1]

    @cached_property
    def _model(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.tables)), [len(table.fragments) for table in self.tables])

    def amounts(self, fragments: np.ndarray, seams: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        """The amounts of some metrics: a column for each name, [chains]; what `cost` does not compute is left out."""
        asked = {name: metrics.get(name) for name in names}
        found: dict[str, np.ndarray] = {}
        if any(metric.combine in ("sum", "derived") for metric in asked.values()):
            found |= self._sums(fragments, seams)
        if "size" in asked or any(metric.combine == "derived" for metric in asked.values()):
            found["size"] = self._sizes(fragments, seams)
        if "memory" in asked or any(metric.combine == "derived" for metric in asked.values()):
            found["memory"] = self._memory(fragments, seams)
        columns = {name: metrics.amount(name, found) for name in names}
        return {name: column for name, column in columns.items() if column is not None}

    def _sums(self, fragments: np.ndarray, seams: np.ndarray) -> dict[str, np.ndarray]:
        found = {}
        for metric in metrics.sums():
            # -1 stands for no part: the last entry, of nothing.
            of_fragments = np.concatenate([*(table.sums[metric.name] for table in self.tables), [0]])
            of_seams = np.concatenate([self._joints.sums[metric.name], [0]])
            found[metric.name] = sum(of_fragments[rows] for rows in fragments.T) + sum(
                of_seams[rows] for rows in seams.T
            )
        return found

    def _memory(self, fragments: np.ndarray, seams: np.ndarray) -> np.ndarray:
        """Peak bytes, int64 [chains]: as `price_of` takes the maximum, step by step for all chains at once."""
        peaks, helds = (
            np.concatenate([*(getattr(table, name) for table in self.tables), [0]]) for name in ("peak", "held")
        )
        joints = self._joints
        memory, gives = np.append(joints.memory, 0), np.append(joints.given, 0)
        image = np.array([part.peaks.image for part in self._plan.parts])[self._model[fragments[:, 0]]]
        given = peak = np.zeros(len(fragments), dtype=np.int64)
        for k, row in enumerate(fragments.T):
            there = row >= 0
            peak = np.where(there, np.maximum(peak, given + peaks[row]), peak)
            if k < seams.shape[1]:
                more = np.where(helds[row] < 0, given, helds[row]) + memory[seams[:, k]]
                peak = np.where(seams[:, k] >= 0, np.maximum(peak, more), peak)
                given = gives[seams[:, k]]
        return image + peak

    def _sizes(self, fragments: np.ndarray, seams: np.ndarray) -> np.ndarray:
        """Bytes of the weights file, int64 [chains]."""
        found = np.zeros(len(fragments), dtype=np.int64)
        more = np.append(self._joints.more, 0)
        for models, chains in self._groups(fragments):
            parts = Chain(
                tuple(Fragment(m, None if k == 0 else 0, None if k == len(models) - 1 else 1)
                      for k, m in enumerate(models)),
                ("",) * (len(models) - 1),
            ).parts()  # fmt: skip
            sides: dict[str, tuple[FileEntries, np.ndarray]] = {}
            for place, part in enumerate(parts):
                prefix, k = f"{part.name}." if part.name else "", place // 2
                if part.fragment is None:
                    files, rows = self._joints.files, self._joints.file[seams[chains, k]]
                else:
                    files, rows = self.tables[models[k]].files, fragments[chains, k] - self._first[models[k]]
                sides[prefix] = files.under(prefix), rows
            found[chains] = file_sizes(*(sides[prefix] for prefix in sorted(sides)))
        return found + sum((more[column] for column in seams.T), start=np.zeros(1, dtype=np.int64))

    def _groups(self, fragments: np.ndarray) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
        """Chains whose fragments come from the same models in the same order: these, and the rows."""
        models = np.append(self._model, -1)[fragments]
        key = np.ravel_multi_index(tuple((models + 1).T), (len(self.tables) + 1,) * models.shape[1])
        order = np.argsort(key, kind="stable")
        starts = np.flatnonzero(np.diff(key[order], prepend=-1))
        for chains in np.split(order, starts[1:]) if len(order) else []:
            yield tuple(int(model) for model in models[chains[0]] if model >= 0), chains
