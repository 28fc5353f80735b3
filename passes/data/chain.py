"""Chains: fragments of models, one after the other, with an adapter at each seam. A pair is a chain of two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from .errors import CutError


class End(NamedTuple):
    """A cut: the index of its model in the plan, and its own index among that model's cuts."""

    model: int
    cut: int


@dataclass(frozen=True)
class Fragment:
    """What lies between two cuts of a model.

    model: its index in the plan. start, end: the indices of the cuts; None is the model's own input, or output.
    """

    model: int
    start: int | None = None
    end: int | None = None


class Seam(NamedTuple):
    """Where two fragments meet: the cut that the first leaves, the adapter in its notation, the cut that the next
    enters."""

    leaves: End
    adapter: str
    enters: End


class Part(NamedTuple):
    """A fragment or an adapter of a chain, under the name that it has in a graph; the other of the two is None."""

    name: str
    fragment: Fragment | None
    adapter: str | None = None


@dataclass(frozen=True)
class Chain:
    """Fragments in the order in which they run, and the adapter at each seam in its notation, one fewer.

    The image enters the first fragment, in the size that its model is traced at: a model at another input size is a
    model of its own in the plan, with the same weights (see `Model.at`).

    Raises:
        CutError: fragments and adapters that make no chain.
    """

    fragments: tuple[Fragment, ...]
    adapters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.fragments or len(self.adapters) != len(self.fragments) - 1:
            raise CutError(
                f"{len(self.fragments)} fragments and {len(self.adapters)} adapters make no chain",
                "A chain has one fragment at least, and an adapter between each two.",
            )
        first, last = self.fragments[0], self.fragments[-1]
        inner = [f.end for f in self.fragments[:-1]] + [f.start for f in self.fragments[1:]]
        if first.start is not None or last.end is not None or None in inner:
            raise CutError(
                "a chain begins at a model's input, ends at a model's output, and has a cut on both sides of each seam",
                "None stands for the start of the first fragment and the end of the last one, and for no other.",
            )
        for fragment in self.fragments:
            if fragment.start is not None and fragment.end is not None and fragment.start >= fragment.end:
                raise CutError(
                    f"a fragment from cut {fragment.start} to cut {fragment.end} of a model holds nothing",
                    "End it at a later cut than the one where it starts.",
                )

    @classmethod
    def pair(cls, front: tuple[int, int], back: tuple[int, int], adapter: str) -> Chain:
        """The front of one model and the back of another: (model, cut) each."""
        return cls((Fragment(front[0], None, front[1]), Fragment(back[0], back[1], None)), (adapter,))

    def seams(self) -> tuple[Seam, ...]:
        """Where fragments meet, in order: one fewer than fragments."""
        return tuple(self._seam(k) for k in range(len(self.adapters)))

    def _seam(self, k: int) -> Seam:
        before, after = self.fragments[k : k + 2]
        assert before.end is not None and after.start is not None
        return Seam(End(before.model, before.end), self.adapters[k], End(after.model, after.start))

    def parts(self) -> tuple[Part, ...]:
        """Fragments and adapters in the order in which they run, with the names that they get in a graph.

        A pair is `front`, `adapter` and `back`; of more, adapters and the fragments in the middle are numbered from 1.
        A chain of one fragment is the model itself, whose modules keep their names.
        """
        return tuple(self._parts())

    def _parts(self) -> Iterator[Part]:
        seams, inner = len(self.adapters), len(self.fragments) - 2
        for k, fragment in enumerate(self.fragments):
            if k:
                yield Part(f"adapter{k}" if seams > 1 else "adapter", None, self.adapters[k - 1])
            middle = f"middle{k}" if inner > 1 else "middle"
            name = "" if not seams else "front" if k == 0 else "back" if k == seams else middle
            yield Part(name, fragment)

    def models(self) -> dict[str, int]:
        """Of each part that is a fragment, by its name, the index of its model."""
        return {part.name: part.fragment.model for part in self.parts() if part.fragment is not None}

    @property
    def front(self) -> Fragment:
        """The first fragment, which the image enters."""
        return self.fragments[0]

    @property
    def back(self) -> Fragment:
        """The last fragment, which gives the output."""
        return self.fragments[-1]
