"""What a reader wants first: which network is best within the budget, and its figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...passes.data import metrics
from ...passes.data.budget import format_quantity
from ..numbers import amount, percent, points, score
from ..parent_table import gap
from ..rivals import dominated, winner
from ..table import short
from .markup import Html, join, tag
from .markup import name as breakable

#: So many models have a tile each.
_COMPARED = 2


@dataclass(frozen=True)
class Verdict:
    """record: a plan document."""

    record: Mapping[str, Any]

    def html(self) -> Html:
        """A sentence, a warning where there is one, and a tile a figure."""
        record = self.record
        compared = record["recommended"] is not None
        if compared:
            said = join(tag("b", "Best within the budget: "), winner(record))
        else:
            said = join("Not compared to anything else within the budget.")
        warning = dominated(record) if compared else ""
        return join(
            tag("p", said, class_="headline"),
            tag("p", tag("b", "Warning: "), warning, class_="note warning") if warning else None,
            tag("dl", *(tag("div", tag("dt", breakable(title)), tag("dd", tag("span", figure, class_="figure"),
                tag("span", breakable(more), class_="dim") if more else None), class_="tile")
                for title, figure, more in self._figures()), class_="tiles"),
        )  # fmt: skip

    def _figures(self) -> Iterator[tuple[str, str, str]]:
        """Of each tile its name, its figure, and what that is to be seen beside."""
        record = self.record
        found, hybrid = record["accuracy"], record.get("hybrid")
        what = "top-1 of what was written" if record.get("written", "hybrid") != "hybrid" else "top-1 of the hybrid"
        if found:
            between = hybrid["interval"] if hybrid and record.get("written") == "hybrid" else None
            sure = f"95 %: {percent(between[0])} to {percent(between[1])}" if between else ""
            yield what, percent(found["top1"]), sure or f"on {found['images']} images"
            parents = list(self._parents())
            for name, model in parents if len(parents) <= _COMPARED else ():
                if model["accuracy"] is not None:
                    ahead = gap(found["top1"], model["accuracy"])
                    yield f"beside {name}", ahead, f"which has {percent(model['accuracy'])}"
        if hybrid and hybrid["over_line"] is not None:
            line = f"{points(hybrid['over_line'])} points"
            yield "over the line between the parents", line, "in top-1, at its cost"
        if hybrid and hybrid["score"] is not None and not found:
            yield "score", score(hybrid["score"]), "on probe images"
        for name in ("macs", "params", "latency"):
            metric = metrics.get(name)
            taken = record["cost"].get(metric.key)
            if taken is not None:
                yield metric.title, amount(taken, metric.unit), self._beside(metric, taken)

    def _parents(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        yield from zip(short([model["name"] for model in self.record["models"]]), self.record["models"], strict=True)

    def _beside(self, metric: metrics.Metric, taken: float) -> str:
        """The limit, or the share of the dearest parent."""
        for name, limit in self.record["budget"].items():
            if metrics.get(name).key == metric.key:
                return f"of {format_quantity(limit, name)} at most"
            if name == "flops" and metric.name == "macs":
                return f"budget {format_quantity(limit, name)}: FLOPs, two a MAC"
        known = [(model[metric.key], name) for name, model in self._parents() if model.get(metric.key)]
        if not known:
            return ""
        most, name = max(known)
        return f"{percent(taken / most, 0)} of {name}"
