"""One member of a family as an artifact of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import artifact, recipe
from ..documents import verified_record
from ..documents.reread import plan_of
from ..progress import Progress, Silent, stage
from .members import family_record, member_of, steps_of

if TYPE_CHECKING:
    from torch.fx import GraphModule

    from ..passes.data.plan import Plan

#: What a plan document says that a family does not know of its members.
_UNKNOWN: dict[str, Any] = {
    "budget": {}, "candidates": None, "rank": None, "stages": [], "score": None, "timed": [], "rivals": [],
    "recommended": None,
}  # fmt: skip


def extract(
    folder: Path | str,
    member: str,
    out: Path | str,
    *,
    onnx: bool = True,
    force: bool = False,
    trust: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Writes one member of the family in `folder` to `out`, as the artifact that a compile would have made of it, with
    the very weights; verified. Returns its record. This runs the family's model.py.

    onnx: with a `model.onnx`. force: an artifact in `out` may be replaced. trust: also of a family that was changed
    after it was written.

    Raises:
        InputError: `folder` is no family, or has no such member. OutputError: `out` cannot be written.
        VerificationError: the family was changed, or what was written does not compute what its member does.
    """
    from ..passes.emit.reread import member_graph, spans_again
    from ..report.page.compiled import artifact_sections

    watcher = progress or Silent()
    record = family_record(folder, trust=trust)
    said = member_of(record, member)
    with artifact.staging(out, force=force) as staged:
        with stage(watcher, f"loading {folder}"):
            module = artifact.load(folder, trust=True)  # its hashes were checked a moment ago, unless it is trusted
            (spans,) = spans_again(module, {member: steps_of(said)}).values()
        graph = member_graph(spans)
        new = _record(record, said, Path(folder), graph)
        plan = plan_of(new)
        plan = plan.with_hybrid(replace(plan.hybrid, graph=graph))
        plan = _written(plan, staged, onnx, watcher)
        assert plan.hybrid.verified is not None
        new["verified"] = verified_record(plan.hybrid.verified)
        text = recipe.of_member((Path(folder) / "recipe.toml").read_text(encoding="utf-8"), member)
        return artifact.write(staged, new, recipe=text, report=list(artifact_sections(new, text)), seconds=plan.seconds)


def _record(family: Mapping[str, Any], member: Mapping[str, Any], folder: Path, graph: GraphModule) -> dict[str, Any]:
    """What plan.json of the artifact says. In the family the member makes its images of the family's; alone it is
    handed them, and takes less."""
    from ..passes.cost.chains import price_of_graph

    own = {key: value for key, value in member.items() if key not in ("name", "parent", "steps")}
    shared = {key: family[key] for key in ("schema", "models", "probe", "seed", "notes")}
    own["cost"] = price_of_graph(graph, tuple(member["input"]["size"])).as_dict()
    return {**shared, **_UNKNOWN, **own, "extracted": {"family": folder.resolve().name, "member": member["name"]}}


def _written(plan: Plan, folder: Path, onnx: bool, progress: Progress) -> Plan:
    from ..passes import Codegen, ExportOnnx, Pipeline, Verify

    return Pipeline([Codegen(folder), *([ExportOnnx()] if onnx else []), Verify()], callback=progress)(plan)
