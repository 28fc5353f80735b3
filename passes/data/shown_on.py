"""Images on the device that networks run on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .model import InputSpec
from .some_images import SomeImages


@dataclass(frozen=True)
class ShownOn(SomeImages):
    """The same images and labels on a device. While one batch is worked on, the next is on its way there."""

    device: torch.device

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
