"""`stitchc family`."""

from __future__ import annotations

from pathlib import Path

import click

from ..families.options import FamilyOptions
from ..folder import next_free
from ..passes.data.errors import InputError
from ..passes.data.pass_options import OUTPUT
from .parts import model_argument
from .plotting import check, plot_option
from .recipes import check_recipe, recipe_option
from .run import Outcome, Run, verb

DEFAULT_OUT = "family"


@verb(
    "family",
    example="stitchc family digits/convnext digits/plain --budget 35% --budget 55% --budget 80% -o family/",
    record=FamilyOptions,
)
@model_argument("models", metavar="MODEL...", nargs=-1)
@recipe_option(FamilyOptions)
@plot_option("the members by accuracy and cost", OUTPUT)
def command(run: Run, models: tuple[str, ...], plot: Path | None) -> Outcome:
    """Make one network that switches between budgets at run time, from two models or more.

    Its members share weights and stand in one file, each weight once; the models are members too. They are chosen
    together, healed together and verified one by one. `stitchc family extract DIR MEMBER -o OUT` writes a member as an
    artifact of its own.
    """
    import stitchc

    check_recipe(click.get_current_context(), run.given.get("trust", False))
    given = dict(run.given)
    options = FamilyOptions.of(given)  # what cannot be is refused before a progress bar is made
    if plot and options.dry_run:
        raise InputError(f"'{plot}' is to show the members, and a dry run chooses none", "Leave `dry_run` out.")
    check(run, plot)
    folder = None if options.dry_run else Path(given.get("out") or next_free(DEFAULT_OUT))
    made = stitchc.family(*models, **(given | {"out": folder}), progress=run.progress)
    from ..report.family import FamilyReport

    if made.record is None:
        from ..report.search import PoolTable
        from ..searches.record import pool_record

        pool = pool_record(made.plan)
        return Outcome({"schema": 1, "pool": pool}, [PoolTable(pool)])
    if plot is not None:
        from ..report.page.family import family_sections
        from ..report.pictures import family_picture
        from ..report.plot import write_plot

        record = made.record
        recipe = (Path(folder) / "recipe.toml").read_text(encoding="utf-8") if folder else ""
        title = f"A family of {' and '.join(model['name'] for model in record['models'])}"
        write_plot(plot, title, list(family_sections(record, recipe)), lambda: family_picture(record))
    return Outcome(made.record, FamilyReport(made.record, folder).parts())


command.under = {"extract": "stitchc.cli.family_extract"}  # type: ignore[attr-defined]
