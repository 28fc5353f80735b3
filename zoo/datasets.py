"""Pictures that are no plain folder: the embedded digits, arrays, torchvision's datasets, noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from stitchc.passes.data.errors import DataError

from .pictures import Pictures, from_folder
from .sampling import draw

NOISE_SIDE = 128
NOISE_COUNT = 512


def digits(split: str | None) -> Pictures:
    """The embedded digits: 1,297 for training unless `split` is "test" (500) or "all" (1,797)."""
    from .digits.data import CLASSES, load_split

    split = _one_of(split, {"train": "train", "test": "test", "all": "all"}, "digits")
    images, labels = load_split(split)
    return Pictures(len(images), lambda index: Image.fromarray(images[index]), labels.tolist(), CLASSES)


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

    return Pictures(count or NOISE_COUNT, read, noise=True)


def arrays(path: Path) -> Pictures:
    """A .npz with `images` uint8 [n, height, width] or [n, height, width, channels], and perhaps `labels` [n].

    Raises:
        DataError: no such file, no such arrays, other types or shapes.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}", "Check the path.")
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in ("images", "labels") if name in file.files}
            names = list(file.files)
    except Exception as error:  # numpy and zipfile raise errors of many kinds for a broken file
        raise DataError(f"{path} cannot be read as .npz: {error}", "Write it with numpy.savez.") from error
    if "images" not in found:
        raise DataError(f"{path} has no array 'images'; it has {', '.join(names) or 'none'}", "Name it so.")
    images, labels = found["images"], found.get("labels")
    if images.dtype != np.uint8 or not (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] in (1, 3))):
        raise DataError(
            f"{path}: images are {images.dtype} of shape {images.shape}",
            "They must be uint8 of shape [n, height, width, 3], [n, height, width, 1] or [n, height, width].",
        )
    if not len(images):
        raise DataError(f"{path} holds no images", "Check how it was written.")
    if labels is not None and (labels.shape != (len(images),) or labels.dtype.kind not in "iu"):
        raise DataError(
            f"{path}: labels are {labels.dtype} of shape {labels.shape}", "They must be integers, one an image."
        )
    if images.shape[-1] == 1 and images.ndim == 4:
        images = images[..., 0]
    numbers = None if labels is None else [int(label) for label in labels]
    return Pictures(
        len(images),
        lambda index: Image.fromarray(images[index]),
        numbers,
        None if numbers is None else max(numbers) + 1,
    )


def cifar10(folder: Path, split: str | None) -> Pictures:
    return _cifar(folder, split, "CIFAR10")


def cifar100(folder: Path, split: str | None) -> Pictures:
    return _cifar(folder, split, "CIFAR100")


def _cifar(folder: Path, split: str | None, name: str) -> Pictures:
    from torchvision import datasets

    kind = getattr(datasets, name)
    split = _one_of(split, {"train": "train", "test": "test"}, name.lower())
    dataset = _opened(lambda root: kind(root, train=split == "train"), folder, kind.base_folder, name)
    images = dataset.data
    return Pictures(len(images), lambda index: Image.fromarray(images[index]), dataset.targets, len(dataset.classes))


def imagenette(folder: Path, split: str | None) -> Pictures:
    """Any size of Imagenette, or the folder that holds it."""
    split = _one_of(split, {"train": "train", "val": "val", "test": "val"}, "imagenette")
    known = ("imagenette2", "imagenette2-320", "imagenette2-160", "imagenette")
    inner = next((folder / name for name in known if (folder / name).is_dir()), folder)
    return from_folder(inner, split, by_prefix=False)


def pets(folder: Path, split: str | None) -> Pictures:
    split = _one_of(split, {"train": "trainval", "trainval": "trainval", "test": "test"}, "pets")
    return _from_torchvision("OxfordIIITPet", folder, "oxford-iiit-pet", split)


def dtd(folder: Path, split: str | None) -> Pictures:
    split = _one_of(split, {"train": "train", "val": "val", "test": "test"}, "dtd")
    return _from_torchvision("DTD", folder, "dtd", split)


def food101(folder: Path, split: str | None) -> Pictures:
    split = _one_of(split, {"train": "train", "test": "test"}, "food101")
    return _from_torchvision("Food101", folder, "food-101", split)


def _from_torchvision(name: str, folder: Path, inner: str, split: str) -> Pictures:
    from torchvision import datasets

    dataset = _opened(lambda root: getattr(datasets, name)(root, split=split), folder, inner, name)
    labels = [int(label) for label in dataset._labels]  # there is no public way to them but decoding every image
    return Pictures(len(dataset), lambda index: dataset[index][0], labels, len(dataset.classes))


def _opened(build: Callable[[str], Any], folder: Path, inner: str, name: str) -> Any:
    """A dataset of torchvision, given the folder it calls root, or the one in it that holds the files."""
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}", "Check the path.")
    inside = folder.name == inner.split("/")[0]
    try:
        return build(str(folder.parent if inside else folder))
    except (RuntimeError, OSError) as error:
        raise DataError(
            f"torchvision does not find {name} in {folder}: {error}",
            f"It wants the folder that holds '{inner}'; torchvision.datasets.{name}(folder, download=True) makes one.",
        ) from error


def _one_of(split: str | None, known: dict[str, str], name: str) -> str:
    if split is None:
        return next(iter(known.values()))
    if split not in known:
        raise DataError(f"{name} has no split '{split}'", f"It has {', '.join(known)}.")
    return known[split]
