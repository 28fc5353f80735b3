"""What was dropped on the way to the choice: at which stage, how much of it, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...passes.data.budget import format_quantity
from ...passes.data.plan import Plan
from ..numbers import several
from ..rivals import name_of
from ..stages import rule_of
from ..table import short
from .from_rich import scrolling
from .markup import Html, join, tag

_REASONS = 6  # kinds of reasons shown of a model; the rest is counted


@dataclass(frozen=True)
class Dropped:
    """plan: with candidates. record: its plan document, None where nothing was stitched."""

    plan: Plan
    record: Mapping[str, Any] | None = None

    def html(self) -> Html:
        """The stages as bars, of the share that went on; then values that are no cuts, and rivals that could
        not be made."""
        return join(
            tag("ol", *(_step(*step) for step in self._steps()), class_="funnel"),
            *self._rejected(), self._rivals(),
        )  # fmt: skip

    def _steps(self) -> Iterator[tuple[str, int, int, str]]:
        """Of each stage: what it is, how many came, how many went on, why the others did not."""
        table = self.plan.candidates
        if table is not None:
            limits = " and ".join(format_quantity(limit, name) for name, limit in self.plan.budget.items())
            why = f"they take more than {limits}" if limits else ""
            yield "budget", len(table), int(table.feasible.sum()), why
        by = rule_of(self.plan)
        for stage in self.plan.stages:
            if stage.name == "shortlist":
                yield ("shortlist of pairs of cuts, no images", stage.candidates, stage.kept,
                       "less similar, or closer to a better pair")  # fmt: skip
                continue
            what = "healed, probed again" if stage.name == "healed" else "stitched, fitted, probed"
            yield f"{what} on {stage.images} images", stage.candidates, stage.kept, f"lower in {by}"

    def _rejected(self) -> Iterator[Html]:
        names = short([model.name for model in self.plan.models])
        for name, cuts in zip(names, self.plan.cuts, strict=False):
            reasons = Counter(re.sub(r":.*", "", rejected.reason) for rejected in cuts.rejected)
            if not reasons:
                continue
            rows = [tag("tr", tag("td", times, class_="number"), tag("td", why)) for why, times in
                    reasons.most_common(_REASONS)]  # fmt: skip
            rest = sum(reasons.values()) - sum(times for _, times in reasons.most_common(_REASONS))
            rows += [tag("tr", tag("td", rest, class_="number"), tag("td", "other reasons"))] if rest else []
            head = tag("summary", f"{several(reasons.total(), 'value')} of {name} cannot be cut at ({len(cuts)} can)")
            yield tag("details", head, scrolling(tag("table", tag("tbody", *rows)), f"No cuts of {name}"))

    def _rivals(self) -> Html | None:
        gone: Sequence[Mapping[str, Any]] = [r for r in (self.record or {}).get("rivals", ()) if r["reason"]]
        if not gone:
            return None
        items = (tag("li", tag("b", name_of(rival)), f": {rival['reason']}") for rival in gone)
        return join(tag("p", "Rivals that were left out:"), tag("ul", *items))


def _step(what: str, before: int, kept: int, why: str) -> Html:
    left = before - kept
    said = f"{kept:,} of {before:,} went on" + (f"; {left:,} dropped" + (f": {why}" if why else "") if left else "")
    bar = tag("span", tag("span", style=f"width:{max(kept / (before or 1), 0.002):.1%}"), class_="bar")
    return tag("li", tag("b", what), bar, tag("span", said, class_="dim"))
