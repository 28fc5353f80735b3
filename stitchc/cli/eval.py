"""`stitchc eval`."""

from __future__ import annotations

from pathlib import Path

from ..options import EvaluateOptions
from .parts import MODEL_OR_ARTIFACT, argument
from .run import Outcome, Run, verb


@verb("eval", example="stitchc eval hybrid/ --data 'digits?split=test'", record=EvaluateOptions)
@argument("model", metavar="MODEL", text=MODEL_OR_ARTIFACT)
def command(run: Run, model: str) -> Outcome:
    """Measure top-1 and top-5 accuracy on labelled images."""
    import stitchc

    from ..inputs import is_artifact, model_of
    from ..progress import stage

    given = dict(run.given)
    how = {"trust": given.pop("trust", False), "arch": given.pop("arch", None)}
    with stage(run.progress, f"loading {model}"):
        loaded = model_of(model, **how)
    found = stitchc.evaluate(loaded, **given, progress=run.progress)
    from ..documents import eval_document
    from ..passes.data.records import encode
    from ..report.accuracy import AccuracyLine
    from ..report.notes import Inputs, Notes

    name = Path(model).name if is_artifact(model) else model
    said = (*loaded.notes, *found.notes)
    notes = [Notes(said)] if said else []
    report = [*notes, Inputs({loaded.name: encode(loaded.input)}), AccuracyLine(name, found)]
    return Outcome(eval_document(name, loaded, found), report)
