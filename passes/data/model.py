"""A model and the images it is shown: the plain data that a loader (zoo/, or a user) hands to the passes."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from .errors import DataError, ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class InputSpec:
    """What a model's input must be.

    size: (channels, height, width) in pixels, without batch.
    mean, std: per channel, of pixels in [0, 1]; the model is fed (pixel - mean) / std.
    interpolation: "nearest", "bilinear" or "bicubic", how an image of another size is brought to this one.
    crop: the share of the resized image's short side that the centre crop keeps (timm's `crop_pct`), in (0, 1].
    assumed: names of the fields above that nobody stated, so that a report can say so.
    """

    size: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"
    crop: float = 1.0
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """A network, where it came from, what its input must be, its licence.

    source: the words it was named by. arch: the words that build the same architecture without its weights, "" where
    none do. sha256: of its weights' bytes (see `zoo`), "" where nobody computed it.
    data: the images that its own record names, by their words, or None.
    classes: length of the output, None when unknown. class_names: what its outputs mean, one name each, or None.
    accuracy: top-1 its own record states, a fraction. notes: what a report must say of the model.
    module: the network, in eval mode. Not part of comparison or of JSON.
    """

    name: str
    input: InputSpec
    source: str = ""
    arch: str = ""
    sha256: str = ""
    licence: str | None = None
    data: str | None = None
    classes: int | None = None
    class_names: tuple[str, ...] | None = None
    accuracy: float | None = None
    notes: tuple[str, ...] = ()
    module: nn.Module | None = field(default=None, compare=False, repr=False)

    @property
    def network(self) -> nn.Module:
        """The module, ready to run: in eval mode, out of torch's wrappers (see `scores.ready`).

        Raises:
            ModelError: the model was read from a record, without its module; or its parameters have no values.
        """
        from .scores import ready

        if self.module is None:
            raise ModelError(f"{self.name} was loaded without its network", "Load it again by its source.")
        return ready(self.module, self.name)

    def scores(self, images: Tensor) -> Tensor:
        """What the network gives for images [n, *input.size], as float32 [n, ...]: [n, classes] of a classifier.

        Raises:
            ModelError: as `network`; or it fails on the images, or gives no finite score for each (see `scores`).
        """
        from .scores import scores

        return scores(self.network, images, self.name)

    def at(self, size: tuple[int, int, int]) -> Model:
        """The same network, with the same weights, given images of another size (channels, height, width). Its record's
        accuracy is of its own size, so it is not taken over."""
        name = f"{self.name}@{size[1]}x{size[2]}" if size != self.input.size else self.name
        return replace(self, name=name, input=replace(self.input, size=size), accuracy=None)


def own_name(name: str, names: Collection[str]) -> str:
    """Of a model at another size, as `Model.at` names it, the name of the model itself; of others their own.

    names: of all models that there are.
    """
    own, _, size = name.rpartition("@")
    return own if own in names and re.fullmatch(r"[0-9]{1,6}(x[0-9]{1,6})*", size) else name


def first_of(models: Sequence[Model]) -> list[int]:
    """Of each model, by its index, that of the first with the same module at another input size; else its own."""
    found = []
    for index, model in enumerate(models):
        same = (
            k
            for k, other in enumerate(models[:index])
            if other.module is not None and other.module is model.module and other.input.size != model.input.size
        )
        found.append(next(same, index))
    return found


def shares_of(models: Sequence[Model]) -> list[float]:
    """Of each model, its height as a share of that of the first with the same module."""
    heights = [model.input.size[1] for model in models]
    return [height / heights[own] for height, own in zip(heights, first_of(models), strict=True)]


@runtime_checkable
class Images(Protocol):
    """Images that every model sees in the same order, each through its own input transform.

    name: the words they were named by ("digits?split=test"). labels: int64 [images], or None when unlabelled.
    noise: whether they are no pictures at all, so that a report can say what its figures rest on.

    A set whose labels are positions among names also has class_names, a tuple of str, and relabelled(labels), the same
    images with others. notes, a tuple of str, is what a report must say of the set, where there is anything.
    """

    @property
    def name(self) -> str:
        """The DATA text that names them."""
        ...

    @property
    def labels(self) -> Tensor | None:
        """Classes, int64 [images], or None."""
        ...

    @property
    def noise(self) -> bool:
        """Whether they are random numbers and no pictures."""
        ...

    def __len__(self) -> int: ...

    def batches(self, spec: InputSpec, size: int, start: int = 0, stop: int | None = None) -> Iterator[Tensor]:
        """Images start..stop in order, as float32 [n <= size, *spec.size], transformed as `spec` says. Re-iterable."""
        ...


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    from torch.nn.functional import interpolate

    return interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)


@dataclass(frozen=True)
class TensorImages:
    """A tensor [images, channels, height, width] shown to every model as it is, and resized (bilinear, antialiased) to
    one whose input has another size. For plain `nn.Module`s.

    labels: int64 [images], or None. name, noise: as of `Images`.

    Raises:
        DataError: no tensor of that shape, or of integers, which nobody says how to normalise.
    """

    tensor: Tensor = field(repr=False)
    labels: Tensor | None = field(default=None, repr=False)
    name: str = "tensor"
    noise: bool = False

    def __post_init__(self) -> None:
        shape = tuple(getattr(self.tensor, "shape", ()))
        if len(shape) != 4:
            found = f"a {type(self.tensor).__name__}" + (f" of shape {shape}" if shape else "")
            raise DataError(f"images are {found}", "Give a tensor [images, channels, height, width].")
        if not self.tensor.is_floating_point():
            raise DataError(
                f"images are {self.tensor.dtype}, and a network takes floating point",
                "Give them as it was trained on them, such as (images / 255 - mean) / std.",
            )

    def __len__(self) -> int:
        return len(self.tensor)

    def batches(self, spec: InputSpec, size: int, start: int = 0, stop: int | None = None) -> Iterator[Tensor]:
        """Slices start..stop of the tensor, as `Images.batches`; of `spec` only the size is looked at.

        Raises:
            DataError: they have another number of channels.
        """
        if self.tensor.shape[1] != spec.size[0]:
            raise DataError(
                f"images have {self.tensor.shape[1]} channels, and a network takes {spec.size[0]}",
                "Give images with as many channels, or a network that takes them.",
            )
        for part in self.tensor[start:stop].split(size):
            # a network may write to the images that it is given
            yield part.clone() if part.shape[2:] == spec.size[1:] else _resized(part, spec.size[1:])
