"""The members of a family, read back: what its record says of each, and each as a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import artifact
from ..documents.reread import input_of
from ..inputs import is_artifact
from ..passes.data.errors import InputError, unknown
from ..passes.data.model import Model

if TYPE_CHECKING:
    from ..passes.emit.pieces import Step


def is_family(subject: str | Path | Model) -> bool:
    """Whether it is the folder of a family.

    Raises:
        OutputError: it is a folder, and no artifact.
    """
    if isinstance(subject, Model) or not is_artifact(subject):
        return False
    return artifact.is_family(artifact.read(subject))


def family_record(folder: Path | str, *, trust: bool = False) -> dict[str, Any]:
    """The record of a family whose files are those that were written.

    Raises:
        InputError: the artifact is no family. Else as `artifact.checked`.
    """
    record = artifact.checked(folder, trust=trust)
    if not artifact.is_family(record):
        raise InputError(f"{folder} is one network and no family", "`stitchc family A B -o DIR` makes a family.")
    return record


def member_of(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """What a family's record says of a member.

    Raises:
        InputError: there is none of that name.
    """
    found = {member["name"]: member for member in record["members"]}
    if name not in found:
        raise unknown(name, "member of this family", found)
    return found[name]


def steps_of(member: Mapping[str, Any]) -> tuple[Step, ...]:
    """What a member runs, from its record."""
    from ..passes.emit.pieces import Step

    return tuple(Step(**step) for step in member["steps"])


def members_of(folder: Path | str, names: Sequence[str] = (), *, trust: bool = False) -> list[Model]:
    """The members of a family as models, which share its weights; those of these names, or all, from the cheapest to
    the most expensive. This runs its model.py.

    Raises:
        InputError: the artifact is no family, or has no such member. Else as `artifact.load`.
    """
    from ..zoo.trust import data_in_file

    record = family_record(folder, trust=trust)
    chosen = [member_of(record, name) for name in names] or record["members"]
    module = artifact.load(folder, trust=True)  # its hashes were checked a moment ago, unless it is trusted
    found = []
    for member in chosen:
        measured = member["accuracy"] or {}
        classes = member["class_names"]
        found.append(Model(
            member["name"], input_of(record), source=str(folder), data=data_in_file(measured.get("data"), trust=trust),
            accuracy=measured.get("top1"), class_names=tuple(classes) if classes else None,
            module=module.member(member["name"]),  # type: ignore[operator]
        ))  # fmt: skip
    return found
