"""`stitchc zoo`: the models."""

import click

from .parts import Verbs


@click.group(cls=Verbs, modules="stitchc.cli.zoo_{}", verbs={"Verbs": ["list", "pack"]})
def command() -> None:
    """Models that have names; self-describing checkpoints."""
