"""What a reader wants first: which network is best within the budget, and its figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ...comparison import interval
from ...passes.data import metrics
from ...passes.data.budget import format_quantity
from ..numbers import amount, percent, points, score
from ..parent_table import gap
from ..rivals import dominated, winner
from ..table import short
from ..tune import outcome
from .markup import Html, join, tag
from .markup import name as breakable

#: So many models have a tile each.
_COMPARED = 2


def tiles(figures: Iterable[tuple[str, str, str]]) -> Html:
    """A tile for each figure: its name, the figure, and what that is to be seen beside."""
    return tag("dl", *(tag("div", tag("dt", breakable(title)), tag("dd", tag("span", figure, class_="figure"),
               tag("span", breakable(more), class_="dim") if more else None), class_="tile")
               for title, figure, more in figures), class_="tiles")  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """record: a plan document."""

    record: Mapping[str, Any]

    def html(self) -> Html:
        """A sentence, a warning where there is one, and a tile a figure."""
        record = self.record
        compared = record["recommended"] is not None
        trained = record.get("tuned")
        if compared:
            said = join(tag("b", "Best within the budget: "), winner(record))
        elif trained:
            said = join(tag("b", "Trained: "), outcome(trained[-1]))
        else:
            said = join("Not compared to anything else within the budget.")
        warning = dominated(record) if compared else ""
        return join(
            tag("p", said, class_="headline"),
            tag("p", tag("b", "Warning: "), warning, class_="note warning") if warning else None,
            tiles(self._figures()),
        )

    def _figures(self) -> Iterator[tuple[str, str, str]]:
        """Of each tile its name, its figure, and what that is to be seen beside."""
        record = self.record
        found, own = record["accuracy"], self._own()
        what = "top-1 of what was written" if record.get("written", "hybrid") != "hybrid" else "top-1 of the hybrid"
        if found:
            low, high = interval(found["top1"], found["images"])
            yield what, percent(found["top1"]), f"95 %: {percent(low)} to {percent(high)}"
            parents = list(self._parents())
            for name, model in parents if len(parents) <= _COMPARED else ():
                if model["accuracy"] is not None:
                    ahead = gap(found["top1"], model["accuracy"])
                    yield f"beside {name}", ahead, f"which has {percent(model['accuracy'])}"
        if own and own["over_line"] is not None:
            line = f"{points(own['over_line'])} points"
            yield "over the line between the parents", line, "in top-1, at its cost"
        if own and own["score"] is not None and not found:
            yield "score", score(own["score"]), "on probe images"
        asked = "flops" if "flops" in self.record["budget"] and "macs" not in self.record["budget"] else "macs"
        for name in (asked, "params", "latency"):
            metric = metrics.get(name)
            taken = record["cost"].get(metric.key)
            if taken is not None:
                yield metric.title, amount(taken, metric.unit), self._beside(metric, taken)

    def _own(self) -> Mapping[str, Any] | None:
        """What was measured of the network that was written: the hybrid, or the rival that is better."""
        written = self.record.get("written", "hybrid")
        if written == "hybrid":
            return self.record.get("hybrid")
        return next(iter(self.record["rivals"][written : written + 1]), None)

    def _parents(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        yield from zip(short([model["name"] for model in self.record["models"]]), self.record["models"], strict=True)

    def _beside(self, metric: metrics.Metric, taken: float) -> str:
        """The limit, or the share of the dearest parent."""
        for name, limit in self.record["budget"].items():
            if metrics.get(name).key == metric.key:
                return f"of {format_quantity(limit, name)} at most"
        known = [(model[metric.key], name) for name, model in self._parents() if model.get(metric.key)]
        if not known:
            return ""
        most, name = max(known)
        return f"{percent(taken / most, 0)} of {name}"
