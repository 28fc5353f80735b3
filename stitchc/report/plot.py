"""The similarity matrix as a picture for a paper or a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..passes.data.errors import InputError, OutputError
from ..passes.data.printable import one_line
from ..passes.data.whole_file import try_file, whole_file

if TYPE_CHECKING:
    from ..passes.data.plan import Plan

PICTURES = (".png", ".svg", ".pdf")
_LABELS = 40  # of an axis, at most


def check_plot(path: Path, *, force: bool = False) -> None:
    """Before anything slow begins.

    Raises:
        InputError: no format that can be written. OutputError: the file is there already and `force` was not given, or
            it cannot be written.
    """
    formats = (*PICTURES, ".html")
    if path.suffix.lower() not in formats:
        raise InputError(f"'{path}' has no format that can be written", f"End its name in one of {', '.join(formats)}.")
    if path.exists() and not force:
        raise OutputError(f"{path} exists already", "Replace it with `force=True`, or name another file.")
    try_file(path)


def write_plot(path: Path, plan: Plan) -> None:
    """The heat map of the plan's two models as .png, .svg or .pdf, whole or not at all. The same plan, the same bytes.

    Raises:
        OutputError: it cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pair = plan.similarity[0]
    rows, columns = pair.matrix.shape
    with matplotlib.rc_context({"svg.hashsalt": "stitchc", "font.size": 8}):
        size = (2.5 + min(columns, _LABELS) * 0.16, 2.0 + min(rows, _LABELS) * 0.16)
        figure, axes = pyplot.subplots(figsize=size, layout="constrained")
        image = axes.imshow(pair.matrix, cmap="viridis", vmin=min(0.0, float(pair.matrix.min())), vmax=1, aspect="auto")
        for axis, model, count in ((axes.yaxis, pair.a, rows), (axes.xaxis, pair.b, columns)):
            step = -(-count // _LABELS)
            cuts = plan.cuts[model].cuts[::step]
            axis.set_ticks(
                range(0, count, step), labels=[f"{cut.index} {_plain(cut.path or cut.node)}" for cut in cuts]
            )
            axis.set_label_text(_plain(plan.models[model].name))
        axes.tick_params(axis="x", labelrotation=90)
        axes.set_title(f"{pair.metric}, {pair.images} images")
        figure.colorbar(image, ax=axes, label="similarity")
        try:
            dateless = {".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
            with whole_file(path) as part:
                figure.savefig(part, dpi=150, metadata=dateless[path.suffix.lower()])
        finally:
            pyplot.close(figure)


def _plain(text: str) -> str:
    """One line in which matplotlib finds no formula."""
    return one_line(text).replace("$", r"\$")
