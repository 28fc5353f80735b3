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

    found = stitchc.evaluate(
        model, data, arch=arch, device=run.device, trust_pickle=run.trust_pickle, progress=run.progress
    )
    from ..documents import eval_document
    from ..report.accuracy import AccuracyLine

    name = Path(model).name if Path(model).is_dir() else model
    return Outcome(eval_document(name, found), [AccuracyLine(name, found)])
