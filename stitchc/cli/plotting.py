"""The option `--plot`, as several verbs have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .parts import option
from .run import Run


def plot_option(what: str, group: str = "Options") -> Callable[[Any], Any]:
    """what: is drawn, for the help."""
    return option("--plot", type=click.Path(path_type=Path), metavar="FILE", group=group,
                  help=f"Write {what} as a picture, .png, .svg or .pdf, or as a page, .html.")  # fmt: skip


def check(run: Run, plot: Path | None) -> None:
    """Refuses, before anything slow begins, what could not be written.

    Raises:
        InputError, OutputError: as `check_plot`.
    """
    if plot is not None:
        from ..report.plot import check_plot

        check_plot(plot, force=bool(run.common.get("force")))
