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

    found = stitchc.evaluate(model, **run.given, progress=run.progress)
    from ..documents import eval_document
    from ..report.accuracy import AccuracyLine

    name = Path(model).name if Path(model).is_dir() else model
    return Outcome(eval_document(name, found), [AccuracyLine(name, found)])
