"""`stitchc zoo list`."""

from __future__ import annotations

from .parts import argument
from .run import Outcome, Run, verb


@verb("list", example="stitchc zoo list 'torchvision/resnet*'")
@argument(
    "pattern", metavar="[PATTERN]", required=False, text="As of a shell; without * ? [ all names that contain it."
)
def command(run: Run, pattern: str | None) -> Outcome:
    """The models that can be named without a file."""
    from ..passes.data.errors import InputError
    from ..zoo import names

    found = names(pattern)
    if not found:
        raise InputError(f"no model is named like '{pattern}'", "`stitchc zoo list` names them all.")
    return Outcome({"schema": 1, "models": found}, ["\n".join(found)])
