"""`stitchc cache`: what is kept from one run to the next."""

import click

from .parts import Verbs


@click.group(cls=Verbs, modules="stitchc.cli.cache_{}", verbs={"Verbs": ["dir", "ls", "clean"]})
def command() -> None:
    """What is kept from one run to the next; deleting it loses only time."""
