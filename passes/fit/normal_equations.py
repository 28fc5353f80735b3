"""The normal equations of adapters that read the same of one front."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.fx import GraphModule

from ..adapters.base import Adapter
from ..numerics.ridge import Moments, Solution, choose_ridges, solve

# Multiply-adds that the normal equations of one system may take: half a minute on two cores.
OPERATIONS = 1e12
# The rows of one slice of images take at most this much memory, and so do the values kept of one batch.
SLICE_BYTES = 256 << 20


@dataclass(frozen=True, eq=False)
class Prefix:
    """The beginning of a chain with its adapters. graph: it ends in the value at the next seam. model: the index of the
    one whose input it takes."""

    graph: GraphModule
    model: int


#: Where a value is taken: in a model by its index in the plan, or in a prefix; and its node there.
Place = tuple[int | Prefix, str]


@dataclass(frozen=True, eq=False)
class Solved:
    """What a system found for one of its users.

    left: the share of the variance unexplained on held-out images. half, whole: the solutions from the images that are
    not held out, and from all; each with the moments that it was solved from.
    """

    ridge: float
    left: float
    half: tuple[Solution, Moments]
    whole: tuple[Solution, Moments]


@dataclass(eq=False)
class System:
    """The front's value, one of the adapters to read it, and what the adapters aim at.

    columns: of each target, its channels in y. targets: of each, the value and an adapter to read it. users: of each
    user by its number, its channels. fitting, held_out: the moments of the two parts of the images.
    """

    front: Place
    reader: Adapter
    columns: dict[Hashable, slice] = field(default_factory=dict)
    targets: list[tuple[Place, Adapter]] = field(default_factory=list)
    users: dict[int, slice] = field(default_factory=dict)
    fitting: Moments | None = None
    held_out: Moments | None = None

    def join(self, user: int, target: Place, adapter: Adapter) -> None:
        key = target, adapter.aim
        if key not in self.columns:
            self.columns[key] = slice(self.channels, self.channels + adapter.back.channels)
            self.targets.append((target, adapter))
        self.users[user] = self.columns[key]

    @property
    def places(self) -> set[Place]:
        return {self.front, *(target for target, _ in self.targets)}

    @property
    def channels(self) -> int:
        return max((place.stop for place in self.columns.values()), default=0)

    @property
    def size_bytes(self) -> int:
        features = self.reader.features
        return 2 * 8 * features * (features + self.channels)

    def begin(self) -> None:
        self.fitting, self.held_out = (Moments.zeros(self.reader.features, self.channels) for _ in range(2))

    def add(self, values: Mapping[Place, Tensor], held: Tensor, rows: int, generator: torch.Generator) -> None:
        """The values of one batch. held: which of its images are held out, bool [images]. rows: how many positions of
        each image to take at most."""
        assert self.fitting and self.held_out
        for part in torch.arange(len(held)).split(self._images_per_slice(rows)):
            targets = torch.cat([adapter.target(values[place][part]) for place, adapter in self.targets], dim=2)
            keep = None
            if rows < targets.shape[1]:
                # Drawn image by image, so that the draw does not depend on how the images are batched.
                keep = torch.stack([torch.randperm(targets.shape[1], generator=generator)[:rows] for _ in part])
                targets = targets[torch.arange(len(part))[:, None], keep]
            design = self.reader.design(values[self.front][part], keep)
            for moments, mask in ((self.fitting, ~held[part]), (self.held_out, held[part])):
                moments.add(design[mask].flatten(0, 1), targets[mask].flatten(0, 1))

    def _images_per_slice(self, rows: int) -> int:
        reader = self.reader
        positions = min(rows, reader.back.pixels + reader.back.tokens)
        return max(1, SLICE_BYTES // (4 * reader.features * positions))

    def solve(self, ridges: Sequence[float]) -> dict[int, Solved]:
        """What each user gets. Lets go of the moments."""
        assert self.fitting and self.held_out
        intercept = self.reader.intercept
        ridges = ridges if self.reader.ridge is None else [self.reader.ridge]
        places = list(self.columns.values())
        chosen = choose_ridges(self.fitting, self.held_out, ridges, places, intercept=intercept)
        parts = self.fitting, self.fitting + self.held_out
        self.fitting = self.held_out = None
        found = {}
        for ridge in {ridge for ridge, _ in chosen}:
            solutions = [solve(moments, ridge, intercept=intercept) for moments in parts]
            for place, (_, left) in zip(places, chosen, strict=True):
                half, whole = (
                    (Solution(s.weight[place], s.bias[place], ridge), moments.target(place))
                    for s, moments in zip(solutions, parts, strict=True)
                )
                found[place.start, ridge] = Solved(ridge, left, half, whole)
        ridge_of = {place.start: ridge for place, (ridge, _) in zip(places, chosen, strict=True)}
        return {user: found[place.start, ridge_of[place.start]] for user, place in self.users.items()}


def rows_per_image(adapter: Adapter, images: int, rows: int) -> int:
    """How many positions of each image the fit of an adapter uses at most."""
    affordable = max(int(OPERATIONS / adapter.features**2), 16 * adapter.features)
    return -(-min(rows, affordable) // images)
