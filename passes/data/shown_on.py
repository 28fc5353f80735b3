"""Images on the device that networks run on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor

from .model import InputSpec
from .some_images import SomeImages


@dataclass(frozen=True)
class ShownOn(SomeImages):
    """The same images and labels on a device. While one batch is worked on, the next is on its way there.

    room: bytes of the device that images may take which were shown once and will be again.
    """

    device: torch.device
    room: int = 0
    _kept: dict[InputSpec, _Kept] = field(default_factory=dict, repr=False, compare=False)

    @property
    def where(self) -> slice:
        return slice(None)

    @property
    def labels(self) -> Tensor | None:
        labels = super().labels
        return None if labels is None else labels.to(self.device)

    def __len__(self) -> int:
        return len(self.whole)

    def batches(self, spec: InputSpec, size: int, start: int = 0, stop: int | None = None) -> Iterator[Tensor]:
        """As `Images.batches`, on the device."""
        stop = len(self) if stop is None else min(stop, len(self))
        kept = self._kept_of(spec)
        if kept is None:
            yield from self._coming(spec, size, start, stop)
        elif kept.there[start:stop].all():
            for first in range(start, stop, size):  # copies: a network may change what it is given
                yield kept.images[first : min(first + size, stop)].clone()
        else:
            for batch in self._coming(spec, size, start, stop):
                kept.images[start : start + len(batch)] = batch
                kept.there[start : start + len(batch)] = True
                start += len(batch)
                yield batch

    def _coming(self, spec: InputSpec, size: int, start: int, stop: int) -> Iterator[Tensor]:
        before = None
        for batch in self.whole.batches(spec, size, start, stop):
            coming = self._sent(batch)
            if before is not None:
                yield before
            before = coming
        if before is not None:
            yield before

    def _sent(self, batch: Tensor) -> Tensor:
        if self.device.type != "cuda":
            return batch.to(self.device)
        return batch.pin_memory().to(self.device, non_blocking=True)

    def _kept_of(self, spec: InputSpec) -> _Kept | None:
        if spec not in self._kept:
            needed = 4 * len(self) * prod(spec.size)
            if needed + sum(4 * kept.images.numel() for kept in self._kept.values()) > self.room:
                return None
            with torch.inference_mode(False):  # what is made in that mode can be written to in that mode alone
                images = torch.empty(len(self), *spec.size, device=self.device)
                self._kept[spec] = _Kept(images, torch.zeros(len(self), dtype=torch.bool))
        return self._kept[spec]


@dataclass(frozen=True)
class _Kept:
    """Images as one transform gives them, float32 [images, channels, height, width], and which of them are there."""

    images: Tensor
    there: Tensor
