"""`stitchc tune`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from ..passes.data.pass_options import OUTPUT
from ..tuning.settings import TuneOptions
from .parts import model_argument, option
from .run import Outcome, Run, verb


def _stated(path: str, subject: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options of the recipe's training that the artifact has not had yet, but for those given."""
    from .. import artifact, recipe
    from ..inputs import is_artifact
    from ..passes.data.errors import InputError

    record = artifact.read(subject) if is_artifact(subject) else {}
    had = len(record.get("tuned", []))
    found = recipe.read(path, recipe.made_by(record)).trainings
    if had >= len(found):
        raise InputError(
            f"the recipe {path} states {len(found)} trainings, and the artifact has had {had}",
            "The recipe.toml of a tuned artifact states how it was trained.",
        )
    stated = {name: value for name, value in found[had].items() if name not in given}
    recipe.check(recipe.Recipe(trainings=(stated,)), path, trust=given.get("trust", False))
    return stated


@verb("tune", example="stitchc tune hybrid/ --data digits --train back --epochs 5", record=TuneOptions)
@model_argument("subject", metavar="DIR|MODEL", artifact=True)
@option("--recipe", metavar="FILE", group=OUTPUT,
        help="Take options from the recipe.toml of a tuned artifact.")  # fmt: skip
def command(run: Run, subject: str, recipe: str | None) -> Outcome:
    """Train a stitched artifact, or a model; resumable.

    The artifact is written anew with the trained weights, verified and measured. It takes the place of DIR, and the
    untuned one is kept as DIR-untuned. A model becomes an artifact in the folder that -o names. A training that was
    stopped, however hard, goes on when the same command is run again.
    `torchrun --nproc-per-node N -m stitchc tune ...` trains on N devices.
    """
    import stitchc

    stated = _stated(recipe, subject, run.given) if recipe is not None else {}
    made = stitchc.tune(subject, **{**stated, **run.given}, progress=run.progress)
    if made.rank:
        raise click.exceptions.Exit(0)
    if "members" in made.record:
        from ..report.family_tune import FamilyTuneReport

        return Outcome(made.record, FamilyTuneReport(made.record, made.folder, made.kept).parts())
    from ..report.tune import TuneReport

    return Outcome(made.record, TuneReport(made.record, made.folder, made.kept).parts())
