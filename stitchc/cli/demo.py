"""`stitchc demo`."""

from __future__ import annotations

from pathlib import Path

from .parts import option
from .run import Outcome, Run, verb

FRONT, BACK, FLOPS, TEST = "digits/resnet", "digits/plain", 12e6, "digits?split=test"


@verb("demo", example="stitchc demo -o demo/")
@option("-o", "--out", metavar="DIR", default="demo", help="Folder of the artifact [demo].")
def command(run: Run, out: str) -> Outcome:
    """The main job on the embedded zoo, with accuracy.

    Two networks for handwritten digits, at most 12 MFLOPs; the same as
    `stitchc compile digits/resnet digits/plain --budget 12M --metric flops --evaluate 'digits?split=test'`.
    """
    import stitchc

    plan = stitchc.compile(
        FRONT, BACK, budget={"flops": FLOPS}, evaluate=TEST, out=out, device=run.device, force=run.force, **run.loading
    )
    from ..artifact import read
    from ..report.stitch import CompileReport

    record = read(out)
    return Outcome(record, CompileReport(plan, record, top=5, folder=Path(out)).parts())
