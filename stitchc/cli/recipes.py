"""What a recipe says as the defaults of a verb's options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from ..passes.data.options import Options
from ..passes.data.pass_options import OUTPUT
from .parts import option

_RECIPE = "stitchc.recipe"  # in the context: what was read, and from which file


def recipe_option(record: type[Options]) -> Callable[[Any], Any]:
    """The option `--recipe` of a verb with the options of this record."""
    return option(
        "--recipe", metavar="FILE", is_eager=True, expose_value=False, callback=_from_recipe(record), group=OUTPUT,
        help="Take models and options from the recipe.toml of an artifact.",
    )  # fmt: skip


def _from_recipe(record: type[Options]) -> Callable[[click.Context, click.Parameter, str | None], None]:
    """What a recipe says becomes the default of each option; the command line still overrides it."""

    def callback(context: click.Context, parameter: click.Parameter, path: str | None) -> None:
        if path is not None:
            from ..recipe import read

            said = read(path, record)
            context.meta[_RECIPE] = said, path
            defaults: dict[str, Any] = {**said.options, "models": said.models}
            context.default_map = {**(context.default_map or {}), **defaults}

    return callback


def check_recipe(context: click.Context, trust: bool) -> None:
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
