"""`stitchc family extract`."""

from __future__ import annotations

from ..passes.data.options import Options
from .parts import argument, option
from .run import Outcome, Run, verb


@verb("extract", example="stitchc family extract family/ macs_35 -o hybrid/", record=Options)
@argument("folder", metavar="DIR", text="The folder of a family.")
@argument("member", metavar="MEMBER", text="The name of one of its members.")
@option("-o", "--out", metavar="OUT", required=True, help="Folder to write the artifact to.")
@option("--onnx/--no-onnx", default=True, help="Write model.onnx too. [yes]")
def command(run: Run, folder: str, member: str, out: str, onnx: bool) -> Outcome:
    """Write one member of a family as an artifact of its own, with the very weights."""
    from pathlib import Path

    from ..families.extract import extract
    from ..report.stitch import Checks, Choice, Files

    trust, force = (bool(run.common.get(word)) for word in ("trust", "force"))
    record = extract(folder, member, out, onnx=onnx, trust=trust, force=force, progress=run.progress)
    return Outcome(record, [Choice(record), Checks(record["verified"]), Files(Path(out))])
