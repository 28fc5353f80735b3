"""`stitchc verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..shared_options import SeedOptions
from .parts import argument
from .run import Outcome, Run, verb

if TYPE_CHECKING:
    from ..passes.data.hybrid import Verified


@verb("verify", example="stitchc verify hybrid/", record=SeedOptions)
@argument("folder", metavar="DIR", text="The folder of an artifact.")
def command(run: Run, folder: str) -> Outcome:
    """Check an artifact again: its hashes, and its module against its ONNX file; of a family, each member."""
    import stitchc

    found = stitchc.verify(folder, **run.given, progress=run.progress)
    if isinstance(found, dict):
        return _members(found)
    from ..documents import verified_record, verify_document
    from ..report.stitch import Checks

    return Outcome(verify_document(found), [Checks(verified_record(found), against="the module")])


def _members(found: dict[str, Verified]) -> Outcome:
    from ..documents import SCHEMA, verified_record
    from ..report.members import MemberChecks

    members = [{"name": name, **verified_record(verified)} for name, verified in found.items()]
    return Outcome({"schema": SCHEMA, "members": members}, [MemberChecks(found)])
