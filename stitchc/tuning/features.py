"""What the trunk computes, once: in memory, or in a file that memory is mapped to when it is larger than allowed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..progress import Progress
from .views import Views, normalised

if TYPE_CHECKING:
    from .parts import Trainee

BATCH = 128  # images a forward pass of the trunk


@dataclass(frozen=True)
class Features:
    """values: [versions * images, *shape of the cut's value]; version v of image i is at v * images + i."""

    values: Tensor
    images: int
    versions: int
    path: Path | None = None

    def of(self, indices: Tensor, versions: Tensor | int = 0) -> Tensor:
        return self.values[versions * self.images + indices]

    def close(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def versions_of(augment: tuple[str, ...]) -> int | None:
    """How many versions of an image an augmentation makes, if few."""
    return {(): 1, ("flip",): 2}.get(augment)


def saves_time(trainee: Trainee, augment: tuple[str, ...], epochs: int) -> bool:
    """Whether caching saves time: the trunk runs fewer times over the images for the cache than for the training."""
    versions = versions_of(augment)
    return trainee.trunk > 0 and versions is not None and versions < epochs


def bytes_of(trainee: Trainee, views: Views, device: torch.device) -> int:
    """What the features of all versions take."""
    one = trainee.features(normalised(views.plain(torch.arange(1)), views.spec).to(device))
    return one[0].numel() * 4 * len(views) * (versions_of(views.augment) or 0)


@torch.no_grad()
def collect(
    compute: Callable[[Tensor], Tensor], views: Views, device: torch.device, scratch: Path | None, progress: Progress
) -> Features | None:
    """What `compute` makes of every version of every image. scratch: the folder of the file, None for memory.

    Returns None where the file would fill the disk.
    """
    versions = versions_of(views.augment) or 0
    count = len(views)
    values: Tensor | None = None
    path: Path | None = None
    for version in range(versions):
        for indices in torch.arange(count).split(BATCH):
            pixels = views.plain(indices)
            x = normalised(pixels.flip(-1) if version else pixels, views.spec).to(device)
            made = compute(x).float().cpu()
            if values is None:
                shape = (versions * count, *made.shape[1:])
                if scratch is not None and shutil.disk_usage(scratch).free < 1.25 * 4 * np.prod(shape, dtype=np.int64):
                    return None
                path = None if scratch is None else scratch / "features"
                values = torch.empty(shape) if path is None else _mapped(path, shape)
            values[version * count + indices] = made
            progress.update(version * count + int(indices[-1]) + 1, versions * count)
    assert values is not None
    return Features(values, count, versions, path)


def _mapped(path: Path, shape: tuple[int, ...]) -> Tensor:
    path.unlink(missing_ok=True)  # it may be a link: what it leads to is not ours
    return torch.from_numpy(np.memmap(path, np.float32, "w+", shape=shape))
