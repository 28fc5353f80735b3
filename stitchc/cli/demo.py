"""`stitchc demo`."""

from __future__ import annotations

from pathlib import Path

from ..options import DemoOptions
from .run import Outcome, Run, verb

FRONT, BACK, FLOPS, TEST = "digits/resnet", "digits/plain", 12e6, "digits?split=test"


@verb("demo", example="stitchc demo -o demo/", record=DemoOptions)
def command(run: Run) -> Outcome:
    """Run the main job on the embedded models, with accuracy.

    Two networks for handwritten digits, at most 12 MFLOPs; the same as
    `stitchc compile digits/resnet digits/plain --budget 12M --metric flops --evaluate 'digits?split=test'`.
    """
    import stitchc

    given = {"out": DemoOptions().out, **run.given}
    plan = stitchc.compile(FRONT, BACK, budget={"flops": FLOPS}, evaluate=TEST, **given, progress=run.progress)
    from ..artifact import read
    from ..report.stitch import CompileReport

    record = read(given["out"])
    return Outcome(record, CompileReport(plan, record, top=5, folder=Path(given["out"])).parts())
