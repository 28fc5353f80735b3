"""Augmentation of images, by random numbers that depend on the seed, the epoch and the image alone.

What needs no more than indexing is done to a whole batch at once, on the device where it lies: image by image it takes
longer than a small network's training step. What changes colours is torchvision's, image by image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..zoo.sampling import draw

#: The policies of torchvision, which take pictures alone.
PICTURES_ONLY = ("autoaugment", "randaugment", "trivialaugment")

# Of torchvision's RandomErasing: how often an image is erased, by what area and proportions, in how many attempts.
_ERASED, _AREA, _PROPORTIONS, _ATTEMPTS = 0.5, (0.02, 0.33), (0.3, 3.3), 10


class Augmentation:
    """Alters images by some of the augmentations, in the order of `words`.

    count: how many images there are in all. Positions are numbers of images among them.
    """

    def __init__(self, words: Sequence[str], seed: int, count: int):
        self.words, self.seed, self.count = tuple(words), seed, count
        self._drawn: tuple[int, list[Tensor]] | None = None

    @property
    def by_batch(self) -> bool:
        """Whether a batch is altered at once, on any device."""
        return all(word in _BY_BATCH for word in self.words)

    def __call__(self, pixels: Tensor, epoch: int, positions: Tensor) -> Tensor:
        """pixels: [n, channels, height, width], of the images at `positions` [n]."""
        for word, numbers in zip(self.words, self._numbers(epoch), strict=True):
            if word in _BY_BATCH:
                pixels = _BY_BATCH[word][1](pixels, numbers[positions])
            else:
                pixels = self._one_by_one(word, pixels, epoch, positions)
        return pixels

    def flips(self, epoch: int, positions: Tensor) -> Tensor:
        """bool [n]: whether `flip`, where it is the only augmentation, mirrors the images."""
        assert self.words == ("flip",)
        return _mirrored(self._numbers(epoch)[0][positions])

    def _numbers(self, epoch: int) -> list[Tensor]:
        """For each word the uniform numbers [count, how many it needs] of an epoch."""
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn = epoch, [self._uniform(epoch, number, word) for number, word in enumerate(self.words)]
        return self._drawn[1]

    def _uniform(self, epoch: int, number: int, word: str) -> Tensor:
        generator = torch.Generator().manual_seed(draw(draw(self.seed, epoch), -1 - number) >> 1)
        needed = _BY_BATCH[word][0] if word in _BY_BATCH else 0
        return torch.rand(self.count, needed, generator=generator)

    def _one_by_one(self, word: str, pixels: Tensor, epoch: int, positions: Tensor) -> Tensor:
        alter, seed = _of_torchvision(word), draw(self.seed, epoch)
        altered = []
        with torch.random.fork_rng(devices=[]):
            for position, image in zip(positions.tolist(), pixels, strict=True):
                torch.manual_seed(draw(seed, position) >> 1)
                altered.append(alter(image))
        return torch.stack(altered)


def _of_torchvision(word: str) -> Callable[[Tensor], Tensor]:
    from torchvision.transforms import v2

    made = {
        "autoaugment": lambda: v2.AutoAugment(v2.AutoAugmentPolicy.IMAGENET),
        "randaugment": lambda: v2.RandAugment(),
        "trivialaugment": lambda: v2.TrivialAugmentWide(),
    }
    return made[word]()


def _mirrored(numbers: Tensor) -> Tensor:
    return numbers[:, 0] < 0.5


def _flip(pixels: Tensor, numbers: Tensor) -> Tensor:
    """Mirrors every other image."""
    return torch.where(_mirrored(numbers).to(pixels.device)[:, None, None, None], pixels.flip(-1), pixels)


def _crop(pixels: Tensor, numbers: Tensor) -> Tensor:
    """A window of the image's own size, anywhere within the image with an eighth of its sides added as zeros."""
    count, channels, height, width = pixels.shape
    above, beside = height // 8, width // 8
    padded = F.pad(pixels, (beside, beside, above, above))
    room = torch.tensor([2 * above + 1, 2 * beside + 1])
    top, left = (numbers * room).long().T.to(pixels.device)
    rows = top[:, None] + torch.arange(height, device=pixels.device)
    columns = left[:, None] + torch.arange(width, device=pixels.device)
    index = rows[:, :, None] * padded.shape[3] + columns[:, None, :]
    index = index.view(count, 1, -1).expand(-1, channels, -1)
    return padded.flatten(2).gather(2, index).view(pixels.shape)


def _erase(pixels: Tensor, numbers: Tensor) -> Tensor:
    """Zeros in a rectangle of every other image: the first of ten drawn that is smaller than the image, if any is."""
    height, width = pixels.shape[2:]
    sizes = numbers[:, 3:].view(len(pixels), _ATTEMPTS, 2)
    area = height * width * (_AREA[0] + (_AREA[1] - _AREA[0]) * sizes[:, :, 0])
    low, high = (math.log(proportion) for proportion in _PROPORTIONS)
    proportion = (low + (high - low) * sizes[:, :, 1]).exp()
    tall, wide = (area * proportion).sqrt().round(), (area / proportion).sqrt().round()
    fits = (tall < height) & (wide < width)
    first = fits.long().argmax(1, keepdim=True)
    tall, wide = (side.gather(1, first)[:, 0] for side in (tall, wide))
    erased = fits.any(1) & (numbers[:, 0] < _ERASED)
    top = (numbers[:, 1] * (height - tall + 1)).floor()
    left = (numbers[:, 2] * (width - wide + 1)).floor()
    row, column = torch.arange(height), torch.arange(width)
    rows = (row >= top[:, None]) & (row < (top + tall)[:, None]) & erased[:, None]
    columns = (column >= left[:, None]) & (column < (left + wide)[:, None])
    rows, columns = rows.to(pixels.device), columns.to(pixels.device)
    return pixels.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], 0)


# Of each that is done to a batch at once: how many uniform numbers an image needs, and what is done by them.
_BY_BATCH: dict[str, tuple[int, Callable[[Tensor, Tensor], Tensor]]] = {
    "flip": (1, _flip),
    "crop": (2, _crop),
    "erase": (3 + 2 * _ATTEMPTS, _erase),
}
