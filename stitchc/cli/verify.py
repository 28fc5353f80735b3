"""`stitchc verify`."""

from __future__ import annotations

from .parts import argument
from .run import Outcome, Run, verb


@verb("verify", example="stitchc verify hybrid/")
@argument("folder", metavar="DIR", text="The folder of an artifact.")
def command(run: Run, folder: str) -> Outcome:
    """Check an artifact again: hashes, module against ONNX."""
    import stitchc

    found = stitchc.verify(folder, seed=run.seed, progress=run.progress)
    from ..documents import verified_record, verify_document
    from ..report.stitch import Checks

    return Outcome(verify_document(found), [Checks(verified_record(found), against="the module")])
