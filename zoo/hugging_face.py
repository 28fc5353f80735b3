"""What config.json and preprocessor_config.json of Hugging Face's transformers say of a network and of its input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stitchc.passes.data.errors import BadCheckpoint

from .class_names import in_order
from .foreign import either, flag, listed, mapping, number, optional, read, table, text, whole
from .records import CROP, MEAN, SIDE, STD, Record, checked, nothing

_CONFIG = table({
    "architectures": either(listed(text(200), most=10), nothing),
    "id2label": either(mapping(text(500), most=100_000, keys="[0-9]{1,6}"), nothing),
}, others=True)  # fmt: skip
_EDGES = either(SIDE, table({"shortest_edge": SIDE, "height": SIDE, "width": SIDE}, others=True))
_PREPROCESSOR = table({
    "image_mean": optional(MEAN), "image_std": optional(STD), "size": optional(_EDGES), "crop_size": optional(_EDGES),
    "crop_pct": optional(CROP), "resample": optional(whole(0, 5)), "do_normalize": optional(flag),
    "do_rescale": optional(flag), "rescale_factor": optional(number(0, 1e6, above=True)), "include_top": optional(flag),
    "rescale_offset": optional(flag), "do_center_crop": optional(flag), "do_flip_channel_order": optional(flag),
}, others=True)  # fmt: skip
#: Pillow's numbers.
_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
#: The side from which on ConvNeXT's processor crops nothing.
_WHOLE = 384
_KNOWN = ("nearest", "bilinear", "bicubic")


def of_config(config: Any, where: str) -> tuple[str, Record]:
    """What config.json says: the class of the network, "" for none, and what its outputs mean.

    Raises:
        BadCheckpoint: it is none.
    """
    given = read(_CONFIG, config, where, BadCheckpoint)
    network = next((name for name in given.get("architectures") or () if name.isidentifier()), "")
    return network, Record(class_names=in_order(given.get("id2label")))


def of_preprocessor(config: Any, where: str) -> Record:
    """What preprocessor_config.json says of the input.

    Raises:
        BadCheckpoint: it is none, or asks for channels in another order than red, green, blue.
    """
    given = read(_PREPROCESSOR, config, where, BadCheckpoint)
    if given.get("do_flip_channel_order"):
        raise BadCheckpoint(
            f"{where}: the network is fed blue, green, red (do_flip_channel_order), and images are read as red, green, "
            "blue",
            "Turn them round in the network, x.flip(1), by a Python file, and take the line out of that file.",
        )
    size, notes = _size(given)
    resample = _RESAMPLE.get(given.get("resample", -1))
    if resample is not None and resample not in _KNOWN:
        notes.append(f"its images were resized by '{resample}'; here as its architecture says")
        resample = None
    mean, std = _normalisation(given)
    return checked(
        Record(
            size=(len(mean) if mean else 3, *size[:2]) if size else None,
            mean=mean,
            std=std,
            crop=size[2] if size else given.get("crop_pct"),
            interpolation=resample,
            notes=tuple(notes),
        ),
        where,
    )


def _size(given: Mapping[str, Any]) -> tuple[tuple[int, int, float | None] | None, list[str]]:
    """Height, width, and the share that is cropped (None where it is not said), and what of it cannot be done here."""
    resized, cropped = _edges(given.get("size")), _edges(given.get("crop_size"))
    crop = given.get("crop_pct")
    notes: list[str] = []
    if resized is None:
        return None, notes
    side, size = resized, given["size"]
    squashed = "height" in size if isinstance(size, Mapping) else not cropped and crop is None
    if cropped and given.get("do_center_crop", True):
        side, crop = cropped, min(1.0, cropped[0] / resized[0])
    elif crop is not None and resized[0] >= _WHOLE:  # as ConvNeXT's processor
        crop, squashed = 1.0, True
    if squashed:
        notes.append(
            f"its images were brought to {resized[0]}x{resized[1]} whatever their shape; here they keep it, and the "
            "centre is taken"
        )
    return (*side, crop), notes


def _normalisation(given: Mapping[str, Any]) -> tuple[tuple[float, ...] | None, tuple[float, ...] | None]:
    """Mean and deviation of pixels in [0, 1].

    The network is fed (pixel * 255 * factor - offset - mean) / std.
    """
    mean, std = given.get("image_mean"), given.get("image_std")
    divided = std
    if given.get("do_normalize") is False:
        channels = len(mean) if mean else 3
        mean, std = (0.0,) * channels, (1.0,) * channels
    if given.get("include_top") and std and divided:  # EfficientNet's processor divides once more
        std = tuple(a * b for a, b in zip(std, divided, strict=True))
    rescaled = given.get("do_rescale") is not False
    scale = 255 * (given.get("rescale_factor") or 1 / 255) if rescaled else 255.0
    offset = 1.0 if rescaled and given.get("rescale_offset") else 0.0
    if mean is not None:
        mean = tuple((value + offset) / scale for value in mean)
    if std is not None:
        std = tuple(value / scale for value in std)
    return mean, std


def _edges(given: Any) -> tuple[int, int] | None:
    if isinstance(given, int):
        return given, given
    if not given:
        return None
    if "height" in given and "width" in given:
        return given["height"], given["width"]
    return (given["shortest_edge"],) * 2 if "shortest_edge" in given else None
