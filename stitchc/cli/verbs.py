"""The verbs of `stitchc`, as its help page groups them. Each is a module here, imported when it is named."""

import click

from .. import __version__
from .parts import Verbs

_TITLES = {
    "Make": ["compile", "search", "family", "tune", "demo"],
    "Look": ["inspect", "compare", "cost"],
    "Check": ["eval", "verify"],
    "Around": ["zoo", "recipe", "cache", "env"],
}


@click.group(cls=Verbs, modules="stitchc.cli.{}", verbs=_TITLES)
@click.version_option(__version__, message="stitchc %(version)s")
def stitchc() -> None:
    """Stitch the front of one trained vision network to the back of another, within a budget.

    The hybrid comes out as readable torch code, safetensors and ONNX, verified against each other.
    `stitchc demo` shows it in a minute; `stitchc VERB --help` says what a verb takes.
    """
