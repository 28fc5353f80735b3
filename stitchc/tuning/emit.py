"""The artifact anew, after a training: the same code, new weights, verified as a compile verifies."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import artifact, recipe
from ..documents import verified_record
from ..documents.reread import plan_of
from ..passes.data.model import Images, Model
from ..progress import Progress
from .settings import TrainingOptions

if TYPE_CHECKING:
    from torch import nn

    from ..evaluate import Accuracy


def emit(
    network: nn.Module,
    model: Model,
    source: Path,
    folder: Path,
    *,
    record: Mapping[str, Any],
    tuning: Mapping[str, Any],
    options: TrainingOptions,
    accuracy: Accuracy | None,
    parents: list[Accuracy | None],
    images: Images,
    seconds: Mapping[str, float],
    progress: Progress,
) -> dict[str, Any]:
    """Writes into `folder` what the artifact in `source` becomes with the weights of `network`.

    model: the artifact, for its input. record: its plan.json. tuning: what the new one adds to the key `tuned`.
    options: of the training, for the recipe. images: some to verify on. Returns the new record.
    """
    from ..passes import ExportOnnx, Pipeline, Verify
    from ..passes.emit.weights import write_weights
    from ..passes.trace import trace
    from ..report.page.compiled import artifact_sections

    network = network.cpu().eval().requires_grad_(False)
    shutil.copyfile(source / "model.py", folder / "model.py")
    write_weights(dict(network.state_dict(keep_vars=True)), folder / "model.safetensors")
    plan = plan_of(record)
    graph = trace(network, model.input.size, name=model.name)
    plan = replace(plan.with_hybrid(replace(plan.hybrid, graph=graph)), images=images, folder=folder)
    given = recipe.of_artifact(source, record).options
    onnx = [ExportOnnx(opset=given.get("opset"))] if (source / "model.onnx").exists() else []
    plan = Pipeline([*onnx, Verify()], callback=progress)(plan)
    assert plan.hybrid.verified is not None
    new = dict(record) | {
        "models": [
            known | ({"accuracy": found.top1, "accuracy_on": found.data} if found else {})
            for known, found in zip(record["models"], parents, strict=True)
        ],
        "accuracy": accuracy.as_dict() if accuracy else None,
        "verified": verified_record(plan.hybrid.verified),
        "tuned": [*record.get("tuned", []), tuning],
        # Rivals were not trained by the same recipe, so that the comparison is none any more; and where the hybrid
        # stands beside the line between its parents was measured before.
        "rivals": [],
        "hybrid": None,
        "recommended": None,
    }
    text = (source / "recipe.toml").read_text(encoding="utf-8")
    said = recipe.with_training(text, options.make(TrainingOptions))
    report = list(artifact_sections(new, said))
    return artifact.write(folder, new, recipe=said, report=report, seconds={**seconds, **plan.seconds})
