"""`stitchc search`."""

from __future__ import annotations

from pathlib import Path

import click

from ..folder import next_free
from ..passes.data.errors import InputError
from ..passes.data.pass_options import SEARCH
from ..searches.options import SearchOptions
from ..searches.sweep import check_csv, rows, write_csv
from .compile import DEFAULT_OUT
from .parts import model_argument, option
from .plotting import check, plot_option
from .run import Outcome, Run, verb


@verb(
    "search",
    example="stitchc search digits/resnet digits/plain digits/vit digits/convnext --budget macs=40% -o hybrid/",
    record=SearchOptions,
)
@model_argument("models", metavar="MODEL...", nargs=-1)
@option("--csv", type=click.Path(path_type=Path), metavar="FILE", group=SEARCH,
        help="Write the front of a sweep, beside the models, as a table.")  # fmt: skip
@plot_option("the chains by score and cost, or the front of a sweep,", SEARCH)
def command(run: Run, models: tuple[str, ...], csv: Path | None, plot: Path | None) -> Outcome:
    """Find the best chain of fragments of several models within a budget.

    Every cut of every model may be followed by every cut of any other, with an adapter between. The best chains are
    stitched, fitted, healed and compared; the winner is written as compile writes one. Ctrl-C ends the search and
    writes the best so far.
    """
    import stitchc

    given = dict(run.given)
    options = SearchOptions.of(given)  # what cannot be is refused before a progress bar is made
    if csv is not None:
        check_csv(csv, options.sweep, force=bool(run.common.get("force")))
    if plot and options.dry_run:
        raise InputError(f"'{plot}' is to show what was found, and a dry run finds nothing", "Leave `dry_run` out.")
    check(run, plot)
    folder = None if options.dry_run or options.sweep else Path(given.get("out") or next_free(DEFAULT_OUT))
    found = stitchc.search(*models, **(given | ({} if options.sweep else {"out": folder})), progress=run.progress)
    from ..report.search import SearchReport
    from ..searches.record import search_document

    document = search_document(found, options.keep)
    if csv is not None:
        write_csv(csv, list(rows(document)))
    report = SearchReport(found, document, folder).parts()
    if plot is not None:
        from ..report.page.charts import chains_chart
        from ..report.page.section import Section
        from ..report.pictures import front_picture, search_picture
        from ..report.plot import write_plot

        draw = front_picture if options.sweep else search_picture
        page = [Section("The search", [chains_chart(document), *report])]
        write_plot(plot, f"A search among {', '.join(map(str, models))}", page, lambda: draw(document))
    return Outcome(document, report)
