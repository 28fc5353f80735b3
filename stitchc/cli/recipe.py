"""`stitchc recipe`: what recipes may state."""

from __future__ import annotations

import click

from .parts import Verbs
from .run import Outcome, Run, verb


@click.group(cls=Verbs, verbs={"Verbs": ["schema"]})
def command() -> None:
    """What a recipe.toml may state."""


@command.add_command
@verb("schema", example="stitchc recipe schema > recipe.schema.json")
def described(run: Run) -> Outcome:
    """Print a JSON schema of recipes, by which editors complete and check them."""
    from ..recipes.schema import schema

    return Outcome(schema())
