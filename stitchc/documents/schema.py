"""What plan.json may hold: the types, ranges and lengths of all that is read back from an artifact.

Keys that are none of these are left out of what is read: a later stitchc may have written more, and nothing is handed
on that is not known here. `schema_network` has what is said of a network, `schema_beside` what is said beside it.
"""

from __future__ import annotations

import re
from itertools import product
from typing import Any

from ..passes.data import metrics
from ..zoo.foreign import Fault, characters, choice, either, mapping, optional, table
from .schema_beside import (
    BESIDE,
    CHOSEN,
    COMPARED,
    FAMILY,
    MEMBER_NAME,
    STANDING,
    TUNED,
    TUNED_FAMILY,
    budget,
    member_name,
)
from .schema_network import (
    ACCURACY,
    CHAIN,
    CLASS_NAMES,
    COST,
    HEALING,
    INPUT,
    LINKS,
    MODEL,
    MODELS,
    NAME,
    POLISHING,
    PROBE,
    REAL,
    UNCOUNTED,
    VERIFIED,
    count,
    digest,
    figure,
    listed,
    stated,
)

#: The files of an artifact beside plan.json; each is there, but for model.onnx where a compile left it out.
FILES = ("README.md", "model.onnx", "model.py", "model.safetensors", "recipe.toml", "report.html")
#: The folder in a family that holds an ONNX file of each member, and the weights of all of them there.
ONNX, ONNX_DATA = "onnx", "model.onnx.data"


def _files(value: Any, place: str) -> dict[str, str]:
    read = mapping(digest, len(FILES), keys="|".join(map(re.escape, FILES)))(value, place)
    return _complete(read, place)


def _family_files(value: Any, place: str) -> dict[str, str]:
    names = [re.escape(name) for name in FILES if name != "model.onnx"]
    onnx = rf"{ONNX}/({re.escape(ONNX_DATA)}|{MEMBER_NAME}\.onnx)"
    return _complete(mapping(digest, 10_000, keys="|".join([*names, onnx]))(value, place), place)


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


#: What is said of any network, beside the models that it is made of.
_NETWORK = {
    "input": INPUT, "chain": LINKS, "similarity": optional(REAL), "similarity_metric": optional(characters(100)),
    "cost": COST, "uncounted": UNCOUNTED, "trainable_params": count(), "accuracy": ACCURACY,
    "class_names": CLASS_NAMES, "healing": HEALING, "polishing": POLISHING, "verified": VERIFIED,
}  # fmt: skip
#: What is said of any artifact.
_ARTIFACT = {
    "schema": count(1, 1), "models": listed(MODEL, 1, MODELS), "probe": PROBE, "seed": count(),
    "notes": listed(NAME, most=10_000), "versions": mapping(optional(NAME)),
    "seconds": mapping(figure(0, 1e30), keys=r"[\x20-\x7e]{1,300}"), "date": NAME,
}  # fmt: skip

#: A chain of an ensemble.
_VOTING = stated({"name": NAME, "chain": LINKS, "cost": COST, "healing": HEALING})

_PLAN = stated(
    {**_ARTIFACT, **_NETWORK, **CHOSEN, **BESIDE, "budget": budget, "files": _files},
    {
        **STANDING, **COMPARED, "ensemble": listed(_VOTING, 2, CHAIN), "tuned": TUNED,
        "extracted": stated({"family": NAME, "member": member_name}),
    },
)  # fmt: skip

_STEP = table({
    "module": _python_name, "piece": _python_name, "part": either(choice(""), _python_name), "about": characters(1000),
}, required=("module", "piece", "part", "about"))  # fmt: skip

_MEMBER = stated(
    {**_NETWORK, "name": member_name, "parent": optional(NAME), "steps": listed(_STEP, 1, 10_000)}, STANDING
)
_FAMILY = stated(
    {
        **_ARTIFACT, "input": INPUT, "members": listed(_MEMBER, 1, CHAIN), "size_bytes": count(),
        "files": _family_files,
    },
    {**FAMILY, "tuned": TUNED_FAMILY},
)  # fmt: skip


def plan(value: Any, place: str) -> dict[str, Any]:
    """A plan document as `artifact.write` completes it, of a hybrid or of a family; every chain begins and ends in
    models that it lists."""
    if isinstance(value, dict) and "members" in value:
        return _family(value, place)
    value = _PLAN(value, place)
    _check_chain(value, value["models"], "")
    for index, member in enumerate(value.get("ensemble", ())):
        _check_chain(member, value["models"], f"ensemble[{index}].")
    _check_input(value["input"], "input")
    _check_similarity(value, "")
    _check_compared(value)
    return value


def _family(value: dict[str, Any], place: str) -> dict[str, Any]:
    value = _FAMILY(value, place)
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
        _check_similarity(member, f"{where}.")
    _check_chosen(value)
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


def _check_similarity(value: dict[str, Any], place: str) -> None:
    if value["similarity"] is not None and value["similarity_metric"] is None:
        raise Fault(f"{place}similarity_metric", "is missing beside a similarity")


def _check_compared(value: dict[str, Any]) -> None:
    """Where something is recommended, it is there, and so is all that the recommendation speaks of."""
    if value["recommended"] is None:
        return
    for key in COMPARED:
        if value.get(key) is None:
            raise Fault(key, "is missing beside what is recommended")
    said = value["recommendation"]
    if said["over"] is not None and said["lead"] is None:
        raise Fault("recommendation.lead", "is missing beside what it is over")
    for place, index in (
        ("recommended", value["recommended"]), ("written", value["written"]), ("recommendation.over", said["over"]),
        *(("recommendation.dominated_by", index) for index in said["dominated_by"]),
    ):  # fmt: skip
        if isinstance(index, int) and index >= len(value["rivals"]):
            raise Fault(place, "is none of the rivals")


def _check_chosen(value: dict[str, Any]) -> None:
    """Of a family that was chosen among candidates, all is there that its report tells; its members and their rivals
    have amounts of what they are put in order by."""
    ordered = {"macs"}
    if "family" in value:
        for key in FAMILY:
            if key not in value:
                raise Fault(key, "is missing")
        for key, (index, member) in product(STANDING, enumerate(value["members"])):
            if key not in member:
                raise Fault(f"members[{index}].{key}", "is missing")
        ordered |= {"params", metrics.get(value["family"]["metric"]).key}
    for group in ("members", "rivals"):
        for key, (index, one) in product(sorted(ordered), enumerate(value.get(group, ()))):
            if one["cost"].get(key) is None:
                raise Fault(f"{group}[{index}].cost.{key}", "is missing")
