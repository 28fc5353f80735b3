"""Some of a set of images, as a set of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from .model import Images, InputSpec


@dataclass(frozen=True)
class SomeImages:
    """What a part of a set has of the whole. A class of its own says which images are its, by `where`, and shows them
    by `batches`."""

    whole: Images

    @property
    def where(self) -> slice | Tensor:
        """An index of the whole: what is its part."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        return self.whole.name

    @property
    def noise(self) -> bool:
        return self.whole.noise

    @property
    def labels(self) -> Tensor | None:
        return None if self.whole.labels is None else self.whole.labels[self.where]


@dataclass(frozen=True)
class Part(SomeImages):
    """The images from `start` on, up to `stop`."""

    start: int
    stop: int

    @property
    def where(self) -> slice:
        return slice(self.start, self.stop)

    def __len__(self) -> int:
        return self.stop - self.start

    def batches(self, spec: InputSpec, size: int, start: int = 0, stop: int | None = None) -> Iterator[Tensor]:
        last = self.stop if stop is None else min(self.stop, self.start + stop)
        return self.whole.batches(spec, size, self.start + start, last)
