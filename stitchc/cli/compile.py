"""`stitchc compile`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ..options import CompileOptions
from ..passes.data.pass_options import CHOICE, OUTPUT
from .parts import MODEL, argument, option
from .run import Outcome, Run, verb

DEFAULT_OUT = "hybrid"
_RECIPE = "stitchc.recipe"  # in the context: what was read, and from which file


def _from_recipe(context: click.Context, parameter: click.Parameter, path: str | None) -> None:
    """What a recipe says becomes the default of each option; the command line still overrides it."""
    if path is not None:
        from ..recipe import read

        said = read(path)
        context.meta[_RECIPE] = said, path
        defaults: dict[str, Any] = {**said.options, "models": said.models}
        context.default_map = {**(context.default_map or {}), **defaults}


def _check_recipe(context: click.Context, trust: bool) -> None:
    """Refuses what the recipe chooses and may not; what the command line says is the user's own word."""
    if _RECIPE not in context.meta:
        return
    from ..recipe import Recipe, check

    said, path = context.meta[_RECIPE]
    of_recipe = {
        name for name in ("models", *said.options)
        if context.get_parameter_source(name) is ParameterSource.DEFAULT_MAP
    }  # fmt: skip
    options = {name: value for name, value in said.options.items() if name in of_recipe}
    check(Recipe(said.models if "models" in of_recipe else (), options, lines=said.lines), path, trust=trust)


@verb(
    "compile",
    example="stitchc compile digits/resnet digits/plain --budget 12M --metric flops -o hybrid/",
    record=CompileOptions,
)
@argument("models", metavar="A B", nargs=-1, text=MODEL)
@option("--top", type=click.IntRange(min=1), default=10, metavar="N", group=CHOICE,
        help="Number of candidates to show. [10]")  # fmt: skip
@option("--recipe", metavar="FILE", is_eager=True, expose_value=False, callback=_from_recipe, group=OUTPUT,
        help="Take models and options from the recipe.toml of an artifact.")  # fmt: skip
def command(run: Run, models: tuple[str, ...], top: int) -> Outcome:
    """Stitch two models into one network within a budget, or one with itself.

    The result is written as readable code, weights and ONNX, and verified. Either model may come first unless
    --direction says which. The weights that change are computed from the probe images in closed form; nothing is
    trained. What could be had instead within the same budget is measured too.
    """
    import stitchc

    _check_recipe(click.get_current_context(), run.given.get("trust", False))
    given = dict(run.given)
    CompileOptions.of(given)  # what cannot be is refused before a progress bar is made
    folder = None if given.get("dry_run") else Path(given.get("out") or next_free(DEFAULT_OUT))
    plan = stitchc.compile(*models, **(given | {"out": folder}), progress=run.progress)
    from ..artifact import read
    from ..documents import plan_document
    from ..report.stitch import CompileReport

    document = plan_document(plan) if folder is None else read(folder)
    return Outcome(document, CompileReport(plan, document, top, folder).parts())


def next_free(name: str) -> str:
    """`name`, or `name-2`, `name-3`, ... if that is taken: a run that names no folder replaces nothing."""
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 10_000))) if not Path(n).exists())
