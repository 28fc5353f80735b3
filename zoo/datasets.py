"""Pictures that are no plain folder: the embedded digits, torchvision's datasets, noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch.nn import functional as F

from stitchc.passes.data.errors import DataError

from .classes import Wanted
from .folders import from_folder
from .pictures import Pictures, content_of, decoded
from .sampling import draw

NOISE_SIDE = 128
NOISE_COUNT = 512
MOST_NOISE = 1_000_000


def digits(wanted: Wanted) -> Pictures:
    """The embedded digits: 1,297 for training, 500 for testing, or "all" (1,797)."""
    from .digits.data import NAMES, load_split

    split, notes = wanted.of({"train": "train", "test": "test", "all": "all"}, "digits")
    images, labels = load_split(split)
    return Pictures(
        len(images), lambda index: Image.fromarray(images[index]), labels.tolist(), len(NAMES), NAMES, notes=notes
    )


def noise(count: int | None, seed: int) -> Pictures:
    """Seeded noise with structure at every scale, so that models of any input size see the same thing in it."""

    def read(index: int) -> Image.Image:
        generator = torch.Generator().manual_seed(draw(seed, index) >> 1)
        total = torch.zeros(1, 3, NOISE_SIDE, NOISE_SIDE)
        side = 2
        while side <= NOISE_SIDE:
            octave = torch.randn(1, 3, side, side, generator=generator)
            total += F.interpolate(octave, NOISE_SIDE, mode="bilinear", align_corners=False)
            side *= 2
        values = (127.5 + 64 * total[0] / total.std()).round().clamp(0, 255).byte()
        return Image.fromarray(values.permute(1, 2, 0).numpy())

    if count is not None and count > MOST_NOISE:
        raise DataError(
            f"{count:,} images of noise were asked for", f"{MOST_NOISE:,} are the most: limit={MOST_NOISE}."
        )
    return Pictures(count or NOISE_COUNT, read, noise=True)


def cifar10(folder: Path, wanted: Wanted) -> Pictures:
    return _cifar(folder, wanted, "CIFAR10")


def cifar100(folder: Path, wanted: Wanted) -> Pictures:
    return _cifar(folder, wanted, "CIFAR100")


def _cifar(folder: Path, wanted: Wanted, name: str) -> Pictures:
    from torchvision import datasets

    kind = getattr(datasets, name)
    split, notes = wanted.of({"train": "train", "test": "test"}, name.lower())
    dataset = _opened(lambda root: kind(root, train=split == "train"), folder, kind.base_folder, name)
    images, names = dataset.data, tuple(dataset.classes)
    return Pictures(
        len(images), lambda index: Image.fromarray(images[index]), dataset.targets, len(names), names, notes=notes
    )


def imagenette(folder: Path, wanted: Wanted) -> Pictures:
    """Any size of Imagenette, or the folder that holds it."""
    split, notes = wanted.of({"train": "train", "val": "val", "test": "val"}, "imagenette")
    known = ("imagenette2", "imagenette2-320", "imagenette2-160", "imagenette")
    inner = next((folder / name for name in known if (folder / name).is_dir()), folder)
    found = from_folder(inner, Wanted(split))
    return replace(found, notes=(*notes, *found.notes))


def pets(folder: Path, wanted: Wanted) -> Pictures:
    splits = {"train": "trainval", "trainval": "trainval", "test": "test"}
    return _from_torchvision("OxfordIIITPet", folder, "oxford-iiit-pet", wanted.of(splits, "pets"))


def dtd(folder: Path, wanted: Wanted) -> Pictures:
    splits = {"train": "train", "val": "val", "test": "test"}
    return _from_torchvision("DTD", folder, "dtd", wanted.of(splits, "dtd"))


def food101(folder: Path, wanted: Wanted) -> Pictures:
    return _from_torchvision("Food101", folder, "food-101", wanted.of({"train": "train", "test": "test"}, "food101"))


def _from_torchvision(name: str, folder: Path, inner: str, chosen: tuple[str, tuple[str, ...]]) -> Pictures:
    from torchvision import datasets

    split, notes = chosen
    dataset = _opened(lambda root: getattr(datasets, name)(root, split=split), folder, inner, name)
    labels = [int(label) for label in dataset._labels]  # there is no public way to them but decoding every image
    names = tuple(dataset.classes)
    # Nor to the files; torchvision itself would read pictures of any format, PostScript too, and of any size.
    places = [Path(place) for place in (dataset._images if name == "OxfordIIITPet" else dataset._image_files)]
    if outside := next((place for place in places if ".." in place.parts), None):
        raise DataError(f"a list of {name} in {folder} names {outside}", "Download the data again.")
    return Pictures(
        len(places), lambda index: decoded(content_of(places[index]), str(places[index])), labels, len(names), names,
        notes=notes, where=lambda index: str(places[index]),
    )  # fmt: skip


def _opened(build: Callable[[str], Any], folder: Path, inner: str, name: str) -> Any:
    """A dataset of torchvision, given the folder it calls root, or the one in it that holds the files."""
    inside = folder.name == inner.split("/")[0]
    try:
        return build(str(folder.parent if inside else folder))
    except Exception as error:  # torchvision says nothing of lists that are broken: whatever their parsers raise
        raise DataError(
            f"torchvision does not find {name} in {folder}: {error}",
            f"It wants the folder that holds '{inner}'; torchvision.datasets.{name}(folder, download=True) makes one.",
        ) from error
