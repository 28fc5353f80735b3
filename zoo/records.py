"""What a file says of its model beside the weights: our own record, the arguments of timm's and torchvision's training
programs, the config.json of timm and Hugging Face. All are foreign documents, read with types."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from stitchc.passes.data.errors import BadCheckpoint
from stitchc.passes.data.model import Model

from .foreign import Reader, choice, either, flag, listed, mapping, number, optional, read, table, text, whole
from .inputs import FIELDS, assumed
from .naming import INTERPOLATIONS

MOST_CLASSES = 10_000_000
SIDE = whole(1, 65_536)
_SIZE = listed(SIDE, 3, 3)
MEAN = listed(number(-1e6, 1e6), 1, 65_536)
STD = listed(number(0, 1e6, above=True), 1, 65_536)
CROP = number(0.01, 1)
_CLASSES = whole(0, MOST_CLASSES)

_NAMES = listed(text(500), 1, 100_000)

#: The record of a checkpoint that `write` made: the names are those of `Model`'s and `InputSpec`'s fields.
_OWN = table({
    "name": text(), "licence": optional(text()), "data": optional(text()), "classes": optional(_CLASSES),
    "class_names": optional(_NAMES), "accuracy": optional(number(0, 1)), "notes": listed(text(2000), most=100),
    "source": text(2000),  # no more written
    "size": _SIZE, "mean": MEAN, "std": STD, "interpolation": choice(*INTERPOLATIONS), "crop": CROP,
    "assumed": listed(choice(*FIELDS), most=len(FIELDS)),
})  # fmt: skip


def nothing(value: Any, place: str) -> None:
    """Whatever is no list of names, as a file may hold for its own use."""


_PLAIN: Reader[Any] = optional(either(flag, whole(-65_536, 65_536), number(-1e6, 1e6), text()))
#: Arguments of a constructor: plain values, or lists and tables of them; numbers small enough to build.
_ARGUMENTS = mapping(
    either(_PLAIN, listed(either(_PLAIN, listed(_PLAIN, most=100)), most=100), mapping(_PLAIN, most=100)),
    most=100, keys=r"[a-z_]\w{0,60}",
)  # fmt: skip

#: The command line of timm's train.py and of torchvision's references, as their checkpoints keep it.
_TRAINING = table({
    "model": optional(text()), "num_classes": optional(_CLASSES), "input_size": optional(_SIZE),
    "img_size": optional(SIDE), "in_chans": optional(SIDE), "mean": optional(MEAN), "std": optional(STD),
    "crop_pct": optional(CROP), "interpolation": optional(text()), "crop_mode": optional(text()),
    "gp": optional(text()), "bn_eps": optional(number(0, 1)), "model_kwargs": optional(_ARGUMENTS),
    "val_crop_size": optional(SIDE), "val_resize_size": optional(SIDE),
}, others=True)  # fmt: skip

#: timm's `pretrained_cfg`, in what decides of the input.
_TIMM_INPUT = table({
    "input_size": optional(_SIZE), "mean": optional(MEAN), "std": optional(STD), "crop_pct": optional(CROP),
    "interpolation": optional(text()), "crop_mode": optional(text()), "num_classes": optional(_CLASSES),
    "license": optional(text()), "label_names": either(_NAMES, nothing),
}, others=True)  # fmt: skip
_TIMM = table({
    "architecture": text(), "num_classes": optional(_CLASSES), "global_pool": optional(text()),
    "model_args": optional(_ARGUMENTS), "pretrained_cfg": optional(_TIMM_INPUT),
    "label_names": either(_NAMES, nothing),
}, required=("architecture",), others=True)  # fmt: skip


@dataclass(frozen=True)
class Record:
    """What a file says of its model. None where it says nothing.

    arch: the architecture's words. arguments: for the constructor, which words cannot say. registry: whose the name of
    the architecture is, where that can be known. The others are the fields of `Model` and `InputSpec`.
    """

    arch: str = ""
    registry: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    licence: str | None = None
    data: str | None = None
    classes: int | None = None
    class_names: tuple[str, ...] | None = None
    accuracy: float | None = None
    notes: tuple[str, ...] = ()
    size: tuple[int, int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    interpolation: str | None = None
    crop: float | None = None
    assumed: tuple[str, ...] | None = None


def own(content: Any, where: str) -> Record:
    """The record of a checkpoint that `write` made.

    Raises:
        BadCheckpoint: it is none; the message names the place.
    """
    found = read(_OWN, content, where, BadCheckpoint, "Pack the model again.")
    found.pop("source", None)
    return checked(Record(**{key: value for key, value in found.items() if value is not None}), where)


def of_training(arguments: Any, where: str) -> Record:
    """What the command line of a training says of its model: timm's, or that of torchvision's references.

    Raises:
        BadCheckpoint: a value of it means nothing.
    """
    if isinstance(arguments, Namespace):
        arguments = vars(arguments)
    if not isinstance(arguments, Mapping):
        return Record()
    given = read(_TRAINING, {k: v for k, v in arguments.items() if v != ""}, where, BadCheckpoint)
    if given.get("val_crop_size"):
        return _of_references(given)
    size = given.get("input_size")
    channels = size[0] if size else given.get("in_chans") or 3
    if size is None and (side := given.get("img_size")):
        size = (channels, side, side)
    extra = {"global_pool": given.get("gp"), "bn_eps": given.get("bn_eps"), **(given.get("model_kwargs") or {})}
    if channels != 3 and size is None:
        extra["in_chans"] = channels
    return checked(
        Record(
            arch=given.get("model") or "",
            registry="timm" if "model" in given and "img_size" in given else "",
            arguments={key: value for key, value in extra.items() if value is not None},
            classes=given.get("num_classes") or None,
            size=size,
            mean=_per_channel(given.get("mean"), channels),
            std=_per_channel(given.get("std"), channels),
            crop=given.get("crop_pct"),
            **_methods(given),
        ),
        where,
    )


def of_timm(config: Any, where: str) -> Record:
    """What a config.json of timm says, in its present layout or in the flat one before.

    Raises:
        BadCheckpoint: it is none.
    """
    if isinstance(config, Mapping) and "pretrained_cfg" not in config:
        config = {**config, "pretrained_cfg": config}
    given = read(_TIMM, config, where, BadCheckpoint)
    of_input = given.get("pretrained_cfg") or {}
    pool = given.get("global_pool")
    arguments = {**({"global_pool": pool} if pool else {}), **(given.get("model_args") or {})}
    classes = given.get("num_classes")
    return checked(
        Record(
            arch=given["architecture"],
            registry="timm",
            arguments=arguments,
            classes=of_input.get("num_classes") if classes is None else classes,
            class_names=given.get("label_names") or of_input.get("label_names"),
            licence=of_input.get("license"),
            size=of_input.get("input_size"),
            mean=of_input.get("mean"),
            std=of_input.get("std"),
            crop=of_input.get("crop_pct"),
            **_methods(of_input),
        ),
        where,
    )


def described(model: Model, record: Record, default_name: str) -> Model:
    """`model`, an architecture filled, under what its file says of it, where it says anything."""
    spec = model.input
    stated = {key: value for key in FIELDS if (value := getattr(record, key)) is not None}
    if record.size is not None and record.size[0] != spec.size[0]:  # its mean and std are for other channels
        spec = assumed(record.size)
    unsaid = tuple(name for name in spec.assumed if name not in stated)
    spec = replace(spec, **stated, assumed=unsaid if record.assumed is None else record.assumed)
    return replace(
        model,
        name=record.name or default_name,
        input=spec,
        licence=record.licence,
        data=record.data,
        classes=record.classes or model.classes,
        class_names=record.class_names or model.class_names,
        accuracy=record.accuracy,
        notes=tuple(dict.fromkeys((*record.notes, *model.notes))),
    )


def of_model(model: Model) -> dict[str, Any]:
    """What a packed file says of a model; the inverse is `described`. Plain values only."""
    record = {
        "name": model.name,
        "licence": model.licence,
        "data": model.data,
        "classes": model.classes,
        "class_names": model.class_names,
        "accuracy": model.accuracy,
        "notes": model.notes,
        **asdict(model.input),
    }
    return {key: list(value) if isinstance(value, tuple) else value for key, value in record.items()}


def checked(record: Record, where: str) -> Record:
    """The record.

    Raises:
        BadCheckpoint: its numbers of channels contradict each other.
    """
    channels = {len(values) for values in (record.mean, record.std) if values is not None}
    if record.size is not None:
        channels.add(record.size[0])
    if len(channels) > 1:
        raise BadCheckpoint(
            f"{where} contradicts itself: its size, mean and std are for {' and '.join(map(str, sorted(channels)))} "
            "channels",
            "Write it again.",
        )
    return record


def _of_references(given: Mapping[str, Any]) -> Record:
    """torchvision's references: ImageNet's mean and deviation, and a centre crop."""
    side, resized = given["val_crop_size"], given.get("val_resize_size") or given["val_crop_size"]
    return Record(
        arch=given.get("model") or "",
        registry="torchvision",
        size=(3, side, side),
        crop=min(1.0, side / resized),
        **_methods(given),
    )


def _methods(given: Mapping[str, Any]) -> dict[str, Any]:
    """How images are resized and cropped; what is not known here is noted, not passed over."""
    notes = []
    interpolation = given.get("interpolation")
    if interpolation is not None and interpolation not in INTERPOLATIONS:
        notes.append(f"its images were resized by '{interpolation}'; here as its architecture says")
        interpolation = None
    if given.get("crop_mode") not in (None, "center"):
        notes.append(f"its images were cropped by '{given['crop_mode']}'; here the centre is taken")
    return {"interpolation": interpolation, "notes": tuple(notes)}


def _per_channel(values: tuple[float, ...] | None, channels: int) -> tuple[float, ...] | None:
    return values * channels if values is not None and len(values) == 1 else values
