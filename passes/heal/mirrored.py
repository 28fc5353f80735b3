"""Images and their mirror images, as one set twice as large: more to heal on, where a mirror changes no class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import GraphModule

from ..data.model import Images, InputSpec
from ..data.some_images import SomeImages
from ..numerics.held_out import EVERY

#: Images that models are shown beside their mirror images, to see whether these may be used.
TRIED = 100
#: Share of them whose class must stay. That of networks trained on photographs with flips does for nine of ten; of
#: digits or text a mirror makes something else.
SAME = 0.8


@dataclass(frozen=True)
class Mirrored(SomeImages):
    """Five images, then their five mirror images, and so on; a last group of fewer stands alone.

    So that of every image and its mirror image both are held out (see `numerics/held_out.py`), or neither is.
    """

    def __len__(self) -> int:
        return len(self.where)

    @property
    def where(self) -> Tensor:
        """Which image of the whole each is, or is the mirror image of: int64 [images]."""
        every = torch.arange(len(self.whole))
        groups = every[: self._paired].view(-1, 1, EVERY).expand(-1, 2, EVERY)
        return torch.cat([groups.flatten(), every[self._paired :]])

    @property
    def _paired(self) -> int:
        return len(self.whole) // EVERY * EVERY

    def batches(self, spec: InputSpec, size: int, start: int = 0, stop: int | None = None) -> Iterator[Tensor]:
        """As `Images.batches`."""
        place = torch.arange(len(self))
        turned = (place % (2 * EVERY) >= EVERY) & (place < 2 * self._paired)
        for which, flip in zip(self.where[start:stop].split(size), turned[start:stop].split(size), strict=True):
            first, last = int(which.min()), int(which.max()) + 1
            shown = next(iter(self.whole.batches(spec, last - first, first, last)))[which - first]
            yield torch.where(flip.view(-1, 1, 1, 1), shown.flip(-1), shown)


@torch.no_grad()
def same_mirrored(graph: GraphModule, spec: InputSpec, images: Images) -> float:
    """The share of the first images to whose mirror image the network gives the same class."""
    count = min(TRIED, len(images))
    shown = torch.cat(list(images.batches(spec, count, 0, count)))
    said = [graph(x.clone()).argmax(1) for x in (shown, shown.flip(-1))]
    return float((said[0] == said[1]).float().mean())
