"""`stitchc verify`."""

from __future__ import annotations

from ..options import SeedOptions
from .parts import argument
from .run import Outcome, Run, verb


@verb("verify", example="stitchc verify hybrid/", record=SeedOptions)
@argument("folder", metavar="DIR", text="The folder of an artifact.")
def command(run: Run, folder: str) -> Outcome:
    """Check an artifact again: its hashes, and its module against its ONNX file."""
    import stitchc

    found = stitchc.verify(folder, **run.given, progress=run.progress)
    from ..documents import verified_record, verify_document
    from ..report.stitch import Checks

    return Outcome(verify_document(found), [Checks(verified_record(found), against="the module")])
