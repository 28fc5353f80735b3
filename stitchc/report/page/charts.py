"""Charts that answer to the pointer: their data as the page holds it, and what stands there without scripts.

The scripts of page.js draw a figure whose attribute `data-chart` names it, from the JSON document beside it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, ClassVar

import numpy as np

from ...documents import label, number
from ...passes.data import metrics
from ...passes.data.candidates import Candidates
from ...passes.data.pareto import pareto_front
from ...passes.data.plan import PairSimilarity, Plan
from ...passes.data.printable import one_line
from ..heatmap import colours
from ..numbers import score
from ..pareto import ParetoTable
from ..rivals import networks
from ..search import chain_text
from ..table import short
from .from_rich import fragment
from .markup import Html, data, join, tag

#: Candidates in a chart, at most: the front, those that were probed, and evenly spread ones of the rest.
MOST = 8000
_DIGITS = 4  # of a similarity or a score


@dataclass(frozen=True)
class HeatChart:
    """The similarity of every two cuts of a pair of models, with the seams of the chain marked."""

    plan: Plan
    pair: int = 0
    charts: ClassVar[bool] = True

    def html(self) -> Html:
        """The chart; without scripts, a picture without names."""
        of = self.plan.similarity[self.pair]
        down, across = (self.plan.models[k].name for k in (of.a, of.b))
        known = of.matrix[np.isfinite(of.matrix)]
        span = f"; lowest {score(float(known.min()))}, highest {score(float(known.max()))}" if known.size else ""
        rows, columns = of.matrix.shape
        said = (
            f"{of.metric} of {of.images} images: {rows} cuts of {down} (down) by {columns} cuts of {across} (across)"
            f"{span}."
        )
        seams = _seams(self.plan, of)
        marked = "".join(
            f" Chosen: {label(self.plan.cuts[of.a][i])} and {label(self.plan.cuts[of.b][j])}, "
            f"{score(float(of.matrix[i, j]))}."
            for i, j in seams
        )
        document = {
            "rows": [_cut(self.plan, of.a, i) for i in range(rows)],
            "columns": [_cut(self.plan, of.b, j) for j in range(columns)],
            "down": one_line(down), "across": one_line(across), "metric": of.metric,
            "values": [_rounded(row) for row in of.matrix], "chosen": [list(seam) for seam in seams],
        }  # fmt: skip
        still = still_map(of.matrix, f"Heat map. {said}{marked}")
        return _figure("heat", f"{self.pair}", document, still, said + marked)


def still_map(matrix: np.ndarray, said: str) -> Html:
    """A similarity matrix as a picture of one pixel a value, enlarged."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(colours(matrix)).save(file, "PNG")
    source = Html(f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}")
    return tag("img", src=source, alt=said, class_="heat")


@dataclass(frozen=True)
class ScatterChart:
    """All candidates of a plan, its models, rivals and hybrid: what each reaches against what it takes.

    record: its plan document, None where nothing was stitched.
    """

    plan: Plan
    record: Mapping[str, Any] | None = None
    charts: ClassVar[bool] = True

    def html(self) -> Html:
        """The chart with its two choices of axes; below it the front as a table."""
        table = self.plan.candidates
        assert table is not None
        shown = _shown(table)
        sums = [m for m in metrics.every() if np.isfinite(table.metric(m.name)).any()]
        names = short([model.name for model in self.plan.models])
        others = _others(self.record) if self.record else []
        reached = ["score"] if table.score is not None and np.isfinite(table.score).any() else []
        reached += ["accuracy"] if any(one["accuracy"] is not None for one in others) else []
        reached += ["similarity"] if np.isfinite(table.similarity).any() else []
        document = {
            "names": [one_line(name) for name in names],
            "cuts": [[one_line(label(cut)) for cut in own.cuts] for own in self.plan.cuts],
            "adapters": [one_line(name) for name in table.adapters],
            **{key: getattr(table, key)[shown].tolist()
               for key in ("front_model", "front_cut", "back_model", "back_cut", "adapter")},
            "feasible": table.feasible[shown].astype(int).tolist(),
            "similarity": _rounded(table.similarity[shown]),
            "score": _rounded(table.score[shown]) if table.score is not None else None,
            "amounts": {m.key: _whole(table.metric(m.name)[shown]) for m in sums},
            "metrics": [{"key": m.key, "title": m.title} for m in sums],
            "budget": {metrics.get(name).key: limit for name, limit in self.plan.budget.items()},
            "reached": reached, "others": others, "x": self._first(sums),
        }  # fmt: skip
        total = len(table)
        some = f"{total:,} candidates" if len(shown) == total else f"{len(shown):,} of {total:,} candidates"
        probed = int(np.isfinite(table.score).sum()) if table.score is not None else 0
        tried = f", of which {probed:,} were stitched and have a score" if probed else ""
        said = f"{some}{tried}; the line joins those that no other is better than in both."
        still = fragment("The chart needs scripts; the table below holds its front.")
        return join(_figure("scatter", "0", document, still, said), self._front())

    def _first(self, known: Sequence[metrics.Metric]) -> str:
        """The metric that is shown first: what has a budget, else multiply-adds."""
        keys = [m.key for m in known]
        asked = [metrics.get(name).key for name in self.plan.budget]
        return next(key for key in (*asked, "macs", *keys) if key in keys)

    def _front(self) -> Html | None:
        table = self.plan.candidates
        assert table is not None
        if not np.isfinite(table.metric("macs")).any() or not np.isfinite(table.similarity).any():
            return None
        rows = pareto_front(table, ("macs", "similarity"))
        return fragment(ParetoTable(self.plan, ("macs", "similarity"), rows.tolist(), None, top=12))


@dataclass(frozen=True)
class PointsChart:
    """Networks by what they take and reach. points: as `point` makes them. x: the key of the metric shown first."""

    points: Sequence[Mapping[str, Any]]
    said: str
    x: str = "macs"
    charts: ClassVar[bool] = True

    def html(self) -> Html:
        """The chart with its two choices of axes."""
        amounts = [m for m in metrics.every() if any(one.get(m.key) is not None for one in self.points)]
        known = {name: sum(one[name] is not None for one in self.points) for name in ("score", "accuracy")}
        reached = sorted((name for name in known if known[name]), key=lambda name: -known[name])  # shown first: of most
        document = {
            "points": [one for one in self.points if one["kind"] == "candidate"],
            "others": [one for one in self.points if one["kind"] != "candidate"],
            "reached": reached, "budget": {}, "x": self.x,
            "metrics": [{"key": m.key, "title": m.title} for m in amounts],
        }  # fmt: skip
        return _figure("scatter", "points", document, fragment("The chart needs scripts."), self.said)


def chains_chart(record: Mapping[str, Any]) -> PointsChart:
    """The chains of a search or of a sweep, beside the models where these were measured. record: its document."""
    chains = record["chains"]
    used = [link["model"] for one in chains for link in one["chain"] if "model" in link]
    names = dict(zip(used, short(used), strict=True))
    kinds = ["hybrid" if k == record["chosen"] else "candidate" for k in range(len(chains))]
    points = [point(chain_text(one["chain"], names), kind, one) for one, kind in zip(chains, kinds, strict=True)]
    points += [point(m["name"], "parent", m | {"score": None}) for m in record.get("models", ())]
    return PointsChart(points, _said(record))


def _said(record: Mapping[str, Any]) -> str:
    beside = " and the models" if record.get("models") else ""
    return f"{len(record['chains'])} chains{beside}; the line joins the chains that no other is better than in both."


def point(name: str, kind: str, one: Mapping[str, Any]) -> dict[str, Any]:
    """A network in a chart. kind: "candidate", "parent", "rival" or "hybrid". one: its `cost`, `score`, `accuracy`."""
    return {
        "name": one_line(name), "kind": kind, "accuracy": one["accuracy"], "score": number(one["score"]),
        **{m.key: one["cost"].get(m.key) for m in metrics.every()},
    }  # fmt: skip


def _figure(name: str, number: str, document: Mapping[str, Any], still: Html, said: str) -> Html:
    id = f"{name}-{number}"
    return tag(
        "figure", tag("div", still, class_="plot"), tag("figcaption", said), data(document, id),
        class_="chart", data_chart=name, data_from=id,
    )  # fmt: skip


def _seams(plan: Plan, of: PairSimilarity) -> list[tuple[int, int]]:
    """The seams of the hybrid, or of the choice, that join these two models, as (row, column)."""
    chain = plan.hybrids[0].chain if plan.hybrids else plan.choice[0].chain if plan.choice else None
    found = []
    for seam in chain.seams() if chain else ():
        ends = {end.model: end.cut for end in (seam.leaves, seam.enters)}
        if set(ends) == {of.a, of.b} and len(ends) == 2:
            found.append((ends[of.a], ends[of.b]))
        elif of.a == of.b and set(ends) == {of.a}:
            found.append((seam.leaves.cut, seam.enters.cut))
    return found


def _cut(plan: Plan, model: int, index: int) -> str:
    return one_line(f"{index} {label(plan.cuts[model][index])}")


def _shown(table: Candidates) -> np.ndarray:
    """The rows of a chart, rising."""
    if len(table) <= MOST:
        return np.arange(len(table))
    kept = np.zeros(len(table), dtype=bool)
    if table.score is not None:
        kept |= np.isfinite(table.score)
    kept[pareto_front(table, ("macs", "similarity"))] = True
    room = max(0, MOST - int(kept.sum()))
    rest = np.flatnonzero(~kept)
    kept[rest[np.linspace(0, len(rest) - 1, min(room, len(rest))).astype(int)]] = True
    return np.flatnonzero(kept)


def _others(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The hybrid, its models and its rivals, each with what it takes and reaches."""
    if record["recommended"] is not None:
        hybrid, *others = networks(record)
        rows = [hybrid | {"kind": "hybrid"}]
        rows += [row | {"kind": "parent" if row.get("kind", "parent") == "parent" else "rival"} for row in others]
    else:
        found = record["accuracy"]
        names = short([model["name"] for model in record["models"]])
        rows = [{"name": "the hybrid", "kind": "hybrid", "cost": record["cost"], "score": record["score"],
                 "accuracy": found["top1"] if found else None}]  # fmt: skip
        rows += [{"name": name, "kind": "parent", "cost": model, "score": None, "accuracy": model["accuracy"]}
                 for name, model in zip(names, record["models"], strict=True)]  # fmt: skip
    return [point(row["name"], row["kind"], row) for row in rows]


def _rounded(values: np.ndarray) -> list[float | None]:
    return [None if value != value else round(value, _DIGITS) for value in values.tolist()]


def _whole(values: np.ndarray) -> list[float | None]:
    """Amounts with six digits: more cannot be seen."""
    return [None if v != v else int(v) if abs(v) >= 1e5 or float(v).is_integer() else round(v, 6)
            for v in values.tolist()]  # fmt: skip
