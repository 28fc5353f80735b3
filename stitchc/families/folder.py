"""The artifact of a family: its files, written and verified; and what its record says of each member."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import artifact
from ..documents import SCHEMA, notes, plan_document, verified_record
from ..documents.reread import input_of
from ..passes.data.records import encode
from ..progress import Progress, Silent, stage

if TYPE_CHECKING:
    from ..evaluate import Accuracy
    from ..passes.data.family import Family, Member
    from ..passes.data.plan import Plan
    from ..passes.emit.family import Emitted
    from ..passes.emit.pieces import Span

#: What the record of a member has of the plan document of its hybrid.
_OF_MEMBER = (
    "input", "chain", "similarity", "similarity_metric", "cost", "uncounted", "trainable_params", "accuracy",
    "class_names", "healing", "polishing", "verified",
)  # fmt: skip


def write_family(
    plan: Plan,
    family: Family,
    folder: Path,
    *,
    recipe: str,
    report: Callable[[Mapping[str, Any]], Sequence[Any]],
    accuracy: Mapping[str, Accuracy | None] | None = None,
    more: Mapping[str, Any] | None = None,
    onnx: bool = True,
    opset: int | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes all files of a family into a folder, which `artifact.staging` gives, so that nothing is left of it where
    something fails; verifies each member; and returns the record that its plan.json holds.

    plan: with the models, graphs, cuts and prices that the members' chains are of. recipe: the text of recipe.toml.
    report: makes the parts of report.html from the record. accuracy: of members, by their names. more: further keys of
    the record; those under `more["members"][NAME]` are added to that member's own. device: where the module is verified
    beside the processor.

    Raises:
        VerificationError: a member's module or ONNX file does not compute what its own graph does.
    """
    from ..passes.emit.family import emit_family

    watcher = progress or Silent()
    with stage(watcher, "writing the family"):
        emitted = emit_family(plan, family, folder)
    family = _checked(plan, family, emitted, folder, onnx, opset, device, watcher)
    record = family_document(plan, family, accuracy or {}, dict(more or {}))
    record["input"] = encode(emitted.input)
    _complete(record, family, emitted, folder)
    return artifact.write(folder, record, recipe=recipe, report=report(record), seconds=plan.seconds)


def rewrite_family(
    plan: Plan,
    family: Family,
    spans: Mapping[str, Sequence[Span]],
    folder: Path,
    *,
    record: Mapping[str, Any],
    recipe: str,
    report: Callable[[Mapping[str, Any]], Sequence[Any]],
    onnx: bool,
    opset: int | None,
    seconds: Mapping[str, float],
    progress: Progress,
) -> dict[str, Any]:
    """As `write_family`, of a family that was read back and has new weights.

    plan, family: as `documents.reread.family_of` gives them. spans: what each member does, the parents first. record:
    what the new one says, but for what the files and the verification say.
    """
    from ..passes.emit.family import Emitted, write_members
    from ..passes.emit.reread import whole_graph

    with stage(progress, "writing the family"):
        steps = write_members(plan, family, spans, folder)
    networks = {name: whole_graph(one) for name, one in spans.items()}
    emitted = Emitted(input_of(record), steps, networks)
    family = _checked(plan, family, emitted, folder, onnx, opset, "cpu", progress)
    new = dict(record) | {"members": [dict(member) for member in record["members"]]}
    _complete(new, family, emitted, folder)
    return artifact.write(folder, new, recipe=recipe, report=report(new), seconds=seconds)


def _checked(
    plan: Plan, family: Family, emitted: Emitted, folder: Path, onnx: bool, opset: int | None, device: str,
    progress: Progress,
) -> Family:  # fmt: skip
    """The ONNX files, where they are asked for, and the family as it was verified."""
    from ..passes.verify.family import verify_family

    if onnx:
        from ..passes.emit.family_onnx import export_family

        with stage(progress, "exporting its members to ONNX"):
            export_family(plan, family, emitted, folder, opset, progress.update)
    with stage(progress, "verifying its members"):
        return verify_family(
            family, emitted.networks, emitted.input, folder, images=plan.images, seed=plan.seed, device=device
        )


def _complete(record: dict[str, Any], family: Family, emitted: Emitted, folder: Path) -> None:
    """What the files and the verification say, put into a record."""
    for said, member in zip(record["members"], family.members, strict=True):
        assert member.hybrid.verified is not None and said["name"] == member.name
        said["verified"] = verified_record(member.hybrid.verified)
        said["steps"] = [asdict(step) for step in emitted.steps[member.name]]
    record["size_bytes"] = (folder / "model.safetensors").stat().st_size


def family_document(
    plan: Plan, family: Family, accuracy: Mapping[str, Accuracy | None], more: Mapping[str, Any]
) -> dict[str, Any]:
    """The record of a family, but for what its files and its input say."""
    extra = more.get("members", {})
    known = {member.parent: accuracy.get(member.name) for member in family.members if member.parent is not None}
    parents = [known.get(model.name) for model in plan.models]
    members = [
        member_record(plan, member, accuracy.get(member.name)) | extra.get(member.name, {}) for member in family.members
    ]
    return {
        "schema": SCHEMA,
        "models": plan_document(replace(plan, hybrids=()), parents=parents)["models"],
        "members": members,
        "probe": {"data": plan.images.name, "images": len(plan.images)} if plan.images else None,
        "seed": plan.seed,
        "notes": notes(plan),
        **{key: value for key, value in more.items() if key != "members"},
    }


def member_record(plan: Plan, member: Member, accuracy: Accuracy | None) -> dict[str, Any]:
    """An item of the key `members`: what a plan document says of the member's hybrid, under its name."""
    document = plan_document(plan.with_hybrid(member.hybrid), accuracy=accuracy)
    return {"name": member.name, "parent": member.parent} | {key: document[key] for key in _OF_MEMBER}
