"""`stitchc eval`."""

from __future__ import annotations

from pathlib import Path

from .options import arch, data, model_argument
from .run import Outcome, Run, verb


@verb("eval", example="stitchc eval hybrid/ --data 'digits?split=test'")
@model_argument
@data
@arch
def command(run: Run, model: str, data: str | None, arch: tuple[str, ...]) -> Outcome:
    """Top-1 and top-5 accuracy on labelled images."""
    import stitchc

    from ..inputs import is_artifact, model_of
    from ..progress import stage

    with stage(run.progress, f"loading {model}"):
        loaded = model_of(model, trust_pickle=run.trust_pickle, arch=arch)
    found = stitchc.evaluate(loaded, data, device=run.device, progress=run.progress)
    from ..documents import eval_document
    from ..passes.data.records import encode
    from ..report.accuracy import AccuracyLine
    from ..report.notes import Inputs, Notes

    name = Path(model).name if is_artifact(model) else model
    notes = [Notes(loaded.notes)] if loaded.notes else []
    report = [*notes, Inputs({loaded.name: encode(loaded.input)}), AccuracyLine(name, found)]
    return Outcome(eval_document(name, loaded, found), report)
