"""`stitchc zoo`: the models."""

from __future__ import annotations

import click

from ..options import PackOptions
from .parts import Verbs, argument, model_argument
from .run import Outcome, Run, verb


@click.group(cls=Verbs, modules="stitchc.cli.zoo_{}", verbs={"Verbs": ["list", "pack", "check"]})
def command() -> None:
    """Models that have names; self-describing checkpoints."""


@command.add_command
@verb("list", example="stitchc zoo list 'torchvision/resnet*'")
@argument(
    "pattern", metavar="[PATTERN]", required=False, text="As of a shell; without * ? [ all names that contain it."
)
def known(run: Run, pattern: str | None) -> Outcome:
    """List the models that can be named without a file."""
    from ..passes.data.errors import unknown
    from ..zoo import names

    found = names(pattern)
    if not found:
        raise unknown(pattern, "name or pattern of a model", names(), among="`stitchc zoo list` names them all.")
    return Outcome({"schema": 1, "models": found}, ["\n".join(found)])


@command.add_command
@verb("pack", example="stitchc zoo pack digits/resnet -o resnet.pt", record=PackOptions)
@model_argument("model", metavar="MODEL")
def pack(run: Run, model: str) -> Outcome:
    """Write a checkpoint that describes itself.

    It names its architecture, input transform, licence and data."""
    from ..inputs import archs_for
    from ..passes.data.errors import InputError
    from ..report.numbers import size
    from ..zoo import pack

    given = dict(run.given)
    if "out" not in given:
        raise InputError("no file is named to write to", "Name a .pt, .pth or .safetensors file with `out`.")
    (arch,) = archs_for([model], given.pop("arch", None))
    trust = given.pop("trust", False)
    path = pack(model, given.pop("out"), arch=arch, trust=trust, **given)
    taken = path.stat().st_size
    return Outcome({"schema": 1, "model": model, "file": str(path), "size_bytes": taken}, [f"{path}  {size(taken)}"])
