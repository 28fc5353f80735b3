"""`stitchc compile`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .options import (
    CHOICE,
    IMAGES,
    arch,
    budget,
    data,
    frontend,
    healing,
    pair_arguments,
    probe_images,
    ranking,
    read_budget,
)
from .parts import option
from .run import Outcome, Run, verb

OUTPUT = "Output"
DEFAULT_OUT = "hybrid"


def _from_recipe(context: click.Context, parameter: click.Parameter, path: str | None) -> None:
    """What a recipe says becomes the default of each option; the command line still overrides it."""
    if path is not None:
        from ..recipe import read

        context.default_map = {**(context.default_map or {}), **read(path)}


@verb("compile", example="stitchc compile digits/resnet digits/plain --budget 12M --metric flops -o hybrid/")
@pair_arguments
@budget
@ranking
@option("--chain", is_flag=True, group=CHOICE, help="One adapter each time the size is halved, over several stages.")
@option("--recalibrate", is_flag=True, group=CHOICE, help="Estimate the back's BatchNorms anew on the probe images.")
@option("--front", metavar="CUT", group=CHOICE, help="A's cut: node, path or index, as `inspect` shows.")
@option("--back", metavar="CUT", group=CHOICE, help="B's cut. With either, A is the front and B the back.")
@option("--top", type=click.IntRange(min=1), default=10, metavar="N", group=CHOICE, help="Candidates to show [10].")
@healing
@data
@probe_images
@option("--evaluate", metavar="DATA", group=IMAGES, help="Measure hybrid and parents on these labelled images.")
@option("-o", "--out", metavar="DIR", group=OUTPUT, help=f"Folder of the artifact [{DEFAULT_OUT}, or the next free].")
@option("--onnx/--no-onnx", default=True, group=OUTPUT, help="Write model.onnx too [yes].")
@option("--opset", type=click.IntRange(min=18), metavar="N", group=OUTPUT, help="ONNX opset [the exporter's own].")
@option("--dry-run", is_flag=True, group=OUTPUT, help="Stop at the ranked candidates; write nothing.")
@option(
    "--recipe", metavar="FILE", is_eager=True, expose_value=False, callback=_from_recipe, group=OUTPUT,
    help="Take A, B and options from a recipe.toml.",
)  # fmt: skip
@arch
@frontend
def command(run: Run, a: str, b: str, out: str | None, dry_run: bool, top: int, **given: Any) -> Outcome:
    """Stitch two models into one hybrid within a budget.

    It is written as verified code, weights and ONNX. The larger model gives the front unless --direction says
    otherwise. Similarity of the cuts and all weights that change come from the probe images in closed form; nothing is
    trained.
    """
    limits = read_budget(given)
    import stitchc

    folder = None if dry_run else Path(out or _next_free(DEFAULT_OUT))
    plan = stitchc.compile(
        a, b, budget=limits, out=folder, dry_run=dry_run, device=run.device, force=run.force, **given, **run.loading
    )
    from ..artifact import read
    from ..documents import plan_document
    from ..report.stitch import CompileReport

    document = plan_document(plan) if folder is None else read(folder)
    return Outcome(document, CompileReport(plan, document, top, folder).parts())


def _next_free(name: str) -> str:
    """`name`, or `name-2`, `name-3`, ... if that is taken: a run that names no folder replaces nothing."""
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 10_000))) if not Path(n).exists())
