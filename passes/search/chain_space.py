"""All chains of a pool that have few fragments, by number and by name: what optimisers draw from and walk through.

A chain's name is its text, as `--chain` takes it: `A:..stage1_0 / conv3x3 / B:features_4..`, models by their letters,
cuts by their nodes, every adapter named. It depends on the order of the models and on nothing else, so that it can be
kept in a table, and means the same later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from string import ascii_uppercase

import numpy as np

from ..cost.many import ManyPrices
from ..data.chain import Fragment
from ..data.errors import InputError
from ..stitch.stated import fragment_of
from .pool import Pool
from .space import Repeats, Route, Space

_JOINT = " / "
#: Chains of more fragments are too many to be numbered; `search` finds the best of them.
MOST_FRAGMENTS = 3


@dataclass(frozen=True, eq=False)
class Parsed:
    """Chains as rows of tables: fragments, int64 [chains, most fragments], of `ManyPrices.fragments`; seams, int64
    [chains, most seams], of the pool. -1 behind a chain's end."""

    fragments: np.ndarray
    seams: np.ndarray

    def __len__(self) -> int:
        return len(self.fragments)


class ChainSpace:
    """The chains of a pool with at most so many fragments, numbered from 0: the models as they are, then the chains of
    two fragments, then those of three.

    repeats: "none", no model comes again in a chain; "forward", only further on than where it was left.

    Raises:
        InputError: a number of fragments, or a rule of repeats, that chains cannot be numbered by.
    """

    def __init__(self, pool: Pool, fragments: int = 2, repeats: str = "forward"):
        if not 2 <= fragments <= MOST_FRAGMENTS:
            raise InputError(
                f"a space has chains of 2 or 3 fragments at most, not {fragments}", "`stitchc.search` has longer ones."
            )
        if repeats not in ("none", "forward"):
            raise InputError(f"a space does not repeat models by the rule '{repeats}'", "Take 'none' or 'forward'.")
        self.pool, self.most = pool, fragments
        self.repeats: Repeats = "none" if repeats == "none" else "forward"
        self.space: Space = pool.space(np.zeros(len(pool)), np.zeros(len(pool.plan.models)))
        self.prices = ManyPrices(pool.plan, [pool.seam(row) for row in range(len(pool))], middle=fragments > 2)
        self._models = len(pool.plan.models)
        model = self.space.model
        self._from, self._to = model[pool.source], model[pool.target]
        self._words = _Words(self)

    # -- numbers

    def __len__(self) -> int:
        return self._models + len(self._pairs) + (int(self._ends[-1]) if self.most > 2 and len(self._ends) else 0)

    def route(self, number: int) -> Route:
        """The chain of a number.

        Raises:
            IndexError: there are fewer chains.
        """
        if not 0 <= number < len(self):
            raise IndexError(f"there are {len(self)} chains, and no chain {number}")
        if number < self._models:
            return Route(number)
        number -= self._models
        if number < len(self._pairs):
            row = int(self._pairs[number])
            return Route(int(self._from[row]), (row,))
        number -= len(self._pairs)
        first = int(np.searchsorted(self._ends, number, side="right"))
        before = int(self._ends[first - 1]) if first else 0
        return Route(int(self._from[first]), (first, int(self.after(first)[number - before])))

    def __iter__(self) -> Iterator[Route]:
        yield from map(Route, range(self._models))
        yield from (Route(int(self._from[row]), (int(row),)) for row in self._pairs)
        if self.most > 2:
            for first in range(len(self.pool)):
                model = int(self._from[first])
                yield from (Route(model, (first, row)) for row in self.after(first).tolist())

    def __contains__(self, route: Route) -> bool:
        return len(route.seams) < self.most and self.space.is_chain(route, self.repeats)

    @cached_property
    def _pairs(self) -> np.ndarray:
        """Seams that make chains of two fragments: int64 [pairs]."""
        return np.flatnonzero((self._from != self._to) | (self.repeats == "forward"))

    def beginning(self, model: int) -> np.ndarray:
        """The seams at which a chain can leave the model that the image enters: int64 [seams]."""
        return self._pairs[self._from[self._pairs] == model]

    def after(self, first: int) -> np.ndarray:
        """The seams that a chain of two fragments, by its seam, can take next: int64 [seams], by their points."""
        if self.repeats == "none" and self._from[first] == self._to[first]:
            return np.zeros(0, dtype=np.int64)
        order, source = self._by_source
        low = np.searchsorted(source, self.pool.target[first], side="right")
        high = np.searchsorted(source, self.space.last[self._to[first]], side="right")
        return order[low:high][self._allowed(first, order[low:high])]

    def _allowed(self, first: int, rows: np.ndarray) -> np.ndarray:
        """Whether seams may follow a first one, bool [rows], where they leave the model that it enters behind it."""
        if self.repeats == "none":
            return (self._to[rows] != self._from[first]) & (self._to[rows] != self._to[first])
        return (self._to[rows] != self._from[first]) | (self.pool.target[rows] >= self.pool.source[first])

    @cached_property
    def _by_source(self) -> tuple[np.ndarray, np.ndarray]:
        """All seams in the order of the points that they leave, enter, and of their adapters; and these points."""
        order = np.lexsort((self.pool.adapter, self.pool.target, self.pool.source))
        return order, self.pool.source[order]

    @cached_property
    def _ends(self) -> np.ndarray:
        """[seams]: how many chains of three fragments begin with this seam or an earlier one."""
        pairs = list(zip(self.pool.source.tolist(), self.pool.target.tolist(), strict=True))
        counts: dict[tuple[int, int], int] = {}  # the same, whatever the adapter
        for row, ends in enumerate(pairs):
            if ends not in counts:
                counts[ends] = len(self.after(row))
        return np.cumsum(np.array([counts[ends] for ends in pairs], dtype=np.int64))

    # -- names

    def name(self, route: Route) -> str:
        """The text of a chain."""
        said = []
        for k, (enter, leave) in enumerate(self.space.fragments(route)):
            if k:
                said.append(self.pool.adapters[self.pool.adapter[route.seams[k - 1]]])
            said.append(self._fragment_name(enter, leave))
        return _JOINT.join(said)

    def _fragment_name(self, enter: int, leave: int) -> str:
        model, start = self.pool.points[enter]
        plan, end = self.pool.plan, self.pool.points[leave][1]
        letter = ascii_uppercase[model] if model < len(ascii_uppercase) else plan.models[model].name
        return f"{letter}:{plan.node_at(model, start) or ''}..{plan.node_at(model, end) or ''}"

    def routes(self, names: Iterable[str]) -> list[Route]:
        """The chains of names.

        Raises:
            InputError, CutError: as `parsed`.
        """
        parsed = self.parsed(list(names))
        models = self._piece_model[parsed.fragments[:, 0]].tolist()
        seams = (tuple(row for row in rows if row >= 0) for rows in parsed.seams.tolist())
        return list(map(Route, models, seams))

    def parsed(self, names: Sequence[str]) -> Parsed:
        """Many names at once.

        Raises:
            CutError: text that names a model, a cut or a fragment that there is not. InputError: a chain that is not in
            the space.
        """
        lengths = np.array([name.count(_JOINT) + 1 for name in names], dtype=np.int64)
        # One list of words, and not one a name: a hundred thousand of these keep the garbage collector busy.
        words = _JOINT.join(names).split(_JOINT) if len(names) else []
        codes = np.fromiter(map(self._words.__getitem__, words), dtype=np.int64, count=len(words))
        starts = np.cumsum(lengths) - lengths
        pieces = np.full((len(names), self.most), -1, dtype=np.int64)
        seams = np.full((len(names), self.most - 1), -1, dtype=np.int64)
        wrong = np.ones(len(names), dtype=bool)
        for count in range(1, self.most + 1):
            chains = np.flatnonzero(lengths == 2 * count - 1)
            said = codes[starts[chains, None] + np.arange(2 * count - 1)]
            fragments, kinds = said[:, ::2], -1 - said[:, 1::2]
            well = np.flatnonzero((fragments >= 0).all(axis=1) & (kinds >= 0).all(axis=1))
            chains, fragments, kinds = chains[well], fragments[well], kinds[well]
            pieces[chains, :count] = fragments
            seams[chains, : count - 1] = self._rows(fragments[:, :-1], kinds, fragments[:, 1:])
            wrong[chains] = ~self._are_chains(fragments, seams[chains, : count - 1])
        if wrong.any():
            raise self._refused(names[int(np.argmax(wrong))])
        return Parsed(pieces, seams)

    def _are_chains(self, pieces: np.ndarray, seams: np.ndarray) -> np.ndarray:
        """bool [chains]: whether all seams are there, ends are ends, and no model comes again that may not."""
        count = pieces.shape[1]
        first, last = self._piece_first[pieces], self._piece_last[pieces]
        model = self._piece_model[pieces]
        fine = (seams >= 0).all(axis=1)
        fine &= (first[:, 0] == self.space.first[model[:, 0]]) & (last[:, -1] == self.space.last[model[:, -1]])
        for i in range(count):
            for j in range(i + 1, count):
                again = model[:, i] == model[:, j]
                fine &= ~(again & ((self.repeats == "none") | (first[:, j] < last[:, i])))
        return fine

    def _rows(self, before: np.ndarray, kinds: np.ndarray, after: np.ndarray) -> np.ndarray:
        """The seams between fragments by adapters: int64, of their shape, -1 where there is none."""
        order, keys = self._keys
        if not len(keys):
            return np.full(before.shape, -1, dtype=np.int64)
        asked = self._key(self._piece_last[before], self._piece_first[after], kinds)
        place = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
        return np.where(keys[place] == asked, order[place], -1)

    @cached_property
    def _keys(self) -> tuple[np.ndarray, np.ndarray]:
        key = self._key(self.pool.source, self.pool.target, self.pool.adapter)
        order = np.argsort(key)
        return order, key[order]

    def _key(self, source: np.ndarray, target: np.ndarray, kind: np.ndarray) -> np.ndarray:
        return (source * len(self.space.model) + target) * len(self.pool.adapters) + kind

    @cached_property
    def _piece_model(self) -> np.ndarray:
        return np.array([fragment.model for fragment in self.prices.fragments], dtype=np.int64)

    @cached_property
    def _piece_first(self) -> np.ndarray:
        """[fragments]: the point at which each begins."""
        return np.array([self._point(f.model, f.start) for f in self.prices.fragments], dtype=np.int64)

    @cached_property
    def _piece_last(self) -> np.ndarray:
        return np.array([self._point(f.model, f.end, last=True) for f in self.prices.fragments], dtype=np.int64)

    def _point(self, model: int, cut: int | None, *, last: bool = False) -> int:
        first = int(self.space.first[model])
        return first + 1 + cut if cut is not None else int(self.space.last[model]) if last else first

    def piece(self, word: str) -> int:
        """The row of a fragment.

        Raises:
            CutError: there is no such fragment.
        """
        fragment = fragment_of(self.pool.plan, word)
        if fragment not in self._rows_of_pieces:
            raise self._refused(word)
        return self._rows_of_pieces[fragment]

    @cached_property
    def _rows_of_pieces(self) -> dict[Fragment, int]:
        return {fragment: row for row, fragment in enumerate(self.prices.fragments)}

    def _refused(self, name: str) -> InputError:
        return InputError(
            f"'{name}' is no chain of this space",
            f"It has those of at most {self.most} fragments, joined by {', '.join(self.pool.adapters)}: "
            f"such as '{self.name(self.route(len(self) - 1))}'.",
        )


class _Words(dict[str, int]):
    """What the words of names stand for: -1 - k for the k-th adapter, and the rows of fragments, read once each."""

    def __init__(self, space: ChainSpace):
        super().__init__({name: -1 - kind for kind, name in enumerate(space.pool.adapters)})
        self._space = space

    def __missing__(self, word: str) -> int:
        self[word] = self._space.piece(word)
        return self[word]
