"""How the choice was made: what each stage of probing dropped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..passes.data.plan import Plan
from .table import table

_BY = {
    "cascade": "agreement with the parents",
    "agreement": "naming the class that the parents name",
    "kl": "divergence from the parents",
    "accuracy": "the right class",
    "fit": "held-out R2 of the fit",
}


@dataclass(frozen=True)
class Stages:
    """The stages of a plan that the pass `rank` has been through."""

    plan: Plan

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        yield Text(f"Chosen by {rule_of(self.plan)}, stitched and probed without training", style="bold")
        rows = table(ascii_only=options.ascii_only)
        rows.add_column("stage", no_wrap=True)
        rows.figures("images", "candidates", "kept")
        for stage in self.plan.stages:
            if stage.name == "shortlist":
                rows.add_row("shortlist of pairs of cuts", "-", str(stage.candidates), str(stage.kept))
            else:
                rows.add_row(
                    {"healed": "healed, probed again"}.get(stage.name, stage.name),
                    str(stage.images),
                    str(stage.candidates),
                    str(stage.kept),
                )
        yield rows


def rule_of(plan: Plan) -> str:
    """What candidates were ranked by, in words."""
    assert plan.candidates is not None
    rule = plan.candidates.rank
    by = _BY.get(rule, rule)
    labelled = plan.images is not None and plan.images.labels is not None
    return f"{by} and labels" if rule == "cascade" and labelled else by
