"""What plan.json may hold: the types, ranges and lengths of all that is read back from an artifact.

Keys that are none of these are kept and not used: a later stitchc may have written more.
"""

from __future__ import annotations

import re
from typing import Any

from ..passes.data import metrics
from ..zoo.foreign import (
    Fault,
    Reader,
    characters,
    choice,
    either,
    flag,
    listed,
    mapping,
    number,
    optional,
    table,
    whole,
)
from ..zoo.naming import INTERPOLATIONS

#: The files of an artifact beside plan.json; each is there, but for model.onnx where a compile left it out.
FILES = ("README.md", "model.onnx", "model.py", "model.safetensors", "recipe.toml", "report.html")
#: The folder in a family that holds an ONNX file of each member, and the weights of all of them there.
ONNX, ONNX_DATA = "onnx", "model.onnx.data"

_MEMBER_NAME = r"[a-z][a-z0-9_]{0,79}"
_MOST = 2**53  # the whole numbers that JSON keeps exactly


def _count(least: int = 0, most: int = _MOST) -> Reader[int]:
    """A whole number, written as one."""

    def reader(value: Any, place: str) -> int:
        if isinstance(value, float):
            raise Fault(place, f"is {value!r}, not a whole number")
        return whole(least, most)(value, place)

    return reader


def _digest(value: Any, place: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-f]{64}", value):
        raise Fault(place, "is no SHA-256: 64 hexadecimal digits")
    return value


def _files(value: Any, place: str) -> dict[str, str]:
    read = mapping(_digest, len(FILES), keys="|".join(map(re.escape, FILES)))(value, place)
    return _complete(read, place)


def _family_files(value: Any, place: str) -> dict[str, str]:
    names = [re.escape(name) for name in FILES if name != "model.onnx"]
    onnx = rf"{ONNX}/({re.escape(ONNX_DATA)}|{_MEMBER_NAME}\.onnx)"
    return _complete(mapping(_digest, 10_000, keys="|".join([*names, onnx]))(value, place), place)


def _complete(read: dict[str, str], place: str) -> dict[str, str]:
    for name in FILES:
        if name not in read and name != "model.onnx":
            raise Fault(place, f"names no {name}, which every artifact has")
    return read


def _python_name(value: Any, place: str) -> str:
    """What code may be written with."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,199}", value):
        raise Fault(place, "is no name: lower-case letters, digits and '_', a letter first")
    return value


def _member_name(value: Any, place: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(_MEMBER_NAME, value):
        raise Fault(place, "is no name for a member: lower-case letters, digits and '_', a letter first")
    return value


_AMOUNTS = {metric.key: optional(number(0, 1e30)) for metric in metrics.every()}
_NAME, _SHARE, _REAL = characters(), number(0, 1), number(-1e30, 1e30)
_SIZE = listed(_count(1, 65_536), 1, 4)
_IMAGES = _count(0, 10**12)

_INPUT = table({
    "size": listed(_count(1, 65_536), 3, 3), "mean": listed(number(-1e6, 1e6), 1, 65_536),
    "std": listed(number(0, 1e6, above=True), 1, 65_536), "interpolation": choice(*INTERPOLATIONS),
    "crop": number(0, 1, above=True), "assumed": listed(characters(100), most=10),
}, required=("size", "mean", "std"), others=True)  # fmt: skip

_ADAPTER = table({
    "name": _NAME, "params": optional(_REAL), "macs": optional(_REAL),  # negative: what is folded away
    "residual": optional(_REAL), "ridge": optional(_REAL), "from_shape": _SIZE, "to_shape": _SIZE,
    "from_layout": characters(10), "to_layout": characters(10),
}, required=("name",), others=True)  # fmt: skip

_END = optional(_NAME)
_FRAGMENT = table({
    "model": _NAME, "from": _END, "to": _END, "from_path": _END, "to_path": _END, "from_label": _END, "to_label": _END,
}, required=("model", "from", "to"), others=True)  # fmt: skip


def _link(value: Any, place: str) -> dict[str, Any]:
    if isinstance(value, dict) and "adapter" in value:
        return table({"adapter": _ADAPTER}, others=True)(value, place)
    return _FRAGMENT(value, place)


_MODEL = table({
    "name": _NAME, "source": optional(_NAME), "sha256": optional(either(choice(""), _digest)),
    "licence": optional(_NAME), "input": optional(_INPUT), "accuracy": optional(_SHARE), "accuracy_on": optional(_NAME),
    **_AMOUNTS,
}, required=("name", "source", "sha256", "licence", "accuracy"), others=True)  # fmt: skip

_ACCURACY = table({
    "data": _NAME, "images": _IMAGES, "top1": _SHARE, "top5": _SHARE, "notes": listed(characters(), most=10_000),
    "classes": optional(table({"images": _IMAGES, "outputs": _IMAGES, "by": characters()})),
}, required=("data", "images", "top1", "top5"), others=True)  # fmt: skip

_VERIFIED = table({
    "module_max_abs": _REAL, "module_max_rel": _REAL, "onnx_max_abs": optional(_REAL),
    "onnx_max_rel": optional(_REAL), "argmax_agreement": _SHARE, "batches": listed(_count(1, 100_000), 1, 100),
    "device": optional(characters()), "device_max_rel": optional(_REAL),
}, required=("module_max_abs", "onnx_max_abs", "argmax_agreement", "batches"), others=True)  # fmt: skip

_MENDED = {
    "images": _IMAGES, "held_out": _IMAGES, "agreement_before": _SHARE, "agreement": _SHARE,
    "divergence_before": optional(_REAL), "divergence": optional(_REAL),
}  # fmt: skip

_BLOCK = {
    "name": _NAME, "operators": _count(), "ridge": _REAL, "divergence": _REAL, "agreement": _SHARE, "kept": flag,
}  # fmt: skip

_COMPARED = {key: kind for key, kind in _MENDED.items() if key not in ("images", "held_out")}
_FOLLOWED = {**_COMPARED, "models": listed(_NAME, 1, 26), "pull": _REAL, "kept": flag}

_CALIBRATED = {"scale": _REAL, "divergence_before": optional(_REAL), "divergence": optional(_REAL)}

_HEALING = table(
    {
        **_MENDED, "blocks": listed(table(_BLOCK, required=tuple(_BLOCK), others=True), most=100_000),
        "mirrored": flag, "followed": optional(table(_FOLLOWED, required=tuple(_FOLLOWED), others=True)),
        "calibrated": optional(table(_CALIBRATED, required=tuple(_CALIBRATED), others=True)),
    },
    required=(*_MENDED, "blocks"), others=True,
)  # fmt: skip

_POLISHED = {"teachers": listed(_NAME, most=26), "steps": _count(), "batch": _count(), "kept": _count()}
_POLISHING = table({**_MENDED, **_POLISHED}, required=(*_MENDED, *_POLISHED), others=True)

_EPOCH = table({
    "epoch": _count(), "loss": _REAL, "accuracy": optional(_SHARE), "holdout": optional(_SHARE),
    "holdout_nats": optional(_REAL), "lr": _REAL,
}, required=("epoch", "loss", "accuracy", "holdout", "lr"), others=True)  # fmt: skip

_HELD_OUT = table({
    "images": _IMAGES, "by": choice("labels", "teachers"), "epoch": _count(), "right_before": _SHARE, "right": _SHARE,
    "nats_before": _REAL, "nats": _REAL,
}, required=("images", "by", "epoch", "right_before", "right", "nats_before", "nats"), others=True)  # fmt: skip

_TUNED = table({
    "train": characters(20), "trained_params": _count(), "data": _NAME, "images": _IMAGES, "epochs": _count(),
    "accuracy": table({
        "data": optional(_NAME), "images": optional(_IMAGES), "before": optional(_SHARE), "after": optional(_SHARE),
    }, required=("data", "images", "before", "after"), others=True),
    "options": table({
        "distill": optional(characters(20)), "teacher": optional(listed(_NAME, 1, 26)),
        "augment": listed(characters(40), most=20), "optimizer": characters(20), "lr": _REAL, "batch": _count(),
    }, required=("distill", "augment", "optimizer", "lr", "batch"), others=True),
    "history": listed(_EPOCH, most=100_000), "held_out": optional(_HELD_OUT),
}, required=("train", "trained_params", "data", "images", "epochs", "accuracy", "options", "history"),
    others=True)  # fmt: skip

#: A chain of an ensemble.
_MEMBER = table({
    "name": _NAME, "chain": listed(_link, 1, 1000), "cost": table(_AMOUNTS, others=True), "healing": optional(_HEALING),
}, required=("name", "chain", "cost"), others=True)  # fmt: skip

PLAN = table({
    "schema": _count(1, 1), "models": listed(_MODEL, 1, 26), "input": _INPUT,
    "budget": mapping(_REAL, 100), "chain": listed(_link, 1, 1000), "ensemble": listed(_MEMBER, 2, 1000),
    "similarity": optional(_REAL), "similarity_metric": optional(characters(100)),
    "candidates": optional(table(
        {"total": _count(), "feasible": _count()}, required=("total", "feasible"), others=True
    )),
    "probe": optional(table({"data": _NAME, "images": _IMAGES}, required=("data", "images"), others=True)),
    "cost": table(_AMOUNTS, others=True), "uncounted": mapping(_count(), 10_000, keys=r"[\x20-\x7e]{1,300}"),
    "trainable_params": _count(), "accuracy": optional(_ACCURACY), "verified": optional(_VERIFIED),
    "healing": optional(_HEALING), "polishing": optional(_POLISHING),
    "tuned": listed(_TUNED, most=1000), "seed": _count(), "notes": listed(characters(), most=10_000), "files": _files,
}, required=(
    "schema", "models", "input", "budget", "chain", "similarity", "similarity_metric", "candidates", "probe", "cost",
    "accuracy", "verified", "seed", "notes", "files",
), others=True)  # fmt: skip


_STEP = table({
    "module": _python_name, "piece": _python_name, "part": either(choice(""), _python_name), "about": characters(1000),
}, required=("module", "piece", "part", "about"))  # fmt: skip

_FAMILY_MEMBER = table({
    "name": _member_name, "parent": optional(_NAME), "input": _INPUT, "chain": listed(_link, 1, 1000),
    "cost": table(_AMOUNTS, others=True), "uncounted": mapping(_count(), 10_000, keys=r"[\x20-\x7e]{1,300}"),
    "similarity": optional(_REAL), "trainable_params": _count(), "accuracy": optional(_ACCURACY),
    "verified": optional(_VERIFIED), "healing": optional(_HEALING), "polishing": optional(_POLISHING),
    "steps": listed(_STEP, 1, 10_000),
}, required=("name", "parent", "input", "steps", "chain", "cost", "accuracy", "verified"), others=True)  # fmt: skip

FAMILY = table({
    "schema": _count(1, 1), "models": listed(_MODEL, 1, 26), "input": _INPUT,
    "members": listed(_FAMILY_MEMBER, 1, 1000),
    "probe": optional(table({"data": _NAME, "images": _IMAGES}, required=("data", "images"), others=True)),
    "size_bytes": _count(), "tuned": listed(_TUNED, most=1000), "seed": _count(),
    "notes": listed(characters(), most=10_000), "files": _family_files,
}, required=("schema", "models", "input", "members", "probe", "seed", "notes", "files"), others=True)  # fmt: skip


def plan(value: Any, place: str) -> dict[str, Any]:
    """A plan document as `artifact.write` completes it, of a hybrid or of a family; every chain begins and ends in
    models that it lists."""
    if isinstance(value, dict) and "members" in value:
        return _family(value, place)
    PLAN(value, place)
    _check_chain(value, value["models"], "")
    for index, member in enumerate(value.get("ensemble", ())):
        _check_chain(member, value["models"], f"ensemble[{index}].")
    _check_input(value["input"], "input")
    return value


def _family(value: dict[str, Any], place: str) -> dict[str, Any]:
    FAMILY(value, place)
    names = [member["name"] for member in value["members"]]
    _check_input(value["input"], "input")
    for index, member in enumerate(value["members"]):
        where = f"members[{index}]"
        if member["name"] in names[:index]:
            raise Fault(f"{where}.name", "is that of another member")
        if (member["parent"] is not None) is not (len(member["chain"]) == 1):
            raise Fault(f"{where}.parent", "is said of a chain, or of no whole model")
        _check_chain(member, value["models"], f"{where}.")
        _check_input(member["input"], f"{where}.input")
    named = {key.removesuffix(".onnx").removeprefix(f"{ONNX}/") for key in value["files"] if key.endswith(".onnx")}
    if named and named != set(names):
        raise Fault("files", "names an ONNX file of no member, or not one of each")
    return value


def _check_chain(value: dict[str, Any], models: list[dict[str, Any]], place: str) -> None:
    names = [model["name"] for model in models]
    for index, link in enumerate(value["chain"]):
        if (index % 2 == 1) is not ("adapter" in link):
            raise Fault(f"{place}chain[{index}]", "is out of order: fragments and adapters alternate")
        if "adapter" not in link and link["model"] not in names:
            raise Fault(f"{place}chain[{index}].model", "is none of the models")
    if len(value["chain"]) % 2 == 0:
        raise Fault(f"{place}chain", "ends in an adapter")


def _check_input(spec: dict[str, Any], place: str) -> None:
    for key in ("mean", "std"):
        if len(spec[key]) not in (1, spec["size"][0]):
            raise Fault(f"{place}.{key}", f"has {len(spec[key])} numbers for {spec['size'][0]} channels")
