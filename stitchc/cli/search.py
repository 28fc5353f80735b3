"""`stitchc search`."""

from __future__ import annotations

from pathlib import Path

import click

from ..folder import next_free
from ..passes.data.pass_options import SEARCH
from ..search_options import SearchOptions
from ..sweep import check_csv, rows, write_csv
from .compile import DEFAULT_OUT
from .parts import MODEL, argument, option
from .run import Outcome, Run, verb


@verb(
    "search",
    example="stitchc search digits/resnet digits/plain digits/vit digits/convnext --budget macs=40% -o hybrid/",
    record=SearchOptions,
)
@argument("models", metavar="MODEL...", nargs=-1, text=MODEL)
@option("--csv", type=click.Path(path_type=Path), metavar="FILE", group=SEARCH,
        help="Write the front of a sweep, beside the models, as a table.")  # fmt: skip
def command(run: Run, models: tuple[str, ...], csv: Path | None) -> Outcome:
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
    folder = None if options.dry_run or options.sweep else Path(given.get("out") or next_free(DEFAULT_OUT))
    found = stitchc.search(*models, **(given | ({} if options.sweep else {"out": folder})), progress=run.progress)
    from ..report.search import SearchReport
    from ..search_record import search_document

    document = search_document(found, options.keep)
    if csv is not None:
        write_csv(csv, list(rows(document)))
    return Outcome(document, SearchReport(found, document, folder).parts())
