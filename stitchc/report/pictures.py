"""What `--plot` draws with matplotlib: similarities, candidates or chains over their cost, and costs by stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..documents import label
from ..passes.data import metrics
from ..passes.data.printable import one_line
from .family import networks, top1_of
from .table import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..passes.cost.stages import Stage
    from ..passes.data.plan import Plan

_LABELS = 40  # of an axis, at most
_STAGES = 40  # bars, at most
_INK, _SECOND, _THIRD = "#0756b5", "#a04100", "#a8297a"  # of chains, of models, of what was chosen


def similarity_picture(plan: Plan) -> Figure:
    """The heat map of a plan's two models, with the first choice marked where there is one."""
    pair = plan.similarity[0]
    rows, columns = pair.matrix.shape
    size = (2.5 + min(columns, _LABELS) * 0.16, 2.0 + min(rows, _LABELS) * 0.16)
    figure, axes = _figure(size)
    image = axes.imshow(pair.matrix, cmap="viridis", vmin=min(0.0, float(pair.matrix.min())), vmax=1, aspect="auto")
    for axis, model, count in ((axes.yaxis, pair.a, rows), (axes.xaxis, pair.b, columns)):
        step = -(-count // _LABELS)
        cuts = plan.cuts[model].cuts[::step]
        axis.set_ticks(range(0, count, step), labels=[f"{cut.index} {_plain(label(cut))}" for cut in cuts])
        axis.set_label_text(_plain(plan.models[model].name))
    axes.tick_params(axis="x", labelrotation=90)
    axes.set_title(f"{pair.metric}, {pair.images} images")
    figure.colorbar(image, ax=axes, label="similarity")
    return figure


def stages_picture(name: str, stages: Sequence[Stage]) -> Figure:
    """What the stages of a network take, a panel for each metric that is a sum; of many stages the dearest."""
    panels = metrics.sums()
    dearest = sorted(stages, key=lambda stage: -(stage.sums.get("macs") or 0))[:_STAGES]
    shown = [stage for stage in stages if any(stage is one for one in dearest)]
    figure = _figure((3.2 * len(panels) + 1.5, 1.0 + 0.2 * len(shown)))[0]
    figure.clear()
    every = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, metric in zip(every, panels, strict=True):
        axes.barh([_plain(stage.path or "(between)") for stage in shown],
                  [stage.sums.get(metric.name) or 0 for stage in shown], color=_INK)  # fmt: skip
        axes.set_xlabel(metric.column)
        _counted(axes)
    every[0].invert_yaxis()
    figure.suptitle(_plain(name))
    return figure


def search_picture(document: Mapping[str, Any]) -> Figure:
    """The chains of a search: score over multiply-adds, the chosen one apart. document: of a search."""
    figure, axes = _figure((6.5, 4.0))
    chains = document["chains"]
    _points(axes, ((c["cost"]["macs"], c["score"]) for c in chains), "chains that were stitched", _INK, "o")
    if document["chosen"] is not None:
        best = chains[document["chosen"]]
        _points(axes, [(best["cost"]["macs"], best["score"])], "the one that was written", _THIRD, "D")
    _titled(axes, "MACs", "score on probe images")
    return figure


def front_picture(document: Mapping[str, Any]) -> Figure:
    """The best chain under each budget of a sweep, and the models: top-1, or where it was not measured the score."""
    figure, axes = _figure((6.5, 4.0))
    asked = metrics.get(list(document["front"][0]["budget"])[-1])
    used = [document["chains"][k] for k in dict.fromkeys(p["chain"] for p in document["front"]) if k is not None]
    measured = any(one["accuracy"] is not None for one in (*used, *document["models"]))
    of = "accuracy" if measured else "score"
    points = sorted((one["cost"][asked.key], one[of]) for one in used if one[of] is not None)
    axes.plot(*zip(*points, strict=True), color=_INK, linewidth=1) if points else None
    _points(axes, points, "best chain under a budget", _INK, "o")
    if of == "accuracy":
        models = [m for m in document["models"] if m["accuracy"] is not None]
        places = [(m["cost"][asked.key], m["accuracy"]) for m in models]
        _points(axes, places, "models", _SECOND, "s")
        for name, place in zip(short([m["name"] for m in models]), places, strict=True):
            axes.annotate(_plain(name), place, xytext=(5, 4), textcoords="offset points")
    _titled(axes, asked.column, "top-1 accuracy" if of == "accuracy" else "score on probe images")
    return figure


def family_picture(record: Mapping[str, Any]) -> Figure:
    """The members of a family and the models on smaller images: top-1, or where it was not measured the score. record:
    what plan.json holds."""
    figure, axes = _figure((6.5, 4.0))
    metric = metrics.get(record["family"]["metric"])
    rows = networks(record)
    measured = any(top1_of(row) is not None for row in rows)
    places = [(row, (row["cost"][metric.key], top1_of(row) if measured else row["score"])) for row in rows]
    for said, colour, mark, kind in (
        ("member that was stitched", _THIRD, "D", lambda row: row["kind"] == "member" and row["stitched"]),
        ("model", _SECOND, "s", lambda row: row["kind"] == "member" and not row["stitched"]),
        ("model on smaller images", _INK, "^", lambda row: row["kind"] == "rival"),
    ):
        _points(axes, [place for row, place in places if kind(row)], said, colour, mark)
    for row, place in places:
        if row["kind"] == "member" and place[1] is not None:
            axes.annotate(_plain(row["name"]), place, xytext=(5, 4), textcoords="offset points")
    _titled(axes, metric.column, "top-1 accuracy" if measured else "score on probe images")
    return figure


def _figure(size: tuple[float, float]) -> tuple[Figure, Axes]:
    """An empty figure, of inches, that no window knows of."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots()


def _points(axes: Axes, places: Iterable[tuple[float, float | None]], name: str, colour: str, mark: str) -> None:
    known = [(x, y) for x, y in places if y is not None]
    if known:
        across, up = zip(*known, strict=True)
        axes.scatter(across, up, label=name, color=colour, marker=mark, s=28, zorder=3)


def _titled(axes: Axes, across: str, up: str) -> None:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    _counted(axes)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False)


def _counted(axes: Axes) -> None:
    """Thousands and millions by their prefixes."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.xaxis.set_major_formatter(EngFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(5))


def _plain(text: str) -> str:
    """One line in which matplotlib finds no formula."""
    return one_line(text).replace("$", r"\$")
