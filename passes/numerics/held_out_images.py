"""Some of a set of images: those that are worked on, and those that are held out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.model import Images, InputSpec
from ..data.some_images import SomeImages
from .held_out import EVERY, held_out


def too_few(images: Images) -> bool:
    """Whether none of them can be held out."""
    return len(images) < EVERY


@dataclass(frozen=True)
class Some(SomeImages):
    """The images of a set that are held out, or those that are not."""

    held: bool = False

    @property
    def where(self) -> Tensor:
        """Their positions in the whole, int64."""
        return (held_out(0, len(self.whole)) == self.held).nonzero().flatten()

    def __len__(self) -> int:
        return len(self.where)

    def batches(self, spec: InputSpec, size: int, start: int = 0, stop: int | None = None) -> Iterator[Tensor]:
        """As `Images.batches`, in batches of `size` again."""
        wanted = self.where[start:stop]
        if not len(wanted):
            return
        first, last = int(wanted[0]), int(wanted[-1]) + 1
        waiting, at = torch.empty(0), first
        for batch in self.whole.batches(spec, size, first, last):
            mine = batch[torch.isin(torch.arange(at, at + len(batch)), wanted)]
            waiting, at = torch.cat([waiting, mine]) if len(waiting) else mine, at + len(batch)
            while len(waiting) >= size:
                yield waiting[:size].clone()
                waiting = waiting[size:]
        if len(waiting):
            yield waiting.clone()
