"""`stitchc demo`."""

from __future__ import annotations

from pathlib import Path

from ..options import DemoOptions
from .run import Outcome, Run, verb

LARGE, SMALL, FLOPS, TEST = "digits/resnet", "digits/small", 8e6, "digits?split=test"
#: The small network gives the front: behind it, layers of the large one are worth what they take.
DIRECTION = "fast-to-slow"


@verb("demo", example="stitchc demo -o demo/", record=DemoOptions)
def command(run: Run) -> Outcome:
    """Run the main job on the embedded models, with accuracy.

    Two networks for handwritten digits, one large and accurate, one small and less so, at most 8 MFLOPs; the same as
    `stitchc compile digits/resnet digits/small --direction fast-to-slow --budget 8M --evaluate 'digits?split=test'`.
    """
    import stitchc

    given = {"out": DemoOptions().out, **run.given}
    plan = stitchc.compile(
        LARGE, SMALL, direction=DIRECTION, budget={"flops": FLOPS}, evaluate=TEST, **given, progress=run.progress
    )
    from ..artifact import read
    from ..report.stitch import CompileReport

    record = read(given["out"])
    return Outcome(record, CompileReport(plan, record, top=5, folder=Path(given["out"])).parts())
