"""`stitchc compile`."""

from __future__ import annotations

from pathlib import Path

import click

from ..folder import next_free
from ..options import CompileOptions
from ..passes.data.pass_options import CHOICE
from .parts import model_argument, option
from .recipes import check_recipe, recipe_option
from .run import Outcome, Run, verb

DEFAULT_OUT = "hybrid"


@verb(
    "compile",
    example="stitchc compile digits/resnet digits/plain --budget 12M --metric flops -o hybrid/",
    record=CompileOptions,
)
@model_argument("models", metavar="A B", nargs=-1)
@option("--top", type=click.IntRange(min=1), default=10, metavar="N", group=CHOICE,
        help="Number of candidates to show. [10]")  # fmt: skip
@recipe_option(CompileOptions)
def command(run: Run, models: tuple[str, ...], top: int) -> Outcome:
    """Stitch two models into one network within a budget, or one with itself.

    The result is written as readable code, weights and ONNX, and verified. Either model may come first unless
    --direction says which. The weights that change are computed from the probe images in closed form; nothing is
    trained. What could be had instead within the same budget is measured too.
    """
    import stitchc

    check_recipe(click.get_current_context(), run.given.get("trust", False))
    given = dict(run.given)
    CompileOptions.of(given)  # what cannot be is refused before a progress bar is made
    folder = None if given.get("dry_run") else Path(given.get("out") or next_free(DEFAULT_OUT))
    plan = stitchc.compile(*models, **(given | {"out": folder}), progress=run.progress)
    from ..artifact import read
    from ..documents import plan_document
    from ..report.stitch import CompileReport

    document = plan_document(plan) if folder is None else read(folder)
    return Outcome(document, CompileReport(plan, document, top, folder).parts())
