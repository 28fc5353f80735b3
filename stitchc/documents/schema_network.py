"""What plan.json may say of a network: its input, its chain, what it takes, and how it was repaired and verified."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..passes.data import metrics
from ..zoo import foreign
from ..zoo.foreign import (
    Fault,
    Reader,
    characters,
    choice,
    either,
    flag,
    mapping,
    number,
    optional,
    table,
    whole,
)
from ..zoo.naming import INTERPOLATIONS
from ..zoo.records import MOST_CLASSES

MOST = 2**53  # the whole numbers that JSON keeps exactly
MODELS = 26  # that an artifact is made of, at most
CHAIN = 1000  # links of a chain, and chains or members, at most


def stated(always: Mapping[str, Reader[Any]], sometimes: Mapping[str, Reader[Any]] | None = None) -> Reader[Any]:
    """A table that has the keys of `always`, and may have those of `sometimes`. Others, which a later stitchc may have
    written, are left out."""
    return table({**always, **(sometimes or {})}, required=tuple(always), others=True)


def listed(item: Reader[Any], least: int = 0, most: int = 1000) -> Reader[list[Any]]:
    """A list of `least` to `most` items, as JSON has it."""
    checked = foreign.listed(item, least, most)
    return lambda value, place: list(checked(value, place))


def count(least: int = 0, most: int = MOST) -> Reader[int]:
    """A whole number, written as one."""

    def reader(value: Any, place: str) -> int:
        if isinstance(value, float):
            raise Fault(place, f"is {value!r}, not a whole number")
        return whole(least, most)(value, place)

    return reader


def figure(least: float, most: float, *, above: bool = False) -> Reader[float]:
    """A finite number, as it is written: a whole one stays one."""
    checked = number(least, most, above=above)

    def reader(value: Any, place: str) -> float:
        checked(value, place)
        return value

    return reader


def digest(value: Any, place: str) -> str:
    """A SHA-256, as text."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise Fault(place, "is no SHA-256: 64 hexadecimal digits")
    return value


NAME, SHARE, REAL = characters(), figure(0, 1), figure(-1e30, 1e30)
IMAGES = count(0, 10**12)
_AMOUNTS = {metric.key: optional(figure(0, 1e30)) for metric in metrics.every()}
_SIZE = listed(count(1, 65_536), 1, 4)

#: What a network takes, by the keys of the metrics.
COST = table(_AMOUNTS, others=True)
#: Calls of operators without a formula.
UNCOUNTED = mapping(count(), 10_000, keys=r"[\x20-\x7e]{1,300}")
#: What outputs mean.
CLASS_NAMES = optional(listed(NAME, 1, MOST_CLASSES))

INPUT = stated({
    "size": listed(count(1, 65_536), 3, 3), "mean": listed(figure(-1e6, 1e6), 1, 65_536),
    "std": listed(figure(0, 1e6, above=True), 1, 65_536), "interpolation": choice(*INTERPOLATIONS),
    "crop": figure(0, 1, above=True), "assumed": listed(characters(100), most=10),
})  # fmt: skip

_ADAPTER = stated({
    "name": NAME, "params": optional(REAL), "macs": optional(REAL),  # negative: what is folded away
    "residual": optional(REAL), "ridge": optional(REAL), "from_shape": _SIZE, "to_shape": _SIZE,
    "from_layout": characters(10), "to_layout": characters(10),
})  # fmt: skip

_END = optional(NAME)
_FRAGMENT = stated({
    "model": NAME, "from": _END, "to": _END, "from_path": _END, "to_path": _END, "from_label": _END, "to_label": _END,
})  # fmt: skip


def _link(value: Any, place: str) -> dict[str, Any]:
    if isinstance(value, dict) and "adapter" in value:
        return table({"adapter": _ADAPTER}, others=True)(value, place)
    return _FRAGMENT(value, place)


LINKS = listed(_link, 1, CHAIN)

MODEL = stated(
    {
        "name": NAME, "source": optional(NAME), "sha256": optional(either(choice(""), digest)),
        "licence": optional(NAME), "input": INPUT, "accuracy": optional(SHARE), "accuracy_on": optional(NAME),
    },
    _AMOUNTS,
)  # fmt: skip

PROBE = optional(stated({"data": NAME, "images": IMAGES}))

ACCURACY = optional(stated(
    {"data": NAME, "images": count(1, 10**12), "top1": SHARE, "top5": SHARE},
    {
        "notes": listed(characters(), most=10_000),
        "classes": optional(table({"images": IMAGES, "outputs": IMAGES, "by": characters()})),
    },
))  # fmt: skip

VERIFIED = optional(stated(
    {
        "module_max_abs": REAL, "onnx_max_abs": optional(REAL), "argmax_agreement": SHARE,
        "batches": listed(count(1, 100_000), 1, 100),
    },
    {
        "module_max_rel": REAL, "onnx_max_rel": optional(REAL), "device": optional(characters()),
        "device_max_rel": optional(REAL),
    },
))  # fmt: skip

_COMPARED = {
    "agreement_before": SHARE, "agreement": SHARE, "divergence_before": optional(REAL), "divergence": optional(REAL),
}  # fmt: skip
_MENDED = {"images": IMAGES, "held_out": IMAGES, **_COMPARED}

_BLOCK = stated({
    "name": NAME, "operators": count(), "ridge": REAL, "divergence": REAL, "agreement": SHARE, "kept": flag,
})  # fmt: skip
_FOLLOWED = stated({**_COMPARED, "models": listed(NAME, 1, MODELS), "pull": REAL, "kept": flag})
_CALIBRATED = stated({"scale": REAL, "divergence_before": optional(REAL), "divergence": optional(REAL)})

HEALING = optional(stated(
    {**_MENDED, "blocks": listed(_BLOCK, most=100_000)},
    {"mirrored": flag, "followed": optional(_FOLLOWED), "calibrated": optional(_CALIBRATED)},
))  # fmt: skip

POLISHING = optional(stated({
    **_MENDED, "teachers": listed(NAME, most=MODELS), "steps": count(), "batch": count(), "kept": count(),
}))  # fmt: skip
