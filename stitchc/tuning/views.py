"""Images as a training sees them: drawn in a seeded order, each altered by random numbers of its own.

What happens to an image depends on the seed, the epoch and its position alone: not on what was drawn before, on
workers, or on the number of processes. So a training that goes on from a checkpoint sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..passes.data.errors import DataError, InputError
from ..passes.data.model import Images, InputSpec
from ..passes.numerics.held_out import held_out_of
from ..zoo.sampling import draw
from .augment import PICTURES_ONLY, Augmentation
from .settings import Settings


class Views(Dataset):
    """The images at `positions` of a set, as one model's input; items are (epoch, index into positions).

    Pixels come as uint8 [channels, height, width] from a set of pictures, else as the set's own float32.
    """

    def __init__(self, images: Images, spec: InputSpec, positions: Tensor, augment: Sequence[str], seed: int):
        self.images, self.spec, self.positions, self.seed = images, spec, positions, seed
        self.augment = tuple(augment)
        self._whole: Tensor | None = None
        self._alter = Augmentation(augment, seed, len(images))
        if not self.of_pictures and set(augment) & set(PICTURES_ONLY):
            raise InputError(
                f"'{images.name}' are numbers, and {augment[0]} changes colours of pictures",
                "Leave it out of `augment`.",
            )

    @property
    def of_pictures(self) -> bool:
        return hasattr(self.images, "pixels")

    def __len__(self) -> int:
        return len(self.positions)

    def __getitems__(self, items: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor, Tensor]:
        """(pixels [n, ...], labels [n], indices [n]) of one epoch; labels are -1 where there are none. Pixels are as
        they are where the augmentation is done to a batch at once: `batches` does it, on the device."""
        indices = torch.tensor([index for _, index in items])
        pixels = self.plain(indices)
        if not self._alter.by_batch:
            pixels = self._alter(pixels, items[0][0], self.positions[indices])
        return pixels, self.labels(indices), indices

    def __getitem__(self, item: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        return self.__getitems__([item])

    def labels(self, indices: Tensor) -> Tensor:
        if self.images.labels is None:
            return torch.full((len(indices),), -1)
        return self.images.labels[self.positions[indices]]

    def plain(self, indices: Tensor) -> Tensor:
        """Pixels without augmentation."""
        wanted = self.positions[indices]
        if self.of_pictures:
            return self.images.pixels(wanted.tolist(), self.spec)  # type: ignore[attr-defined]
        if self._whole is None:
            self._whole = torch.cat(list(self.images.batches(self.spec, 256)))
        return self._whole[wanted]

    def order(self, epoch: int) -> Tensor:
        return torch.randperm(len(self), generator=torch.Generator().manual_seed(draw(self.seed, epoch) >> 1))

    def flipped(self, epoch: int, indices: Tensor) -> Tensor:
        """bool [n]: whether the augmentation `flip`, where it is the only one, mirrors the images."""
        return self._alter.flips(epoch, self.positions[indices])

    def batches(
        self, epoch: int, batches: Sequence[Tensor], device: torch.device, workers: int = 0
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """For every batch of indices in turn (pixels [n, ...], labels [n], indices [n]): altered, and but for the
        indices on the device."""
        items = [[(epoch, index) for index in batch.tolist()] for batch in batches]
        pin = device.type == "cuda"
        loader = DataLoader(self, batch_sampler=items, num_workers=workers, pin_memory=pin, collate_fn=_as_made)
        for pixels, labels, indices in loader:
            pixels, labels = (values.to(device, non_blocking=pin) for values in (pixels, labels))
            if self._alter.by_batch:
                pixels = self._alter(pixels, epoch, self.positions[indices])
            yield pixels, labels, indices


def _as_made(batch: Any) -> Any:
    return batch


def batches_of(order: Tensor, size: int) -> list[Tensor]:
    """Slices of `size` images; what is left over waits for the next epoch, unless it is all there is."""
    whole = order.split(size)
    return [batch for batch in whole if len(batch) == size] or [order]


def normalised(pixels: Tensor, spec: InputSpec) -> Tensor:
    """What the network is fed: (pixel / 255 - mean) / std of uint8; floats are normalised already."""
    if pixels.dtype != torch.uint8:
        return pixels
    mean, std = (torch.tensor(x, device=pixels.device).view(-1, 1, 1) for x in (spec.mean, spec.std))
    return (pixels.float() / 255).sub_(mean).div_(std)


def split(images: Images, holdout: float | None, by_class: bool = True) -> tuple[Tensor, Tensor]:
    """Positions to train on, and those held out: see `held_out_of`. by_class: of each class, where there are labels;
    otherwise by position alone, so that they are images that fitting and healing held out too.

    Raises:
        DataError: too few images.
    """
    count = len(images)
    if count == 0:
        raise DataError(f"'{images.name}' holds no images", "Name another folder or file.")
    order = torch.arange(count)
    if by_class and images.labels is not None:
        order = images.labels.argsort(stable=True)
    aside = torch.zeros(count, dtype=torch.bool)
    aside[order[held_out_of(count, holdout)]] = True
    if holdout and (not aside.any() or aside.all()):
        raise DataError(f"{count} images are too few to hold out {holdout:.0%} of them", "Train with `holdout=0`.")
    return (~aside).nonzero().flatten(), aside.nonzero().flatten()


def training_and_held_out(images: Images, spec: InputSpec, settings: Settings) -> tuple[Views, Views | None]:
    """The images to train on, augmented, and those held out, as they are; None where none are.

    Raises:
        DataError: too few images.
    """
    training, held = split(images, settings.holdout, by_class=settings.learns_labels)
    views = Views(images, spec, training, settings.augment, settings.seed)
    return views, Views(images, spec, held, (), settings.seed) if len(held) else None
