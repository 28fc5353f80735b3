"""Images by name (docs/zoo.md, Images), shown to each model through its own input transform."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stitchc.passes.data.errors import DataError
from stitchc.passes.data.model import InputSpec

from . import datasets
from .arrays import from_arrays
from .class_names import renumbered
from .classes import Wanted
from .folders import from_folder
from .image_words import Words, parse
from .pictures import Pictures
from .sampling import order
from .tars import from_tar
from .transforms import normalised, pixels

#: Transformed images that are kept in memory, all transforms of one set together; beyond, each sweep decodes again.
CACHED_BYTES = 1 << 30
_WORKERS = min(8, os.cpu_count() or 1)


class ImageSet:
    """Images in a fixed order, as `stitchc.passes.Images` asks for. Made by `images`.

    name: the words they were named by. labels: int64 [images] or None. classes: how many classes there are, None when
    unlabelled. class_names: [classes], where labels are positions among them; None where they are numbers that somebody
    wrote down. noise: whether they are no pictures at all. notes: what whoever reads a figure on them must know.
    """

    def __init__(self, name: str, source: Pictures, indices: Sequence[int]):
        self.name = name
        self.noise = source.noise
        self.classes, self.class_names = source.classes, source.class_names
        self.notes = source.notes
        self.labels: Tensor | None = None
        if source.labels is not None:
            self.labels = torch.tensor([source.labels[index] for index in indices], dtype=torch.int64)
        source.select(indices)
        self._source = source
        self._indices = indices
        self._caches: dict[tuple, _Cache] = {}

    def __len__(self) -> int:
        return len(self._indices)

    def __repr__(self) -> str:
        return f"<{len(self)} images of {self.name}>"

    def relabelled(self, labels: Tensor | None) -> ImageSet:
        """The same images, decoded once for both, with other labels: int64 [images], or None."""
        other = copy(self)
        other.labels = labels
        return other

    def batches(self, spec: InputSpec, size: int, start: int = 0, stop: int | None = None) -> Iterator[Tensor]:
        """Images start..stop in order, as float32 [n <= size, *spec.size], transformed as `spec` says. Re-iterable.

        Raises:
            DataError: a file that is no picture, or a number of channels that no picture has.
        """
        stop = len(self) if stop is None else min(stop, len(self))
        spans = [range(first, min(first + size, stop)) for first in range(start, stop, size)]
        cache = self._cache(spec)
        with ThreadPoolExecutor(_WORKERS) as pool:
            ahead: list[list[Future[np.ndarray] | np.ndarray]] = [
                self._begin(span, spec, cache, pool) for span in spans[:1]
            ]
            for number, span in enumerate(spans):
                current = ahead.pop()
                if number + 1 < len(spans):  # the next batch is decoded while the model looks at this one
                    ahead.append(self._begin(spans[number + 1], spec, cache, pool))
                arrays = [item.result() if isinstance(item, Future) else item for item in current]
                if cache is not None:
                    cache.put(span, arrays)
                yield normalised(torch.from_numpy(np.stack(arrays)), spec)

    def pixels(self, positions: Sequence[int], spec: InputSpec) -> Tensor:
        """The images at these positions, as uint8 [n, *spec.size] of the size that `spec` says, not normalised.

        Raises:
            DataError: as `batches`.
        """
        cache = self._cache(spec)
        missing = [p for p in dict.fromkeys(positions) if cache is None or not cache.filled[p]]
        made: dict[int, np.ndarray] = {}
        if missing:
            with ThreadPoolExecutor(_WORKERS) as pool:
                arrays = pool.map(lambda p: self._decode(p, spec), missing)
                made = dict(zip(missing, arrays, strict=True))
        if cache is None:
            return torch.from_numpy(np.stack([made[position] for position in positions]))
        for position, array in made.items():
            cache.put(range(position, position + 1), [array])
        return torch.from_numpy(cache.images[list(positions)])

    def _begin(
        self, span: range, spec: InputSpec, cache: _Cache | None, pool: ThreadPoolExecutor
    ) -> list[Future[np.ndarray] | np.ndarray]:
        """Each image of `span`, or the promise of it."""
        return [
            cache.images[position]
            if cache is not None and cache.filled[position]
            else pool.submit(self._decode, position, spec)
            for position in span
        ]

    def _decode(self, position: int, spec: InputSpec) -> np.ndarray:
        index = self._indices[position]
        picture = self._source.read(index)
        try:
            return pixels(picture, spec)
        except DataError as error:
            raise DataError(f"{self._source.where(index)}: {error.message}", error.hint) from error

    def _cache(self, spec: InputSpec) -> _Cache | None:
        key = (spec.size, spec.interpolation, spec.crop)
        if key not in self._caches:
            needed = len(self) * int(np.prod(spec.size))
            if needed + sum(cache.images.nbytes for cache in self._caches.values()) > CACHED_BYTES:
                return None
            self._caches[key] = _Cache(np.empty((len(self), *spec.size), np.uint8), np.zeros(len(self), bool))
        return self._caches[key]


@dataclass(frozen=True)
class _Cache:
    """Transformed images of one transform, uint8 [images, channels, height, width], and which of them are there."""

    images: np.ndarray
    filled: np.ndarray

    def put(self, span: range, arrays: list[np.ndarray]) -> None:
        for position, array in zip(span, arrays, strict=True):
            self.images[position] = array
            self.filled[position] = True


def images(words: str, *, measuring: bool = False) -> ImageSet:
    """The images that `words` name, as `digits?split=test&limit=100` or `folder:photos?seed=1`.

    The same words give the same images in the same order, shuffled by `seed` (0): they go round the classes one of each
    in turn, so that every prefix, and every `limit`, is balanced. Without `split` a set that has splits gives its
    training images, to probe and to learn on, or with `measuring` those that nothing learns on: the test split if there
    is one, and a note says so.

    Raises:
        DataError: words that mean nothing, files that are missing or hold no pictures.
    """
    said = parse(words)
    options, source = said.options, _source(said, measuring)
    if options.classes is not None:
        source = renumbered(source, options.classes, words)
    if source.noise:  # as many as were asked for, the same first ones however many
        return ImageSet(words, source, range(source.count))
    return ImageSet(words, source, order(source.count, source.labels, options.limit, options.seed))


_IN_FOLDERS: dict[str, Callable[[Path, Wanted], Pictures]] = {
    "folder": from_folder,
    "cifar10": datasets.cifar10,
    "cifar100": datasets.cifar100,
    "imagenette": datasets.imagenette,
    "pets": datasets.pets,
    "dtd": datasets.dtd,
    "food101": datasets.food101,
}


def _source(said: Words, measuring: bool) -> Pictures:
    options = said.options
    wanted = Wanted(options.split, options.by_prefix, measuring)
    if said.form == "digits":
        return datasets.digits(wanted)
    if said.form == "random":
        return datasets.noise(options.limit, options.seed)
    if said.form == "tar":
        return from_tar(said.path, wanted)
    if said.form == "npz":
        return from_arrays(said.path)
    return _IN_FOLDERS[said.form](said.path, wanted)
