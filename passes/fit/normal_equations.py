"""Normal equations shared by adapters with one design matrix."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.fx import GraphModule

from ..adapters.base import Adapter, picked
from ..numerics.ridge import Moments, Solution, choose_ridges, moments_bytes, solve, solving_bytes

# Multiply-adds that one set of normal equations may take: half a minute on two cores.
OPERATIONS = 1e12
# Of each target, the channels that a ridge is chosen by where only that is wanted roughly: solving for a thousand takes
# several times as long as the factorisation that serves all.
_JUDGED = 64


@dataclass(frozen=True, eq=False)
class Prefix:
    """The beginning of a chain with its adapters. graph: it ends in the value at the next seam. model: the index of the
    one whose input it takes."""

    graph: GraphModule
    model: int


@dataclass(frozen=True, eq=False)
class Known:
    """The beginning of a chain as the values at the next seam, which it was run for before: [images, ...], in the order
    of the images. model: the index of the one whose input it takes."""

    values: Tensor
    model: int


#: What a value is taken from: a model, by its index in the plan, or the beginning of a chain.
Source = int | Prefix | Known
#: Where a value is taken: a source, and its node there.
Place = tuple[Source, str]


@dataclass(frozen=True, eq=False)
class Solved:
    """The solution for one adapter of a set of normal equations.

    whole: whether it is from all images, or from those that are not held out. moments: what it was solved from; they
    change when the next solution is taken.
    """

    user: int
    whole: bool
    solution: Solution
    moments: Moments


@dataclass(eq=False)
class NormalEquations:
    """One design matrix and the regression targets of all adapters that share it.

    front: where the design is computed from, by `reader`, one of the adapters. columns: the channels of y that each
    target takes. targets: the value that each is computed from, and the adapter that computes it. users: by the number
    of an adapter, its channels of y. most: how many channels of a target are fitted at most, evenly spaced; None for
    all. roughly: products are taken and summed in float32, in half the memory. fitting, held_out: the moments of the
    two parts of the images.
    """

    front: Place
    reader: Adapter
    most: int | None = None
    roughly: bool = False
    columns: dict[Hashable, slice] = field(default_factory=dict)
    targets: list[tuple[Place, Adapter]] = field(default_factory=list)
    users: dict[int, slice] = field(default_factory=dict)
    fitting: Moments | None = None
    held_out: Moments | None = None

    def join(self, user: int, target: Place, adapter: Adapter) -> None:
        """Adds adapter number `user`, fitted to the value at `target`."""
        key = target, adapter.target_key
        if key not in self.columns:
            self.columns[key] = slice(self.channels, self.channels + len(self._fitted_channels(adapter)))
            self.targets.append((target, adapter))
        self.users[user] = self.columns[key]

    def has_room(self, target: Place, adapter: Adapter, limit: int) -> bool:
        """Whether the equations take at most `limit` bytes with one more adapter."""
        if (target, adapter.target_key) in self.columns:
            return True
        return sum(equations_bytes(self.reader, self.channels + len(self._fitted_channels(adapter)))) <= limit

    @property
    def bytes(self) -> tuple[int, int]:
        """As `equations_bytes`."""
        return equations_bytes(self.reader, self.channels, roughly=self.roughly)

    def _fitted_channels(self, adapter: Adapter) -> range:
        """Those of the back's value that an adapter is fitted to."""
        channels = adapter.back.channels
        return range(0, channels, 1 if self.most is None else -(-channels // self.most))

    @property
    def places(self) -> set[Place]:
        """The values that must be known of each batch."""
        return {self.front, *(target for target, _ in self.targets)}

    @property
    def channels(self) -> int:
        """Channels of all targets together."""
        return max((place.stop for place in self.columns.values()), default=0)

    def begin(self, device: torch.device) -> None:
        """Allocates the moments where the values are."""
        products = torch.float32 if self.roughly else torch.float64
        self.fitting, self.held_out = (
            Moments.zeros(self.reader.features, self.channels, device=device, products=products) for _ in range(2)
        )

    def add(
        self,
        values: Mapping[Place, Tensor],
        held: Tensor,
        rows: int,
        generator: torch.Generator,
        limit: int,
    ) -> None:
        """The values of one batch. held: which of its images are held out, bool [images]. rows: how many positions of
        each image to take at most. limit: bytes of the rows of one slice of images, in float32."""
        assert self.fitting and self.held_out
        place, adapter = self.targets[0]
        positions = adapter.target(values[place][:1]).shape[1]
        numbers = (self.reader.features + self.channels) * min(rows, positions)  # of an image
        for part in torch.arange(len(held)).split(max(1, limit // (8 * numbers))):  # all, and a copy of those of a part
            here, keep = slice(int(part[0]), int(part[-1]) + 1), None
            if rows < positions:
                # Drawn image by image, so that the draw does not depend on how the images are batched.
                keep = torch.stack([torch.randperm(positions, generator=generator)[:rows] for _ in part])
                keep = keep.to(values[place].device)
            x, y = self.reader.design(values[self.front][here], keep), self._targets(values, here, keep)
            for moments, mask in ((self.fitting, ~held[here]), (self.held_out, held[here])):
                if mask.any():
                    add = moments.add_roughly if self.roughly else moments.add
                    add(x[mask].flatten(0, 1), y[mask].flatten(0, 1))

    def _targets(self, values: Mapping[Place, Tensor], images: slice, keep: Tensor | None) -> Tensor:
        found = []
        for place, adapter in self.targets:
            step = self._fitted_channels(adapter).step
            found.append(picked(adapter.target(values[place][images])[..., ::step], keep))
        return torch.cat(found, dim=2)

    def choose(self, ridges: Sequence[float]) -> dict[int, tuple[float, float]]:
        """For each adapter the ridge of the least error on held-out images, and the share of the variance that is
        unexplained there; roughly, of some of its channels, evenly spaced."""
        assert self.fitting and self.held_out
        self.fitting, self.held_out = self.fitting.double(), self.held_out.double()
        ridges = ridges if self.reader.ridge is None else [self.reader.ridge]
        judged, places = list[int](), list[slice]()
        for columns in self.columns.values():
            every = -(-(columns.stop - columns.start) // _JUDGED) if self.roughly else 1
            start = len(judged)
            judged += range(columns.start, columns.stop, every)
            places.append(slice(start, len(judged)))
        fitting, held_out = self.fitting, self.held_out
        if len(judged) < self.channels:
            fitting, held_out = fitting.target(judged), held_out.target(judged)
        found = choose_ridges(fitting, held_out, ridges, places, intercept=self.reader.intercept)
        by_start = {columns.start: one for columns, one in zip(self.columns.values(), found, strict=True)}
        return {user: by_start[columns.start] for user, columns in self.users.items()}

    def solve(self, ridges: Mapping[int, float], partly: Collection[int], *, whole: bool) -> Iterator[Solved]:
        """The solutions for adapters, each with its ridge: of those in `partly` first from the images that are not held
        out; then, unless `whole` is false, of every adapter from all images. Frees the moments."""
        assert self.fitting and self.held_out
        moments, rest = self.fitting, self.held_out
        self.fitting = self.held_out = None
        yield from self._solved(moments, {user: ridges[user] for user in partly}, whole=False)
        if whole:
            moments += rest
            yield from self._solved(moments, ridges, whole=True)

    def _solved(self, moments: Moments, ridges: Mapping[int, float], *, whole: bool) -> Iterator[Solved]:
        for ridge in dict.fromkeys(ridges.values()):
            found = solve(moments, ridge, intercept=self.reader.intercept)
            for user in (user for user, own in ridges.items() if own == ridge):
                place = self.users[user]
                own = Solution(found.weight[place], found.bias[place], ridge)
                yield Solved(user, whole, own, moments.target(place))


def equations_bytes(reader: Adapter, channels: int, *, roughly: bool = False) -> tuple[int, int]:
    """Bytes of the normal equations for targets of `channels` together: of the moments, and the further bytes while
    they are solved. roughly: the moments take half before they are brought to float64 to be solved."""
    work = solving_bytes(reader.features, channels, pseudoinverse=reader.ridge == 0)
    moments = 2 * moments_bytes(reader.features, channels)
    return (moments // 2, moments // 2 + work) if roughly else (moments, work)


def rows_per_image(adapter: Adapter, images: int, rows: int) -> int:
    """How many positions of each image the fit of an adapter uses at most."""
    affordable = max(int(OPERATIONS / adapter.features**2), 16 * adapter.features)
    return -(-min(rows, affordable) // images)
